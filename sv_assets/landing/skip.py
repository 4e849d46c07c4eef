"""When a table is not read at all, although a run asks for it."""

import datetime as dt
from zoneinfo import ZoneInfo

from sv_assets.catalogue.source import Source
from sv_assets.sources.pace import is_allowed, next_allowed


def why_not_now(source: Source) -> str:
    """The reason in one sentence; empty where the table may be read."""
    if source.table.vanished:
        return f"{source.name} vanished from {source.system} by {source.table.vanished:%d %B %Y}: what landed before stays."
    system = source.sql_system
    zone, now = ZoneInfo(system.time_zone), dt.datetime.now(dt.timezone.utc)
    if is_allowed(system.allowed_times, zone, now):
        return ""
    opens = next_allowed(system.allowed_times, zone, now)
    return (
        f"{system.system} may not be read at this time; the next time is {opens:%a %d %b %H:%M} ({system.time_zone})."
    )
