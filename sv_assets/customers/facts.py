"""What all facts about a customer share: whose they are, how they are written, and who must hear of it.

A fact (an order, an interaction, a consent) points to the party record it is about; its `customer_id` follows that
record through merges and splits. A fact whose record is not known yet is marked `unresolved` and tried again each run.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel, UpdateOne

from sv_assets import sealing
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers.readers import GONE, READERS
from sv_assets.identity.customer_ids import current_ids
from sv_assets.identity.party import StationReport, row_version
from sv_assets.lease import lease
from sv_assets.mongo import (
    Document,
    Store,
    bulk_write,
    content_hash,
    ensure_indexes,
    find_many,
    in_batches,
    put,
)
from sv_assets.progress import Progress
from sv_assets.sources.keys import key_text
from sv_assets.worklist import PENDING_INDEX, clear_pending, mark_pending, pending_batches, work_off

INDEXES = [
    PENDING_INDEX,
    IndexModel([("customer_id", 1)]),
    IndexModel([("party", 1)]),
    IndexModel([("unresolved", 1)], sparse=True),
]
BATCH_ROWS = 500


@dataclass(frozen=True)
class Built:
    """Facts as they are now, the ids of those that are gone, and by source key the landed rows that went into them."""

    facts: list[Document]
    gone: list[str]
    used: dict[str, list[Document]]


@dataclass(frozen=True)
class FactStation:
    """One kind of fact: the feeds it is made from (the first one starts a fact, others add to it), and how."""

    name: str
    feeds: tuple[str, ...]
    build: Callable[[Store, Catalogue, Source, list[Document]], Built]
    indexes: tuple[IndexModel, ...] = ()
    readers: tuple[str, ...] = ("customers",)
    """Stations that work off the customers whose facts of this kind changed."""


def refresh_facts(store: Store, catalogue: Catalogue, station: FactStation, *, full: bool = False) -> StationReport:
    """Bring the facts up to what has landed and to who is who now. Unchanged facts are not written."""
    report = StationReport()
    facts = store.single_view[station.name]
    ensure_indexes(facts, [*INDEXES, *station.indexes])
    sources = [s for s in catalogue.sources if any(s.feeds_into(feed) for feed in station.feeds)]
    with lease(store, station.name):
        for source in sources:
            _refresh_from(store, catalogue, station, source, report, full and source.feeds_into(station.feeds[0]))
        _follow_moved_records(store, station, report)
        _retry_unresolved(store, station, report)
    return report


def _refresh_from(
    store: Store, catalogue: Catalogue, station: FactStation, source: Source, report: StationReport, full: bool
) -> None:
    progress = Progress(f"{station.name} from {source.key}", "rows")

    def write(rows: list[Document], built: Built) -> None:
        _write(store, station, built.facts, built.gone, report)
        for key, used in built.used.items():
            waiting = (row for row in used if station.name in row["_sv"].get("pending", []))
            bulk_write(store.landing[key], clear_pending(waiting, station.name, "hash"))
        report.read += len(rows)
        progress.advance(len(rows))

    work_off(
        store.landing[source.key],
        station.name,
        BATCH_ROWS,
        lambda rows: station.build(store, catalogue, source, rows),
        write,
        everything=full,
    )


def origin(source: Source, row: Document) -> Document:
    """Where a fact comes from: the part of its provenance that is the same for all its values."""
    record = source.record_id(key_text(row["_id"]))
    return {
        "record": record,
        "system": source.system,
        "table": source.name,
        "key": row["_id"],
        "version": row_version(source, row),
    }


def facts_of_rows(name: str, make: Callable[[Catalogue, Source, Document], list[Document]]) -> Any:
    """A `build` for facts that stand in one row each (or several in one): `make` gives those of one row."""

    def build(store: Store, catalogue: Catalogue, source: Source, rows: list[Document]) -> Built:
        facts = [fact for row in rows if not row["_sv"]["deleted"] for fact in make(catalogue, source, row)]
        records = [source.record_id(key_text(row["_id"])) for row in rows]
        before = {d["_id"] for d in find_many(store.single_view[name], "record", records, {"_id": 1})}
        return Built(facts, sorted(before - {fact["_id"] for fact in facts}), {source.key: rows})

    return build


def _write(
    store: Store, station: FactStation, built: list[Document], gone: Iterable[str], report: StationReport
) -> None:
    """Write the facts that changed, and put their customers on the work list.

    After the facts, because another run may compose a customer at any time. Who loses a fact is marked before as well:
    once it is gone, a run that comes after a crash would not know whose it was.
    """
    collection = store.single_view[station.name]
    ids = current_ids(store, {fact["party"] for fact in built if fact["party"]})
    built = _sealed(store, station, [resolved(fact, ids) for fact in built])
    gone = list(gone)
    wanted = [*(fact["_id"] for fact in built), *gone]
    stored = {d["_id"]: d for d in find_many(collection, "_id", wanted, {"_sv": 1, "customer_id": 1})}
    changed = [f for f in built if stored.get(f["_id"], {}).get("_sv", {}).get("hash") != f["_sv"]["hash"]]
    there = [identifier for identifier in gone if identifier in stored]
    owners = {f["_id"]: f["customer_id"] for f in changed}
    losers = {
        d["customer_id"] for i, d in stored.items() if (i in there or i in owners) and d["customer_id"] != owners.get(i)
    }
    clusters = store.identity["clusters"]
    for reader in station.readers:
        bulk_write(clusters, mark_pending(losers - {None}, reader))
    if readers := READERS.get(station.name):
        changed = [{**f, "_sv": {**f["_sv"], "pending": list(readers)}} for f in changed]
        bulk_write(store.single_view[GONE], [_gone(station.name, i, readers) for i in there])
    inserted, updated = put(collection, changed, stored)
    report.inserted += inserted
    report.updated += updated
    for batch in in_batches(there):
        report.deleted += collection.delete_many({"_id": {"$in": batch}}).deleted_count
    touched = losers | {fact["customer_id"] for fact in built}
    for reader in station.readers:
        bulk_write(clusters, mark_pending(touched - {None}, reader))


def _gone(name: str, identifier: str, readers: tuple[str, ...]) -> UpdateOne:
    change: Document = {"$addToSet": {"_sv.pending": {"$each": list(readers)}}, "$inc": {"_sv.revision": 1}}
    return UpdateOne({"_id": identifier}, {"$set": {"of": name}, **change}, upsert=True)


def resolved(fact: Document, ids: dict[str, str]) -> Document:
    """The fact with the customer_id that its party has, and the hash that tells whether it changed."""
    fact = {**fact, "customer_id": fact.get("pseudonym", ids.get(fact["party"]))}
    if fact["customer_id"] is None:
        fact["unresolved"] = True
    else:
        fact.pop("unresolved", None)
    return _with_hash(fact)


def _with_hash(fact: Document) -> Document:
    content = {name: value for name, value in fact.items() if name != "_sv"}
    return {
        **content,
        "_sv": {"hash": content_hash(content)},
    }


def _sealed(store: Store, station: FactStation, facts: list[Document]) -> list[Document]:
    """Under the key of whose they are now: those of a record that went to another customer are sealed anew."""
    collection = f"single_view.{station.name}"
    if sealing.load_declaration().tree(collection) is None:
        return facts
    clear = sealing.opened(store, facts, keep_shut=True)
    # What came before its person is sealed under a key of the record that it names, which erasure shreds as well.
    return [
        _with_hash(f) for f in sealing.seal(store, collection, clear, [f["customer_id"] or f["party"] for f in clear])
    ]


def _follow_moved_records(store: Store, station: FactStation, report: StationReport) -> None:
    """Facts of party records that went to another customer go with them."""
    records = store.identity["party_records"]
    for batch in pending_batches(records, station.name, BATCH_ROWS, {"customer_id": 1, "_sv": 1}):
        facts = find_many(store.single_view[station.name], "party", [record["_id"] for record in batch])
        for some in in_batches(facts, BATCH_ROWS):
            _write(store, station, some, [], report)
        bulk_write(records, clear_pending(batch, station.name, "revision"))


def _retry_unresolved(store: Store, station: FactStation, report: StationReport) -> None:
    """Facts that came before the person they are about."""
    collection = store.single_view[station.name]
    for parties in in_batches(
        {d["party"] for d in collection.find({"unresolved": True}, {"party": 1}) if d["party"]}, BATCH_ROWS
    ):
        known = current_ids(store, parties)
        for facts in in_batches(find_many(collection, "party", known), BATCH_ROWS):
            _write(store, station, facts, [], report)
