"""Calls, each with whether it repeats an earlier one: the same customer about the same reason, within the declared time.

A call at t repeats the one before it at s where s <= t < s + window. Which customer made a call follows who is who: customers
whose calls changed, came or went are worked off whole, so late calls and merges come out as if all had been there at once.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from pymongo import IndexModel

from sv_assets.contact_centre.reasons import reason_word
from sv_assets.contact_centre.settings import ContactCentreSettings, load_settings
from sv_assets.customers.activity import amount
from sv_assets.customers.values import moment
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, content_hash, ensure_indexes, find_many, in_batches, put
from sv_assets.progress import Progress
from sv_assets.worklist import clear_pending, pending_batches

STATION = "calls"
COLLECTION = "calls"
INDEXES = [IndexModel([("customer_id", 1)]), IndexModel([("day", 1)])]
BATCH = 500
MOST_SECONDS = 86_400
"""Nobody talks for longer than a day: more is a mistake, and counts as a call of no known duration."""


def refresh_calls(store: Store, settings: ContactCentreSettings | None = None, *, full: bool = False) -> StationReport:
    """Measure the calls of each customer whose calls changed, or of all (`full`, or measured otherwise than last time)."""
    settings = settings or load_settings()
    report = StationReport()
    clusters, state = store.identity["clusters"], store.contact_centre["state"]
    ensure_indexes(store.contact_centre[COLLECTION], INDEXES)
    progress = Progress("calls", "customers")
    with lease(store, "contact_centre.calls"):
        made_by = state.find_one({"_id": STATION})
        everything = full or made_by is None or made_by["rules"] != settings.call_rules
        fields = {"_sv": 1}
        if everything:
            for batch in in_batches(clusters.find({}, fields).batch_size(10_000), BATCH):
                _work_off(store, batch, settings, report)
                progress.advance(len(batch))
        for batch in pending_batches(clusters, STATION, BATCH, fields):
            _work_off(store, batch, settings, report)
            progress.advance(len(batch))
        if everything:
            state.replace_one({"_id": STATION}, {"rules": settings.call_rules}, upsert=True)
    return report


def measured(calls: Iterable[Document], window: dt.timedelta, zone: ZoneInfo) -> Iterator[Document]:
    """Calls (interactions) of one customer as they are kept; those without a moment are left out.

    `{_id, customer_id, at, day, reason, seconds, repeats}`: `day` in the time zone, `repeats` the id of the call before.
    """
    by_reason: dict[str, list[tuple[dt.datetime, str, Document]]] = defaultdict(list)
    for call in calls:
        if (at := moment(call["at"])) is not None:
            by_reason[reason_word(call["reason"])].append((at, str(call["_id"]), call))
    for reason, some in sorted(by_reason.items()):
        before: tuple[dt.datetime, Any] | None = None
        for at, _, call in sorted(some, key=lambda one: one[:2]):
            yield {
                "_id": call["_id"],
                "customer_id": call["customer_id"],
                "at": at,
                "day": day_of(at, zone),
                "reason": reason,
                "seconds": _seconds(call["duration_seconds"]),
                "repeats": before[1] if before is not None and at - before[0] < window else None,
            }
            before = at, call["_id"]


def is_call(interaction: Document, settings: ContactCentreSettings) -> bool:
    """True for interactions of the declared kinds; case does not matter."""
    return str(interaction["kind"]).casefold() in {kind.casefold() for kind in settings.measures.call_kinds}


def day_of(at: dt.datetime, zone: ZoneInfo) -> str:
    """The day of a moment by the clock of the retailer, as 2026-03-01."""
    try:
        return at.astimezone(zone).date().isoformat()
    except OverflowError:  # in the first or last hours that there are
        return at.date().isoformat()


def _seconds(said: Any) -> int | None:
    """How long a call took, whatever type the column has; None for what is no such time."""
    found = None if isinstance(said, bool) else amount(said)
    seconds = None if found is None else found.units // 10**found.places
    return seconds if seconds is not None and 0 <= seconds <= MOST_SECONDS else None


def _work_off(store: Store, clusters: list[Document], settings: ContactCentreSettings, report: StationReport) -> None:
    """One batch after the other, each read after the last one is written: a call may move from one customer to the next."""
    ids = [cluster["_id"] for cluster in clusters]
    by_customer: dict[str, list[Document]] = defaultdict(list)
    for fact in find_many(store.single_view["interactions"], "customer_id", ids):
        if is_call(fact, settings):
            by_customer[fact["customer_id"]].append(fact)
    window, zone = settings.measures.repeat_within, settings.zone
    made = [call for calls in by_customer.values() for call in measured(calls, window, zone)]
    for call in made:
        call["_sv"] = {"hash": content_hash(call)}
    collection = store.contact_centre[COLLECTION]
    theirs = {d["_id"] for d in find_many(collection, "customer_id", ids, {"_id": 1})}
    stored = {d["_id"]: d["_sv"]["hash"] for d in find_many(collection, "_id", [c["_id"] for c in made], {"_sv": 1})}
    inserted, updated = put(collection, [c for c in made if stored.get(c["_id"]) != c["_sv"]["hash"]], stored)
    for batch in in_batches(sorted(theirs - {call["_id"] for call in made}, key=str)):
        report.deleted += collection.delete_many({"_id": {"$in": batch}}).deleted_count
    report.inserted += inserted
    report.updated += updated
    report.read += len(clusters)
    waiting = [cluster for cluster in clusters if STATION in cluster["_sv"].get("pending", ())]
    bulk_write(store.identity["clusters"], clear_pending(waiting, STATION, "revision"))
