"""How well calls are answered, day by day: repeat calls, handling time, and whether the card was found at first try.

`contact_centre.metrics` holds one document a day and reason, made again from `contact_centre.calls`; `contact_centre.lookups`
one a call whose card somebody looked up, with its first attempt, kept for longer than the log of accesses.
"""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from pymongo import IndexModel, UpdateOne

from sv_assets.access.log import COLLECTION as ACCESS_LOG
from sv_assets.contact_centre.calls import COLLECTION as CALLS
from sv_assets.contact_centre.calls import day_of
from sv_assets.contact_centre.look_up import CARD
from sv_assets.contact_centre.settings import ContactCentreSettings, load_settings
from sv_assets.errors import ConfigurationError
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, content_hash, ensure_indexes, find_many, in_batches, put

METRICS, LOOKUPS = "metrics", "lookups"
COUNTS = ("calls", "repeats", "timed", "seconds", "lookups", "found_first")
INDEXES = [IndexModel([("day", 1)])]
AGAIN = dt.timedelta(hours=1)
"""So far back the log is read again: entries of other machines may come in with earlier moments."""


@dataclass(frozen=True)
class Figures:
    """What was measured in some days, from the first to before the last. Shares are None where nothing was counted."""

    first: str
    before: str
    calls: int = 0
    repeats: int = 0
    timed: int = 0
    seconds: int = 0
    lookups: int = 0
    found_first: int = 0

    @property
    def repeat_share(self) -> float | None:
        return self.repeats / self.calls if self.calls else None

    @property
    def handling_seconds(self) -> float | None:
        return self.seconds / self.timed if self.timed else None

    @property
    def found_share(self) -> float | None:
        return self.found_first / self.lookups if self.lookups else None

    def shown(self) -> Document:
        """The counts, and the measures made of them."""
        shares = {"repeat_share": self.repeat_share, "found_at_first_try": self.found_share}
        rounded = {name: None if share is None else round(share, 4) for name, share in shares.items()}
        handling = self.handling_seconds
        return {**asdict(self), **rounded, "handling_seconds": None if handling is None else round(handling, 1)}


@dataclass(frozen=True)
class Change:
    """Before and after a day on which something changed; differences with the bounds of their 95 % interval."""

    day: str
    before: Figures
    after: Figures

    def shown(self) -> Document:
        a, b = self.before, self.after
        return {
            "change": self.day,
            "before": a.shown(),
            "after": b.shown(),
            "difference": {
                "repeat_share": _difference(a.repeats, a.calls, b.repeats, b.calls),
                "found_at_first_try": _difference(a.found_first, a.lookups, b.found_first, b.lookups),
                "handling_seconds": None
                if a.handling_seconds is None or b.handling_seconds is None
                else {"value": round(b.handling_seconds - a.handling_seconds, 1)},
            },
        }


def refresh_metrics(
    store: Store, settings: ContactCentreSettings | None = None, *, full: bool = False
) -> StationReport:
    """Bring the figures of all days up to the calls and look-ups that are there. Unchanged days are not written."""
    settings = settings or load_settings()
    report = StationReport()
    database = store.contact_centre
    for name in (METRICS, LOOKUPS):
        ensure_indexes(database[name], INDEXES)
    with lease(store, "contact_centre.metrics"):
        _count_calls(store, report)
        _count_lookups(store, settings, report, full)
    return report


def figures(store: Store, first: dt.date, before: dt.date) -> Figures:
    """What was measured from a day to before another."""
    total = Figures(first.isoformat(), before.isoformat())
    return _sum(total, by_day(store, first, before))


def around(store: Store, change: dt.date, days: int) -> Change:
    """So many days before a change, against as many from its day on. Raises ConfigurationError for less than one, and for
    more than the calendar has."""
    if days < 1:
        raise ConfigurationError("Compare at least one day before and after: --days 28.")
    try:
        span = dt.timedelta(days=days)
        first, before = change - span, change + span
    except OverflowError:
        raise ConfigurationError(f"There are no {days} days before and after {change}: --days 28.") from None
    return Change(change.isoformat(), figures(store, first, change), figures(store, change, before))


def by_day(store: Store, first: dt.date, before: dt.date) -> list[Figures]:
    """The figures of each day with calls or look-ups, in order."""
    span = {"$gte": first.isoformat(), "$lt": before.isoformat()}
    days: dict[str, Document] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    for found in store.contact_centre[METRICS].find({"day": span}):
        for name in ("calls", "repeats", "timed", "seconds"):
            days[found["day"]][name] += found[name]
    for lookup in store.contact_centre[LOOKUPS].find({"day": span}, {"day": 1, "found": 1}):
        days[lookup["day"]]["lookups"] += 1
        days[lookup["day"]]["found_first"] += bool(lookup["found"])
    one = dt.timedelta(days=1)
    return [
        Figures(day, (dt.date.fromisoformat(day) + one).isoformat(), **counts) for day, counts in sorted(days.items())
    ]


def by_reason(store: Store, first: dt.date, before: dt.date) -> list[Document]:
    """Calls and repeats by reason, most calls first."""
    span = {"$gte": first.isoformat(), "$lt": before.isoformat()}
    sums: dict[str, Document] = {}
    for day in store.contact_centre[METRICS].find({"day": span}):
        one = sums.setdefault(day["reason"], {"reason": day["reason"], "calls": 0, "repeats": 0})
        one["calls"] += day["calls"]
        one["repeats"] += day["repeats"]
    return sorted(sums.values(), key=lambda one: (-one["calls"], one["reason"]))


def _count_calls(store: Store, report: StationReport) -> None:
    groups = store.contact_centre[CALLS].aggregate(
        [
            {
                "$group": {
                    "_id": {"$concat": ["$day", "|", "$reason"]},
                    "day": {"$first": "$day"},
                    "reason": {"$first": "$reason"},
                    "calls": {"$sum": 1},
                    "repeats": {"$sum": {"$cond": [{"$eq": [{"$ifNull": ["$repeats", None]}, None]}, 0, 1]}},
                    "timed": {"$sum": {"$cond": [{"$eq": [{"$ifNull": ["$seconds", None]}, None]}, 0, 1]}},
                    "seconds": {"$sum": {"$ifNull": ["$seconds", 0]}},
                }
            }
        ]
    )
    collection = store.contact_centre[METRICS]
    seen: set[str] = set()
    for batch in in_batches(groups):
        made = [{**group, "_sv": {"hash": content_hash(group)}} for group in batch]
        seen.update(day["_id"] for day in made)
        stored = {
            d["_id"]: d["_sv"]["hash"] for d in find_many(collection, "_id", [d["_id"] for d in made], {"_sv": 1})
        }
        inserted, updated = put(collection, [d for d in made if stored.get(d["_id"]) != d["_sv"]["hash"]], stored)
        report.inserted += inserted
        report.updated += updated
        report.read += len(batch)
    gone = [d["_id"] for d in collection.find({}, {"_id": 1}) if d["_id"] not in seen]
    for some in in_batches(gone):
        report.deleted += collection.delete_many({"_id": {"$in": some}}).deleted_count


def _count_lookups(store: Store, settings: ContactCentreSettings, report: StationReport, full: bool) -> None:
    """The first attempt of each call, from the log of accesses; what the log has forgotten meanwhile stays."""
    state = store.contact_centre["state"]
    reached = state.find_one({"_id": LOOKUPS})
    anew = full or reached is None or reached.get("rules") != settings.call_rules
    since = dt.datetime.min.replace(tzinfo=dt.timezone.utc) if reached is None or anew else reached["at"] - AGAIN
    latest, now = since, dt.datetime.now(dt.timezone.utc)
    log = store.control[ACCESS_LOG].find({"at": {"$gte": since}}).batch_size(10_000)
    for batch in in_batches(log):
        updates = []
        for entry in batch:
            latest = max(latest, min(entry["at"], now))  # a clock that is ahead must not hide what others write
            if entry.get("call") is None or entry["collection"] != CARD or entry["outcome"] == "refused":
                continue
            first = {
                "_id": entry["call"],
                "at": entry["at"],
                "day": day_of(entry["at"], settings.zone),
                "found": 1 <= len(entry["customers"]) <= settings.measures.found_at_most,
                "entry": entry["_id"],
            }
            earlier = {"$lte": [{"$ifNull": ["$at", entry["at"]]}, entry["at"]]}
            there = {"$ne": [{"$ifNull": ["$entry", None]}, None]}
            same = {"$and": [{"$eq": [f"${name}", {"$literal": first[name]}]} for name in ("day", "found")]}
            stays = {"$or": [{"$ne": ["$entry", entry["_id"]]}, same]}
            known = {"$and": [earlier, there, stays]}
            change = [{"$replaceWith": {"$cond": [known, "$$ROOT", {"$literal": first}]}}]
            updates.append(UpdateOne({"_id": entry["call"]}, change, upsert=True))
        inserted, updated = bulk_write(store.contact_centre[LOOKUPS], updates)
        report.inserted += inserted
        report.updated += updated
    if latest > since:
        state.replace_one({"_id": LOOKUPS}, {"at": latest, "rules": settings.call_rules}, upsert=True)


def _difference(a: int, of_a: int, b: int, of_b: int) -> Document | None:
    """Of two shares, after less before, with its 95 % interval. None where one has no counts.

    The interval is Newcombe's, made of Wilson's for each share: right for few calls, and for shares of none or all.
    """
    if not of_a or not of_b:
        return None
    p, q = a / of_a, b / of_b
    (low_p, high_p), (low_q, high_q) = _wilson(a, of_a), _wilson(b, of_b)
    low = q - p - math.hypot(q - low_q, high_p - p)
    high = q - p + math.hypot(high_q - q, p - low_p)
    return {"value": round(q - p, 4), "from": round(low, 4), "to": round(high, 4)}


def _wilson(count: int, of: int) -> tuple[float, float]:
    share, z2 = count / of, 1.96**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    margin = 1.96 / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return middle - margin, middle + margin


def weeks(days: Iterable[Figures]) -> list[Figures]:
    """Figures of days put together by the week (from Monday on), in order."""
    sums: dict[dt.date, Figures] = {}
    for day in days:
        date = dt.date.fromisoformat(day.first)
        monday = date - dt.timedelta(days=date.weekday())
        empty = Figures(monday.isoformat(), (monday + dt.timedelta(days=7)).isoformat())
        sums[monday] = _sum(sums.get(monday, empty), [day])
    return [sums[monday] for monday in sorted(sums)]


def _sum(total: Figures, more: Iterable[Figures]) -> Figures:
    added = list(more)
    counts = {name: getattr(total, name) + sum(getattr(one, name) for one in added) for name in COUNTS}
    return replace(total, **counts)
