"""How fast, and when, a legacy system may be read."""

import datetime as dt
import time
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from croniter import croniter


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


def is_allowed(allowed_times: Sequence[str], zone: ZoneInfo, moment: dt.datetime) -> bool:
    """Whether the minute of `moment` matches one of the cron expressions; always, where there is none."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    return not allowed_times or any(croniter.match(expression, local) for expression in allowed_times)


def next_allowed(allowed_times: Sequence[str], zone: ZoneInfo, moment: dt.datetime) -> dt.datetime:
    """The next minute that matches, in the system's own time, naive."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    moments: list[dt.datetime] = [croniter(expression, local).get_next(dt.datetime) for expression in allowed_times]
    return min(moments)
