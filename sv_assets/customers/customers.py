"""The customer collection, kept true to what changed under it.

Runs may compose the same customer at the same time: a write counts only if the document still has the version that it was
made from, and whoever comes second composes again. So no run needs to wait for another, and no update is lost.
"""

import datetime as dt
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

from pymongo import IndexModel, UpdateOne
from pymongo.errors import CollectionInvalid

from sv_assets import sealing
from sv_assets.catalogue.load import Catalogue
from sv_assets.customers import history, rights
from sv_assets.customers.activity import ORDER_FIELDS
from sv_assets.customers.compose import Known, Rules, compose, rules_of
from sv_assets.customers.queries import INDEXES
from sv_assets.customers.readers import waiting
from sv_assets.customers.schema import validator
from sv_assets.customers.sealed import check_declaration, history_entries, seal_customers, seal_stored
from sv_assets.customers.settings import CustomerSettings
from sv_assets.customers.writing import SOURCE, Attempt, Composed, composed
from sv_assets.identity import households
from sv_assets.identity.customer_ids import bucket_of
from sv_assets.identity.party import StationReport
from sv_assets.landing.quarantine import Chosen, Quarantine, entries
from sv_assets.mongo import BATCH, Document, Store, bulk_write, ensure_indexes, find_many, in_batches, put
from sv_assets.progress import Progress
from sv_assets.worklist import PENDING_INDEX, clear_pending, mark_pending, work_off

STATION = "customers"
LARGE_INDEX = IndexModel([("large", 1)], sparse=True)
BATCH_CUSTOMERS = 200
FEW = 20_000
"""So many customers are composed in less time than it takes to start other processes."""
MOST_PROCESSES = 4
RETRIED_TOGETHER = 1000
"""So many customers in quarantine are tried again by one run."""


def refresh_customers(
    store: Store,
    catalogue: Catalogue,
    settings: CustomerSettings | None = None,
    *,
    full: bool = False,
    processes: int | None = None,
) -> StationReport:
    """Compose again every customer with something changed under it, or all (`full`, or by other rules than last time).

    Unchanged documents are not written. What the collection refuses goes to quarantine, and is tried again by each run.
    Where more than `FEW` customers wait they are composed in several `processes`; by default one a core, up to four.
    """
    prepare(store)
    composer = _composer(store, catalogue, settings)
    state = store.single_view["state"]
    made_by = state.find_one({"_id": STATION})
    if full or made_by is None or made_by["rules"] != composer.rules.version:
        _mark_all(store)
        state.replace_one({"_id": STATION}, {"rules": composer.rules.version}, upsert=True)
    seal_stored(store)
    _mark_quarantined(store)
    _work_off(composer, processes)
    return composer.report


def rebuild_customers(store: Store, catalogue: Catalogue, buckets: Iterable[int]) -> StationReport:
    """Compose every customer of these buckets anew, whatever the work list says. Unchanged documents are not written."""
    prepare(store)
    _give_buckets(store)
    composer = _composer(store, catalogue)
    clusters = store.identity["clusters"]
    wanted = list(buckets)
    progress = Progress(f"customers of {len(wanted)} buckets", "customers")
    for bucket in wanted:
        for batch in in_batches(clusters.find({"bucket": bucket}).batch_size(BATCH_CUSTOMERS), BATCH_CUSTOMERS):
            composer.write(composer.compose(batch))
            progress.advance(len(batch))
    return composer.report


def prepare(store: Store) -> None:
    """Create the collections with validator and indexes where they are missing or others; safe to repeat."""
    check_declaration(sealing.load_declaration())
    database = store.single_view
    found = next(iter(database.list_collections(filter={"name": "customers"})), None)
    if found is None:
        with suppress(CollectionInvalid):  # another run created it in this instant
            database.create_collection("customers", validator=validator())
    elif found.get("options", {}).get("validator") != validator():
        database.command("collMod", "customers", validator=validator())
    ensure_indexes(database["customers"], [*INDEXES["customers"], LARGE_INDEX, PENDING_INDEX])
    ensure_indexes(database[history.COLLECTION], history.INDEXES)


def _composer(store: Store, catalogue: Catalogue, settings: CustomerSettings | None = None) -> "Composer":
    return Composer(store, replace(rules_of(catalogue, settings), sealing=sealing.version(store)))


def _work_off(composer: "Composer", processes: int | None) -> None:
    """Go through the work list."""
    from sv_assets.customers.crew import compose_all

    clusters = composer.store.identity["clusters"]
    waiting = clusters.count_documents({"_sv.pending": STATION})
    progress = Progress("customers", "customers", total=waiting)
    processes = processes or min(os.cpu_count() or 1, MOST_PROCESSES)
    if waiting > FEW and processes > 1 and composer.store.url:

        def done(report: StationReport, size: int) -> None:
            composer.report.add(report)
            progress.advance(size)

        pending = clusters.find({"_sv.pending": STATION}).batch_size(BATCH)
        compose_all(composer.store, composer.rules, in_batches(pending, BATCH_CUSTOMERS), processes, done)

    def write(batch: list[Document], portion: Portion) -> None:
        composer.write(portion)
        progress.advance(len(batch))

    work_off(clusters, STATION, BATCH_CUSTOMERS, composer.compose, write)


def _mark_all(store: Store) -> None:
    clusters = store.identity["clusters"]
    if clusters.count_documents({"_sv.pending": STATION}) == clusters.estimated_document_count():
        return  # as before the first run
    for batch in in_batches(clusters.find({"state": "active"}, {"_id": 1}).batch_size(10_000)):
        bulk_write(clusters, mark_pending((c["_id"] for c in batch), STATION))


def _mark_quarantined(store: Store) -> None:
    """Put customers that were refused on the work list again; a thousand, where there are more."""
    refused = entries(store, Chosen((SOURCE,)))
    for batch in in_batches(islice(refused, RETRIED_TOGETHER)):
        bulk_write(store.identity["clusters"], mark_pending((entry["key"] for entry in batch), STATION))


def _give_buckets(store: Store) -> None:
    """Clusters from before there were buckets get theirs."""
    clusters = store.identity["clusters"]
    while batch := list(clusters.find({"bucket": None}, {"_id": 1}).limit(BATCH)):
        bulk_write(clusters, [UpdateOne({"_id": c["_id"]}, {"$set": {"bucket": bucket_of(c["_id"])}}) for c in batch])


@dataclass(frozen=True)
class Portion:
    """Some clusters, what stood in the collection before their data was read, and what was made of it."""

    clusters: list[Document]
    stored: dict[str, Document]
    made: list[Composed]


@dataclass
class Composer:
    """What customers are composed with, and what was done."""

    store: Store
    rules: Rules
    report: StationReport = field(default_factory=StationReport)

    @cached_property
    def asks_for_rights(self) -> bool:
        """False as long as no customer ever had anything put right, objected or said."""
        return rights.are_any(self.store)

    @cached_property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.store, SOURCE)

    def compose(self, clusters: list[Document]) -> Portion:
        """The documents of the active ones."""
        customers = self.store.single_view["customers"]
        fields = {"version": 1, "composed_at": 1, "_sv": 1}
        stored = {d["_id"]: d for d in find_many(customers, "_id", [c["_id"] for c in clusters], fields)}
        active = [cluster for cluster in clusters if cluster["state"] == "active"]
        documents = [compose(known) for known in self._known(active) if known.records]
        made = [composed(document) for document in seal_customers(self.store, documents)]
        return Portion(clusters, stored, made)

    def _known(self, clusters: list[Document]) -> Iterable[Known]:
        store = self.store
        ids = [cluster["_id"] for cluster in clusters]
        by_id = {identifier: Known(identifier, self.rules) for identifier in ids}
        belongs = {record: cluster["_id"] for cluster in clusters for record in cluster["records"]}
        for record in find_many(store.identity["party_records"], "_id", belongs):
            by_id[belongs[record["_id"]]].records.append(record)
        for order in find_many(store.single_view["orders"], "customer_id", ids, ORDER_FIELDS):
            by_id[order["customer_id"]].activity.add_order(order)
        for interaction in find_many(store.single_view["interactions"], "customer_id", ids):
            by_id[interaction["customer_id"]].activity.add_interaction(interaction)
        for consent in find_many(store.single_view["consents"], "customer_id", ids):
            by_id[consent["customer_id"]].consents.append(consent)
        if self.asks_for_rights:
            for identifier, (corrections, statements) in rights.of_customers(store, ids).items():
                by_id[identifier].corrections, by_id[identifier].statements = corrections, statements
        for flag in sealing.opened(store, list(find_many(store.single_view["flags"], "customer_id", ids))):
            by_id[flag["customer_id"]].flags.append(flag)
        homes = {home["_id"]: home for home in households.of_customers(store, ids)}
        for home in homes.values():
            for customer in home["customers"]:
                if customer in by_id:
                    by_id[customer].households.append(home)
        return by_id.values()

    def write(self, portion: Portion) -> None:
        """Write what changed, with its history, and take off the work list what nobody else has changed meanwhile."""
        stored, now = portion.stored, dt.datetime.now(dt.timezone.utc)
        attempt = Attempt(self.store, self.rules.version, now, self.report)
        attempt.insert([one for one in portion.made if one.id not in stored])
        changed = [one for one in portion.made if one.id in stored and stored[one.id]["_sv"]["hash"] != one.hash]
        attempt.replace(changed, {one.id: stored[one.id].get("version", 0) for one in changed})
        attempt.keep_refused(self.quarantine, (cluster["_id"] for cluster in portion.clusters))
        self._copy_missing_history([d for i, d in stored.items() if i not in attempt.written])
        ended = self._end(portion.clusters, stored, now)
        done = [cluster for cluster in portion.clusters if cluster["_id"] not in attempt.overtaken]
        self._clear(done, attempt.written | ended)
        self.report.read += len(portion.clusters)

    def _clear(self, done: list[Document], changed: set[str]) -> None:
        """Take off the work list what was composed of the latest that is known.

        What was written or removed by something older (`changed`), while another run composed the latest and took it off,
        goes on the list again.
        """
        clusters = self.store.identity["clusters"]
        _, cleared = bulk_write(clusters, clear_pending(done, STATION, "revision"))
        if cleared == len(done):
            return
        read = {cluster["_id"]: cluster["_sv"]["revision"] for cluster in done if cluster["_id"] in changed}
        now = find_many(clusters, "_id", read, {"_sv.revision": 1})
        older = [cluster["_id"] for cluster in now if cluster["_sv"]["revision"] != read[cluster["_id"]]]
        bulk_write(clusters, mark_pending(older, STATION))

    def _copy_missing_history(self, unchanged: list[Document]) -> None:
        """What a run left that was killed between writing a document and copying its history entry."""
        lying = {entry["_id"]: entry for document in unchanged if (entry := history.entry_of(document))}
        collection = self.store.single_view[history.COLLECTION]
        there = {entry["_id"] for entry in find_many(collection, "_id", lying, {"_id": 1})}
        missing = [entry for identifier, entry in lying.items() if identifier not in there]
        put(collection, history_entries(self.store, missing), ())

    def _end(self, clusters: list[Document], stored: dict[str, Document], now: dt.datetime) -> set[str]:
        """Remove the documents of customers that are no more, and say which; their history keeps them whole."""
        customers = self.store.single_view["customers"]
        into = {c["_id"]: c.get("into") for c in clusters if c["state"] != "active" and c["_id"] in stored}
        if not into:
            return set()
        last = list(find_many(customers, "_id", into))
        entries_ = [
            history.ended_entry(document, into[document["_id"]], now, waiting("customer_history", now))
            for document in last
        ]
        lying = [entry for document in last if (entry := history.entry_of(document))]
        put(self.store.single_view[history.COLLECTION], history_entries(self.store, [*lying, *entries_]), ())
        for batch in in_batches(sorted(into)):
            self.report.deleted += customers.delete_many({"_id": {"$in": batch}}).deleted_count
        return set(into)
