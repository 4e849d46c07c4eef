"""Rows that come days after they happened: what was added to days that had been over and counted.

Copies of old rows under new keys are added to old days too; they are one of `no_doubled_rows`, and are not counted here.
"""

import datetime as dt
import statistics

from sv_assets.quality import names
from sv_assets.quality.arrivals import arrivals_of, kept_days
from sv_assets.quality.doubles import doubled_on
from sv_assets.quality.result import Result
from sv_assets.quality.subject import Subject

CHECK = names.LATENESS
FEWEST = 20
SHARE = 0.05
"""Late rows are an alarm from this share of a usual week on."""


def arrives_in_time(subject: Subject) -> Result:
    """The rows that were added to days that were over for longer than `late_after` when they were counted last."""
    path = subject.source.happened_at
    if path is None:
        return subject.unseen(CHECK, "nothing says once and for all when a row happened (0 columns).")
    before = kept_days(subject, path)
    arrivals = arrivals_of(subject, path, recount=True)
    if arrivals is None or not before:
        return subject.unseen(CHECK, "days are counted for the first time, 0 to compare with.")
    counted_until = dt.date.fromisoformat(max(before))
    closed = counted_until - subject.source.entry.expect.late_after
    first = dt.date.fromisoformat(min(before))
    late: dict[dt.date, int] = {}
    for text, hours in arrivals.days.items():
        day = dt.date.fromisoformat(text)
        added = sum(hours) - sum(before.get(text, ()))
        if first <= day <= closed and added > 0:
            late[day] = added
    if sum(late.values()) >= FEWEST:
        late = {day: added - doubled_on(subject, path, day) for day, added in late.items()}
        late = {day: added for day, added in late.items() if added > 0}
    total = sum(late.values())
    week = 7 * statistics.fmean(sum(hours) for hours in arrivals.days.values())
    oldest = max(((subject.today - day).days for day in late), default=0)
    passed = total < max(FEWEST, SHARE * week)
    sentence = f"{total:,} rows of days up to {closed:%d %B %Y} have come since, the oldest {oldest} days late; a week has {week:,.0f}."
    return subject.result(
        CHECK, passed, sentence, late=total, oldest_days=oldest, share_of_a_week=round(total / week, 4) if week else 0.0
    )
