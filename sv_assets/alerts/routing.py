"""Who is told of a condition, through which channel, and from when on."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sv_assets.alerts.condition import Condition
from sv_assets.alerts.settings import AlertSettings, QuietHours, Route

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RANK = {"warning": 0, "error": 1}


@dataclass(frozen=True)
class Target:
    """A channel that is told, the route that says so, and from when on (quiet hours hold warnings back)."""

    route: str
    channel: str
    not_before: dt.datetime


def targets(condition: Condition, settings: AlertSettings, now: dt.datetime) -> list[Target]:
    """The channels for a condition: of all routes that take it, each channel once; else of the default route.

    A channel is never told of its own failure.
    """
    found: dict[str, Target] = {}
    taken = list(_routes(condition, settings))
    ways = [(route.name, route.channels, route.quiet) for route in taken]
    if not taken:
        ways = [("default", settings.default.channels, settings.default.quiet)]
    for name, channels, quiet in ways:
        from_then = now if condition.severity == "error" else quiet_until(quiet, now)
        for channel in channels:
            if condition.id != f"channel {channel}":
                found.setdefault(channel, Target(name, channel, from_then))
    return list(found.values())


def _routes(condition: Condition, settings: AlertSettings) -> Iterator[Route]:
    for route in settings.routes:
        owned = not route.owners or not set(route.owners).isdisjoint(condition.owners)
        heard = not route.kinds or condition.kind in route.kinds
        if owned and heard and _RANK[condition.severity] >= _RANK[route.severity]:
            yield route


def quiet_until(quiet: QuietHours | None, now: dt.datetime) -> dt.datetime:
    """The end of the quiet time that `now` is in, or `now`. Times are the clock's of its zone, over midnight too."""
    if quiet is None:
        return now
    zone = ZoneInfo(quiet.time_zone)
    moment = now
    for _ in range(16):  # a quiet day follows a quiet night, at most for a week
        later = _end_of_quiet(quiet, moment.astimezone(zone))
        if later is None:
            return moment
        moment = later.astimezone(dt.timezone.utc)
    return now + dt.timedelta(days=7)


def _end_of_quiet(quiet: QuietHours, local: dt.datetime) -> dt.datetime | None:
    if _DAYS[local.weekday()] in quiet.days:
        return (local + dt.timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = (dt.time.fromisoformat(text) for text in (quiet.start, quiet.end))
    clock = local.time().replace(tzinfo=None)
    within = start <= clock < end if start <= end else clock >= start or clock < end
    if not within:
        return None
    day = local + dt.timedelta(days=1) if clock >= end else local
    return day.replace(hour=end.hour, minute=end.minute, second=0, microsecond=0)
