"""The collection of cards, kept true to the customers: made ahead of time, so that reading one is reading one document.

Who is on the work list of this station stands on the customers themselves (`_sv.pending`), and for customers that are no
more on the last entry of their history. One run works at a time.
"""

import datetime as dt

from pymongo import UpdateOne

from sv_assets import sealing
from sv_assets.contact_centre.card import card_of
from sv_assets.contact_centre.settings import ContactCentreSettings, load_settings
from sv_assets.customers import history
from sv_assets.identity.party import StationReport
from sv_assets.lease import lease
from sv_assets.mongo import Document, Store, bulk_write, content_hash, ensure_indexes, find_many, in_batches
from sv_assets.progress import Progress
from sv_assets.worklist import PENDING_INDEX, clear_pending, pending_batches, work_off

STATION = "cards"
COLLECTION = "customer_card"
BATCH = 500


def refresh_cards(store: Store, settings: ContactCentreSettings | None = None, *, full: bool = False) -> StationReport:
    """Make the card of each customer that changed, or of all (`full`, or by other rules). Unchanged cards are not written."""
    settings = settings or load_settings()
    rules = f"{settings.card_rules}/{sealing.version(store)}"
    report = StationReport()
    customers, state = store.single_view["customers"], store.contact_centre["state"]
    ensure_indexes(customers, [PENDING_INDEX])
    ensure_indexes(store.single_view[history.COLLECTION], history.INDEXES)
    progress = Progress("cards", "customers")

    def write(batch: list[Document], cards: list[Document]) -> None:
        _write(store, cards, rules, report)
        bulk_write(customers, clear_pending(batch, STATION, "revision"))
        report.read += len(batch)
        progress.advance(len(batch))

    with lease(store, "contact_centre.cards"):
        made_by = state.find_one({"_id": STATION})
        everything = full or made_by is None or made_by["rules"] != rules
        _remove_ended(store, report)
        work_off(
            customers,
            STATION,
            BATCH,
            lambda batch: _cards_of(store, batch, settings),
            write,
            everything=everything,
        )
        if everything:
            _remove_strangers(store, report)
            state.replace_one({"_id": STATION}, {"rules": rules}, upsert=True)
    return report


def _cards_of(store: Store, customers: list[Document], settings: ContactCentreSettings) -> list[Document]:
    cards = [card_of(customer, settings) for customer in sealing.opened(store, customers)]
    return sealing.seal(store, f"contact_centre.{COLLECTION}", cards, [card["_id"] for card in cards])


def _write(store: Store, cards: list[Document], rules: str, report: StationReport) -> None:
    """Write cards that changed; one that was made of an older version of its customer overwrites none of a newer one."""
    collection = store.contact_centre[COLLECTION]
    hashes = {card["_id"]: content_hash(card) for card in cards}
    stored = {d["_id"]: d["_sv"]["hash"] for d in find_many(collection, "_id", hashes, {"_sv.hash": 1})}
    now = dt.datetime.now(dt.timezone.utc)
    updates = []
    for card in cards:
        if stored.get(card["_id"]) == hashes[card["_id"]]:
            continue
        made = {**card, "composed_at": now, "_sv": {"hash": hashes[card["_id"]], "rules": rules}}
        is_newer = {"$lte": [{"$ifNull": ["$customer_version", 0]}, card["customer_version"]]}
        change = [{"$replaceWith": {"$cond": [is_newer, {"$literal": made}, "$$ROOT"]}}]
        updates.append(UpdateOne({"_id": card["_id"]}, change, upsert=True))
    inserted, updated = bulk_write(collection, updates)
    report.inserted += inserted
    report.updated += updated


def _remove_ended(store: Store, report: StationReport) -> None:
    """Remove cards of customers that were merged or closed. Who is still to be deleted, or came back, keeps its own."""
    entries = store.single_view[history.COLLECTION]
    for batch in pending_batches(entries, STATION, BATCH, {"customer_id": 1, "version": 1, "_sv": 1}):
        ids = [entry["customer_id"] for entry in batch]
        there = {d["_id"]: d["version"] for d in find_many(store.single_view["customers"], "_id", ids, {"version": 1})}
        _delete(store, [i for i in ids if i not in there], report)
        # An older document is about to be deleted: its run wrote this entry first.
        done = [entry for entry in batch if there.get(entry["customer_id"], entry["version"]) >= entry["version"]]
        bulk_write(entries, clear_pending(done, STATION, "revision"))


def _remove_strangers(store: Store, report: StationReport) -> None:
    """Remove cards without a customer, whatever made them so."""
    cards = store.contact_centre[COLLECTION].find({}, {"_id": 1}).batch_size(10_000)
    for batch in in_batches((card["_id"] for card in cards), BATCH):
        there = {d["_id"] for d in find_many(store.single_view["customers"], "_id", batch, {"_id": 1})}
        _delete(store, [identifier for identifier in batch if identifier not in there], report)


def _delete(store: Store, ids: list[str], report: StationReport) -> None:
    collection = store.contact_centre[COLLECTION]
    # Only what is there: the embedded server may fail to delete from a collection that nothing was ever written to.
    there = [card["_id"] for card in find_many(collection, "_id", ids, {"_id": 1})]
    for batch in in_batches(there, BATCH):
        report.deleted += collection.delete_many({"_id": {"$in": batch}}).deleted_count
