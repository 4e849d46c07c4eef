"""The days that the data covers, and date-times as the legacy systems write them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
WINDOW_DAYS = 730
"""Days of trading that the data covers, the last of them the day before `until`."""
_HISTORY_DAYS = 4_500
_OPENING = 6 * 3600
_CLOSING = 22 * 3600 + 59 * 60
_OPEN_SECONDS = _CLOSING - _OPENING

Draw = Callable[[], float]
"""Gives the next uniform number in [0, 1)."""


@dataclass(frozen=True)
class Calendar:
    """Days count from 0, the first of the window, to `last`; earlier days are negative (about twelve years back)."""

    until: date

    @cached_property
    def last(self) -> int:
        return WINDOW_DAYS - 1

    @cached_property
    def _dates(self) -> tuple[str, ...]:
        first = self.until - timedelta(days=WINDOW_DAYS + _HISTORY_DAYS)
        return tuple((first + timedelta(days=n)).isoformat() for n in range(WINDOW_DAYS + _HISTORY_DAYS))

    @cached_property
    def _times(self) -> tuple[str, ...]:
        return tuple(
            f" {s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}.{s * 7_919 % 1_000:03d}"
            for s in range(_OPENING, _CLOSING)
        )

    def date(self, day: int) -> str:
        """`YYYY-MM-DD`."""
        return self._dates[day + _HISTORY_DAYS]

    def stamp(self, day: int, draw: Draw) -> str:
        """A naive London date-time, `YYYY-MM-DD HH:MM:SS.mmm`, in opening hours: so never in a daylight-saving gap."""
        return self._dates[day + _HISTORY_DAYS] + self._times[int(draw() * _OPEN_SECONDS)]

    def instant(self, day: int, draw: Draw) -> str:
        """A UTC instant as the queues write it, `YYYY-MM-DDTHH:MM:SS.mmmZ`."""
        return self.stamp(day, draw).replace(" ", "T") + "Z"

    @property
    def closing(self) -> datetime:
        """The instant after which nothing was written by the seed: 23:00 London time on the last day."""
        last = self.until - timedelta(days=1)
        return datetime(last.year, last.month, last.day, 23, tzinfo=LONDON).astimezone(UTC)


def datetime_of_thirds(stamp: str) -> str:
    """SQL Server's `datetime` keeps 1/300 s: the last digit of the milliseconds becomes 0, 3 or 7."""
    return stamp[:-1] + "0003337777"[int(stamp[-1])]


def london_stamp(instant: datetime) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm` in naive London time."""
    return instant.astimezone(LONDON).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def utc_stamp(instant: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
