"""When a source is not read at all, although a run asks for it."""

import datetime as dt

from sv_assets.catalogue.source import Source
from sv_assets.sources.pace import opens_at, zone_of


def why_not_now(source: Source) -> str:
    """The reason in one sentence; empty where the source may be read."""
    if not source.is_queue and source.table.vanished:
        return f"{source.name} vanished from {source.system} by {source.table.vanished:%d %B %Y}: what landed before stays."
    return why_closed(source)


def why_closed(source: Source, now: dt.datetime | None = None) -> str:
    """As `why_not_now`, of the system itself: its quiet hours, and what lies outside its allowed times."""
    system = source.declared_in
    allowed = [] if source.is_queue else source.sql_system.allowed_times
    if not allowed and not system.quiet_hours:
        return ""
    zone, moment = zone_of(system), now or dt.datetime.now(dt.timezone.utc)
    opens = opens_at(allowed, system.quiet_hours, zone, moment)
    if opens == moment.astimezone(zone).replace(tzinfo=None):
        return ""
    next_time = f"the next time is {opens:%a %d %b %H:%M}" if opens else "its declaration leaves no time for it"
    return f"{system.system} may not be read at this time; {next_time} ({system.time_zone})."
