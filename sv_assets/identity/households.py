"""Households: customers who live at one address. An entity of its own, never a reason to take two people for one.

`identity.households`: `{_id: <address>, customers: [...], records: <how many>}`, for every address (house number and street,
postcode) of two customers or more. Above `MOST` it is no household but a block of flats, a shop or a hotel, and not kept.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pymongo import IndexModel, UpdateOne

from sv_assets.identity.party import HOME_KEY, StationReport
from sv_assets.mongo import (
    BATCH,
    Document,
    Store,
    bulk_write,
    ensure_indexes,
    find_many,
    in_batches,
    insert_missing,
    put,
)
from sv_assets.worklist import mark_pending

MOST = 12
INDEXES = [IndexModel([("customers", 1)])]
DUE = "households_due"
"""Addresses whose households are to be made anew: written before that is, so that a crash in between loses none."""
TOLD = "households_told"
"""Customers who are to be composed anew, because the households around them change: written before those are."""


def of_customers(store: Store, customer_ids: Iterable[str]) -> Iterator[Document]:
    """The households that these customers live in; one of several may come twice."""
    return find_many(store.identity["households"], "customers", customer_ids)


def replace_all(store: Store, wanted: dict[str, Document], report: StationReport) -> None:
    """Let these be all households there are, by address."""
    households = store.identity["households"]
    ensure_indexes(households, INDEXES)
    stored = {document["_id"]: document for document in households.find({})}
    _write(store, wanted, stored, report)
    store.identity[DUE].delete_many({})


def note_due(store: Store, homes: Iterable[str]) -> None:
    """Keep that the households of these addresses are to be made anew."""
    insert_missing(store.identity[DUE], [{"_id": home} for home in sorted(homes)])


def refresh_due(store: Store, report: StationReport) -> None:
    """Make the households anew that are due, and let their customers be composed anew."""
    _tell_customers(store)
    while batch := [document["_id"] for document in store.identity[DUE].find({}).limit(BATCH)]:
        refresh(store, batch, report)
        store.identity[DUE].delete_many({"_id": {"$in": batch}})


def refresh(store: Store, homes: Iterable[str], report: StationReport) -> None:
    """Make the households of these addresses anew."""
    households = store.identity["households"]
    ensure_indexes(households, INDEXES)
    for batch in in_batches(sorted(homes), 1000):
        customers: dict[str, set[str]] = defaultdict(set)
        members: dict[str, set[str]] = defaultdict(set)
        keys = [f"{HOME_KEY}{home}" for home in batch]
        projection = {"customer_id": 1, "compared.homes": 1}
        for record in find_many(store.identity["party_records"], "keys", keys, projection, size=100):
            for home in record["compared"].get("homes", ()):
                if record.get("customer_id"):
                    customers[home].add(record["customer_id"])
                    members[home].add(record["_id"])
        wanted: dict[str, Document] = {
            home: {"_id": home, "customers": sorted(customers[home]), "records": len(members[home])}
            for home in batch
            if 2 <= len(customers[home]) <= MOST
        }
        _write(store, wanted, {d["_id"]: d for d in find_many(households, "_id", batch)}, report)


def _write(store: Store, wanted: dict[str, Document], stored: dict[str, Document], report: StationReport) -> None:
    """Let those `stored` become those `wanted`, and tell the customers whose neighbours are others than before."""
    households = store.identity["households"]
    changed = [document for home, document in wanted.items() if stored.get(home) != document]
    gone = sorted(stored.keys() - wanted.keys())
    around = [*changed, *(stored[document["_id"]] for document in changed if document["_id"] in stored)]
    affected = {customer for home in (*around, *(stored[g] for g in gone)) for customer in home["customers"]}
    notes = [{"_id": batch[0], "customers": batch} for batch in in_batches(sorted(affected))]
    bulk_write(
        store.identity[TOLD],
        [
            UpdateOne({"_id": n["_id"]}, {"$addToSet": {"customers": {"$each": n["customers"]}}}, upsert=True)
            for n in notes
        ],
    )
    inserted, updated = put(households, changed, stored)
    report.count("households_changed", inserted + updated)
    for batch in in_batches(gone):
        households.delete_many({"_id": {"$in": batch}})
    _tell_customers(store)


def _tell_customers(store: Store) -> None:
    told = store.identity[TOLD]
    for note in list(told.find({})):
        bulk_write(store.identity["clusters"], mark_pending(note["customers"], "customers"))
        told.delete_one({"_id": note["_id"]})
