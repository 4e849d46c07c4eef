"""Quiet hours: the times of the day at which a system is left alone, as an analyst writes them."""

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WRITTEN = re.compile(
    r"^(?:(?P<first>mon|tue|wed|thu|fri|sat|sun)(?:-(?P<last>mon|tue|wed|thu|fri|sat|sun))?\s+)?"
    r"(?P<start>(?:[01]\d|2[0-3]):[0-5]\d)-(?P<end>(?:[01]\d|2[0-3]):[0-5]\d|24:00)$"
)


@dataclass(frozen=True)
class QuietHours:
    """`mon-fri 08:00-18:00`: on these days (0 is Monday) from `start` up to `end`, in minutes of the day.

    An `end` that is not later than `start` is on the day after.
    """

    days: frozenset[int]
    start: int
    end: int

    @staticmethod
    def parse(text: str) -> "QuietHours":
        """Raises ValueError with an example for what is not of this form."""
        found = _WRITTEN.match(text.strip().lower())
        if found is None:
            raise ValueError(f"{text!r} is not a span of hours: for example `22:00-06:00` or `mon-fri 08:00-18:00`")
        first = found["first"]
        if first is None:
            days = frozenset(range(7))
        else:
            begin = _DAYS.index(first)
            length = (_DAYS.index(found["last"] or first) - begin) % 7
            days = frozenset((begin + n) % 7 for n in range(length + 1))
        return QuietHours(days, _minutes(found["start"]), _minutes(found["end"]))

    def ends(self, local: dt.datetime) -> dt.datetime | None:
        """When the span that `local` lies in is over; None where it lies in none. Naive, in the system's own time."""
        length = self.end - self.start if self.end > self.start else self.end - self.start + 24 * 60
        for midnight in (_midnight(local), _midnight(local) - dt.timedelta(days=1)):
            begins = midnight + dt.timedelta(minutes=self.start)
            ends = begins + dt.timedelta(minutes=length)
            if midnight.weekday() in self.days and begins <= local < ends:
                return ends
        return None


def quiet_until(spans: Sequence[str], local: dt.datetime) -> dt.datetime | None:
    """When the quiet hours are over in which `local` lies; None where it lies in none of these spans."""
    ends = [end for span in spans if (end := QuietHours.parse(span).ends(local)) is not None]
    return max(ends, default=None)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _midnight(moment: dt.datetime) -> dt.datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
