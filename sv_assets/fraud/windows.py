"""Windows of time before an order. All are half-open, [t - w, t): what happens at t itself is not before it.

Time is when an order was placed (or money was paid back), never when we heard of it: so an order that comes late counts
in the windows of all orders after it, and those are evaluated again.
"""

import datetime as dt
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol, TypeVar

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
LONGEST = 365 * DAY
"""No signal asks about what happened longer ago."""
EVER = dt.timedelta.max
"""From the first moment that there is on."""


class Placed(Protocol):
    """What happened at a time."""

    @property
    def at(self) -> dt.datetime: ...


P = TypeVar("P", bound=Placed)


def before(ordered: Sequence[P], at: dt.datetime, window: dt.timedelta) -> Sequence[P]:
    """Those of `ordered` (by `at`, the earliest first) that lie in [at - window, at)."""
    return ordered[bisect_left(ordered, earliest(at, window), key=_at) : bisect_left(ordered, at, key=_at)]


def falls_within(moment: dt.datetime | None, at: dt.datetime, window: dt.timedelta) -> bool:
    """True if the moment lies in [at - window, at)."""
    return moment is not None and earliest(at, window) <= moment < at


def earliest(at: dt.datetime, window: dt.timedelta) -> dt.datetime:
    """The beginning of the window before `at`."""
    try:
        return at - window
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.timezone.utc)


def latest(at: dt.datetime, window: dt.timedelta) -> dt.datetime:
    """The last moment in whose window before it `at` lies: that of an order exactly so long after it."""
    try:
        return at + window
    except OverflowError:
        return dt.datetime.max.replace(tzinfo=dt.timezone.utc)


def _at(item: Placed) -> dt.datetime:
    return item.at
