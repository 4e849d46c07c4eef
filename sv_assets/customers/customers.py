"""The customer collection: its indexes and validator, and keeping it true to what changed under it."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid

from sv_assets.customers.compose import Known, compose
from sv_assets.identity.party import StationReport
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
from sv_assets.worklist import clear_pending, mark_pending, work_off

STATION = "customers"
INDEXES = [
    IndexModel([("lookup.emails", 1)]),
    IndexModel([("lookup.phones", 1)]),
    IndexModel([("lookup.postcodes", 1)]),
    IndexModel([("lookup.postcode_surnames", 1)]),
]
VALIDATOR: Document = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": [
            "_id",
            "schema_version",
            "emails",
            "phones",
            "addresses",
            "accounts",
            "consents",
            "orders",
            "interactions",
            "lookup",
        ],
        "properties": {
            "_id": {"bsonType": "string"},
            "schema_version": {"bsonType": ["int", "long"]},
            "name": {"bsonType": ["object", "null"]},
            "date_of_birth": {"bsonType": ["object", "null"]},
            "emails": {"bsonType": "array"},
            "phones": {"bsonType": "array"},
            "addresses": {"bsonType": "array"},
            "accounts": {"bsonType": "array", "minItems": 1},
            "consents": {"bsonType": "array"},
            "orders": {"bsonType": "object", "required": ["count", "totals", "latest"]},
            "interactions": {"bsonType": "object", "required": ["count", "open", "latest"]},
            "lookup": {"bsonType": "object"},
        },
    }
}
BATCH_CUSTOMERS = 200
_ORDER_FIELDS = dict.fromkeys(("customer_id", "number", "placed_at", "status", "total", "currency", "channel", "deliveries", "refunds", "system", "table", "key", "version"), 1)  # fmt: skip


def refresh_customers(store: Store, *, full: bool = False) -> StationReport:
    """Compose again every customer with something changed under it, or all (`full`). Unchanged ones are not written."""
    report = StationReport()
    prepare(store)
    clusters = store.identity["clusters"]
    with lease(store, STATION):
        if full:
            for batch in in_batches(clusters.find({"state": "active"}, {"_id": 1})):
                bulk_write(clusters, mark_pending((c["_id"] for c in batch), STATION))
        progress = Progress("customers", "customers")

        def write(batch: list[Document], documents: list[Document]) -> None:
            _write(store, batch, documents, report)
            bulk_write(clusters, clear_pending(batch, STATION, "revision"))
            report.read += len(batch)
            progress.advance(len(batch))

        work_off(clusters, STATION, BATCH_CUSTOMERS, lambda batch: _composed(store, batch), write)
    return report


def prepare(store: Store) -> None:
    """Create the collection with its validator and indexes where they are missing; safe to repeat."""
    name = "customers"
    if name not in store.single_view.list_collection_names():
        with suppress(CollectionInvalid):  # another run created it in this instant
            store.single_view.create_collection(name, validator=VALIDATOR)
    ensure_indexes(store.single_view[name], INDEXES)


def _composed(store: Store, clusters: list[Document]) -> list[Document]:
    documents = [compose(known) for known in _known(store, [c for c in clusters if c["state"] == "active"])]
    return [{**document, "_sv": {"hash": content_hash(document)}} for document in documents]


def _write(store: Store, clusters: list[Document], documents: list[Document], report: StationReport) -> None:
    customers = store.single_view["customers"]
    stored = {d["_id"]: d["_sv"] for d in find_many(customers, "_id", [c["_id"] for c in clusters], {"_sv": 1})}
    changed = [document for document in documents if stored.get(document["_id"]) != document["_sv"]]
    inserted, updated = put(customers, changed, stored)
    report.inserted += inserted
    report.updated += updated
    ended = [c["_id"] for c in clusters if c["state"] != "active" and c["_id"] in stored]
    if ended:
        report.deleted += customers.delete_many({"_id": {"$in": ended}}).deleted_count


def _known(store: Store, clusters: list[Document]) -> Iterable[Known]:
    ids = [c["_id"] for c in clusters]
    records = {
        r["_id"]: r
        for r in find_many(store.identity["party_records"], "_id", [r for c in clusters for r in c["records"]])
    }
    orders = _by_customer(find_many(store.single_view["orders"], "customer_id", ids, _ORDER_FIELDS))
    interactions = _by_customer(find_many(store.single_view["interactions"], "customer_id", ids))
    consents = _by_customer(find_many(store.single_view["consents"], "customer_id", ids))
    for cluster in clusters:
        identifier = cluster["_id"]
        mine = [records[r] for r in cluster["records"] if r in records]
        yield Known(identifier, mine, orders[identifier], interactions[identifier], consents[identifier])


def _by_customer(documents: Iterable[Document]) -> dict[str, list[Document]]:
    grouped: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        grouped[document["customer_id"]].append(document)
    return grouped
