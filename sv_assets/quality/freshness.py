"""Whether a feed still runs: how old its newest row is, against what its own history lets expect.

A silence counts as a stop when, by the usual rows of those hours of the week, as many should have come that hearing none is
next to impossible, when it is longer than any before, and when it has lasted for a day and a half. Who needs to know sooner
declares `expect: {freshness: 2h}`.
"""

import datetime as dt
import math
from collections import defaultdict

from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import as_moment
from sv_assets.mongo import in_batches
from sv_assets.quality import names
from sv_assets.quality.arrivals import Arrivals, arrivals_of
from sv_assets.quality.result import Result
from sv_assets.quality.subject import LIVE, Subject, value_at

CHECK = names.FRESH
PATIENCE = dt.timedelta(hours=36)
MISSED = 12.0
"""So many rows are expected and none came: by chance once in e^12 = 160,000 silences."""
LONGER = 1.5
WEEKS = 8
FEWEST = 30
"""Below this number of rows there is no rhythm to speak of."""
NEWEST_ORDERS = 150


def fresh(subject: Subject) -> Result:
    """The age of the newest row, against the declared or the usual limit."""
    expected = subject.source.entry.expect.freshness
    path = subject.source.told_at
    if expected == "off":
        return subject.unseen(CHECK, "its declaration says `freshness: off`.")
    if path is None:
        return _fresh_by_orders(subject)
    arrivals = arrivals_of(subject, path)
    if arrivals is None:
        return subject.unseen(CHECK, f"no row that has landed has a moment in {path}, 0 of them.")
    age = subject.now - arrivals.newest
    figures = {"age_hours": _hours(age), "newest": arrivals.newest.isoformat(timespec="seconds")}
    if isinstance(expected, dt.timedelta):
        sentence = f"The newest row is {_hours(age)} h old by {path}; at most {_hours(expected)} h are declared."
        return subject.result(CHECK, age <= expected, sentence, _look(subject), limit_hours=_hours(expected), **figures)
    missed, longest, seen = rhythm(subject, arrivals)
    figures |= {"rows_expected_since": round(missed, 1), "longest_silence_hours": longest, "rows_in_history": seen}
    stopped = seen >= FEWEST and age > PATIENCE and missed >= MISSED and _hours(age) > LONGER * longest
    if stopped:
        sentence = (
            f"The newest row is {_hours(age)} h old by {path}, in which time some {missed:,.0f} rows come usually; the "
            f"longest silence before was {longest} h. The feed has stopped."
        )
    else:
        sentence = (
            f"The newest row is {_hours(age)} h old by {path}; the longest silence in its history is {longest} h."
        )
    return subject.result(CHECK, not stopped, sentence, _look(subject), **figures)


def rhythm(subject: Subject, arrivals: Arrivals) -> tuple[float, int, int]:
    """(the rows usually expected since the newest, the longest silence before it in hours, how many rows say so).

    By the hours of the week over the last weeks before the newest row; where those have few rows, over all that is kept.
    """
    zone = subject.zone
    newest, now = (moment.astimezone(zone).replace(tzinfo=None) for moment in (arrivals.newest, subject.now))
    first = arrivals.first_day
    if first is None:
        return 0.0, 0, 0
    begun = dt.datetime.combine(first, dt.time())
    for weeks in (WEEKS, 26):
        since = max(begun, newest - dt.timedelta(weeks=weeks))
        hours = list(arrivals.hours(since, newest))
        seen = sum(rows for _, rows in hours)
        if seen >= 4 * FEWEST:
            break
    rows_at: dict[int, int] = defaultdict(int)
    times_at: dict[int, int] = defaultdict(int)
    silence = longest = 0
    for hour, rows in hours:
        rows_at[_hour_of_week(hour)] += rows
        times_at[_hour_of_week(hour)] += 1
        silence = 0 if rows else silence + 1
        longest = max(longest, silence)
    missed, hour = 0.0, newest.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    while hour + dt.timedelta(hours=1) <= now:
        place = _hour_of_week(hour)
        missed += rows_at[place] / times_at[place] if times_at[place] else seen / max(len(hours), 1)
        hour += dt.timedelta(hours=1)
    return missed, longest, seen


def _fresh_by_orders(subject: Subject) -> Result:
    """A table without a moment of its own that tells of orders: do the newest orders have such rows, as others do?"""
    owner = _order_of(subject)
    if owner is None:
        return subject.unseen(
            CHECK, "nothing says when a row happened (0 columns); declare `expect: {happened_at: …}`."
        )
    orders, column = owner
    placed_at = orders.entry.feeds.order.placed_at if orders.entry.feeds.order else ""
    of_orders = Subject(subject.store, subject.catalogue, orders, subject.now)
    field = of_orders.field(placed_at)
    newest = of_orders.landed.find({field: {"$lte": subject.now}, **LIVE}, {field: 1}).sort(field, -1)
    found = [(document["_id"], as_moment(value_at(document, field))) for document in newest.limit(NEWEST_ORDERS)]
    with_rows = set()
    for ids in in_batches(identifier for identifier, _ in found):
        rows = subject.landed.find({subject.field(column): {"$in": ids}, **LIVE}, {subject.field(column): 1})
        with_rows |= {value_at(row, subject.field(column)) for row in rows}
    without = next((n for n, (identifier, _) in enumerate(found) if identifier in with_rows), len(found))
    older = found[without:]
    share = sum(identifier in with_rows for identifier, _ in older) / len(older) if older else 0.0
    figures = {"newest_orders_without": without, "share_of_orders_with": round(share, 3), "orders": len(found)}
    if not older or len(found) < FEWEST or share == 0:
        return subject.unseen(CHECK, f"only {len(found) - without:,} orders have rows here to tell a rhythm by.")
    newest_with = older[0][1]
    age = subject.now - newest_with if newest_with else dt.timedelta()
    missed = -without * math.log(max(1 - share, 0.01))
    stopped = without > 0 and age > PATIENCE and missed >= MISSED
    sentence = (
        f"Of the newest {len(found):,} orders the last {without:,} have no row here; usually {share:.0%} have one."
    )
    return subject.result(CHECK, not stopped, sentence, _look(subject), age_hours=_hours(age), **figures)


def _order_of(subject: Subject) -> tuple[Source, str] | None:
    feeds = subject.source.entry.feeds
    for feed in (feeds.order_line, feeds.payment, feeds.refund):
        if feed is not None and feed.order.id is not None and not subject.source.is_queue:
            orders = subject.catalogue.order_source(feed.order.system or subject.source.system)
            return (orders, feed.order.id) if not orders.is_queue else None
    return None


def _look(subject: Subject) -> str:
    return f"sv queues inspect {subject.source.key}" if subject.source.is_queue else "sv doctor"


def _hours(span: dt.timedelta) -> float:
    return round(span.total_seconds() / 3600, 1)


def _hour_of_week(hour: dt.datetime) -> int:
    return hour.weekday() * 24 + hour.hour
