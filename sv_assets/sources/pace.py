"""How fast, and when, a legacy system may be read."""

import datetime as dt
import time
from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter

from sv_assets.catalogue.model import System
from sv_assets.catalogue.quiet_hours import quiet_until
from sv_assets.errors import ConfigurationError

_A_YEAR = dt.timedelta(days=366)


class Throttle:
    """Keeps reading below a number of rows a second; None reads as fast as it can."""

    def __init__(self, rows_per_second: float | None) -> None:
        self._rate = rows_per_second
        self._free_at = time.monotonic()

    def rest(self, rows: int) -> None:
        """Sleep until so many rows may have been read."""
        if self._rate is None:
            return
        self._free_at += rows / self._rate
        wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        else:  # reading was slower than it may be: that is not made up for later
            self._free_at = time.monotonic()


def zone_of(system: System) -> ZoneInfo:
    """The time zone of a system's clock; raises ConfigurationError for one that is not known."""
    try:
        return ZoneInfo(system.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"system {system.system}: {system.time_zone!r} is not a time zone. Use a name such as Europe/London in its "
            "defs.yaml."
        ) from None


def opens_at(
    allowed_times: Sequence[str], quiet_hours: Sequence[str], zone: ZoneInfo, moment: dt.datetime
) -> dt.datetime | None:
    """The next minute at which a system may be read, in its own time, naive; None where there is none within a year."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    candidate = local
    while candidate - local < _A_YEAR:
        if (ends := quiet_until(quiet_hours, candidate)) is not None:
            candidate = ends
        elif allowed_times and not any(croniter.match(expression, candidate) for expression in allowed_times):
            candidate = min(croniter(expression, candidate).get_next(dt.datetime) for expression in allowed_times)
        else:
            return candidate
    return None
