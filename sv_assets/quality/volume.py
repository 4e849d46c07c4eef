"""Whether a day has as many rows as such days have: against the same weekday of the weeks before.

The day that is judged is the last one before that of the newest row: it is over, and the feed has gone on since. Silence up
to now is not a matter of volume but of freshness, and rows that stand there twice are one of `no_doubled_rows`.
"""

import datetime as dt
import statistics

from sv_assets.quality import names
from sv_assets.quality.arrivals import Arrivals, arrivals_of
from sv_assets.quality.doubles import doubled_on
from sv_assets.quality.result import Result
from sv_assets.quality.subject import Subject

CHECK = names.VOLUME
WEEKS = 8
FEWEST_WEEKS = 4
SPREADS = 5.0
"""How many usual deviations from the median are too many."""
FACTOR = 1.6
"""… and how many times the median, or what part of it, besides."""
FEWEST_ROWS = 10


def volume_as_usual(subject: Subject) -> Result:
    """The rows of the last whole day."""
    path = subject.source.happened_at
    if subject.source.entry.expect.volume == "off":
        return subject.unseen(CHECK, "its declaration says `volume: off`.")
    if path is None:
        return subject.unseen(CHECK, "nothing says once and for all when a row happened (0 columns).")
    arrivals = arrivals_of(subject, path)
    if arrivals is None:
        return subject.unseen(CHECK, f"no row that has landed has a moment in {path}, 0 of them.")
    day = arrivals.newest.astimezone(subject.zone).date() - dt.timedelta(days=1)
    before = same_weekdays(arrivals, day)
    rows = arrivals.of_day(day)
    if len(before) < FEWEST_WEEKS:
        return subject.unseen(CHECK, f"{len(before)} weeks of history are too few to tell what is usual.")
    usual = statistics.median(before)
    low, high = limits(before)
    doubled = doubled_on(subject, path, day) if rows > high else 0
    passed = low <= rows - doubled <= high
    name = f"{day:%A %d %B}"
    sentence = f"{name} has {rows:,} rows; such a day has {usual:,.0f} usually, and {low:,.0f} to {high:,.0f} pass."
    if doubled:
        sentence += f" {doubled:,} of them stand there twice, which is not counted here."
    return subject.result(
        CHECK, passed, sentence, day=day.isoformat(), rows=rows, usual=usual, low=round(low), high=round(high),
        doubled=doubled, weeks=len(before),
    )  # fmt: skip


def same_weekdays(arrivals: Arrivals, day: dt.date) -> list[int]:
    """The rows of the same weekday in the weeks before, as far back as there are any at all, whole weeks only."""
    first = arrivals.first_day
    days = [day - dt.timedelta(weeks=n) for n in range(1, WEEKS + 1)]
    return [arrivals.of_day(d) for d in days if first is not None and d > first]


def limits(before: list[int]) -> tuple[float, float]:
    """Between which numbers of rows a day passes.

    The usual deviation is the median one (made a standard deviation by 1.4826), and not less than chance alone makes of
    such a number (its square root).
    """
    usual = statistics.median(before)
    spread = max(1.4826 * statistics.median(abs(n - usual) for n in before), usual**0.5)
    low = min(usual - SPREADS * spread, usual / FACTOR) if usual >= FEWEST_ROWS else 0.0
    return max(low, 0.0), max(usual + SPREADS * spread, usual * FACTOR, FEWEST_ROWS)
