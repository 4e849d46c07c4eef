"""Retention: what is older than is declared goes, every day; and what should have gone and is there still is counted.

Beside what `retention.yaml` declares by collection: rows that were deleted at their source lose their fields after
`deleted_rows` (their key and version stay, so that no late batch brings them back), and what the law wanted of an erased
person goes when its time is over.
"""

import datetime as dt
from dataclasses import dataclass, field

from pymongo import UpdateOne

from sv_assets.catalogue.load import Catalogue
from sv_assets.mongo import Document, Store, bulk_write, in_batches
from sv_assets.privacy.declaration import Declaration, Expiry, collections_of, load_declaration
from sv_assets.privacy.files import folders
from sv_assets.sources.keys import key_text

GRACE = dt.timedelta(days=2)
"""The job runs once a day: what is later than that is overdue."""
_STRIPPED: Document = {"name": {}, "emails": [], "phones": [], "addresses": [], "date_of_birth": None, "ids": {}, "quotes": [], "same_as": [], "compared": {}, "keys": []}  # fmt: skip


@dataclass
class RetentionReport:
    """By collection, what went (or, of a dry run, would go)."""

    removed: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, number: int) -> None:
        if number:
            self.removed[name] = self.removed.get(name, 0) + number

    @property
    def total(self) -> int:
        return sum(self.removed.values())


def enforce(
    store: Store,
    catalogue: Catalogue,
    declared: Declaration | None = None,
    *,
    now: dt.datetime | None = None,
    dry_run: bool = False,
) -> RetentionReport:
    """Remove what is older than is declared. Safe to repeat, and to stop at any instant."""
    declared = declared or load_declaration()
    now = now or dt.datetime.now(dt.timezone.utc)
    report = RetentionReport()
    for database, name in collections_of(store, declared):
        held = declared.of(database, name)
        collection = store.client[store.prefix + database].get_collection(
            name, write_concern=store.control.write_concern
        )
        for expiry in held.expires if held else ():
            query = _older(expiry, now)
            report.count(
                f"{database}.{name}",
                collection.count_documents(query) if dry_run else collection.delete_many(query).deleted_count,
            )
    for source in catalogue.sources:
        _deleted_rows(store, source.key, now - declared.deleted_rows, report, dry_run)
        over: Document = {"_sv.erased.until": {"$lte": now}}
        landed = store.landing[source.key]
        report.count(
            f"landing.{source.key}, kept for the law",
            landed.count_documents(over) if dry_run else _delete(store, "landing", source.key, over),
        )
    done: Document = {"retained_until": {"$lte": now}}
    report.count(
        "single_view.orders, kept for the law",
        store.single_view["orders"].count_documents(done) if dry_run else _delete(store, "single_view", "orders", done),
    )
    for held_file in declared.files:
        if held_file.after is None:
            continue
        for folder in folders():
            for path in folder.glob(held_file.name):
                if (
                    path.is_file()
                    and dt.datetime.fromtimestamp(path.stat().st_mtime, dt.timezone.utc) < now - held_file.after
                ):
                    report.count(f"files {held_file.name}", 1)
                    if not dry_run:
                        path.unlink(missing_ok=True)
    return report


def overdue(
    store: Store, catalogue: Catalogue, declared: Declaration | None = None, *, now: dt.datetime | None = None
) -> RetentionReport:
    """What should have gone two days ago or earlier, and is there still."""
    now = now or dt.datetime.now(dt.timezone.utc)
    return enforce(store, catalogue, declared, now=now - GRACE, dry_run=True)


def _older(expiry: Expiry, now: dt.datetime) -> Document:
    return {expiry.field: {"$lt": now - expiry.after}, **expiry.where}


def _deleted_rows(store: Store, source_key: str, before: dt.datetime, report: RetentionReport, dry_run: bool) -> None:
    """Take the fields from rows that were deleted at their source, and from the party records that were made of them."""
    landed = store.landing[source_key]
    fields = {"_sv": 1}
    found = (
        row
        for row in landed.find({"_sv.deleted": True}, fields).batch_size(5000)
        if row["_sv"]["extracted_at"] < before and not row["_sv"].get("pending") and not row["_sv"].get("stripped")
    )
    for batch in in_batches(found):
        report.count(f"landing.{source_key}, deleted rows", len(batch))
        if dry_run:
            continue
        records = [f"{source_key}:{key_text(row['_id'])}" for row in batch]
        gone = [
            UpdateOne(
                {"_id": r},
                [{"$set": {n: {"$cond": ["$deleted", {"$literal": v}, f"${n}"]} for n, v in _STRIPPED.items()}}],
            )
            for r in records
        ]
        bulk_write(store.identity["party_records"], gone)
        updates = []
        for row in batch:
            bare = {
                "_id": row["_id"],
                "_sv": {
                    **{k: v for k, v in row["_sv"].items() if k not in ("exact", "offset_minutes", "base_type")},
                    "stripped": True,
                },
            }
            same = {"$eq": ["$_sv.hash", row["_sv"]["hash"]]}
            updates.append(
                UpdateOne({"_id": row["_id"]}, [{"$replaceWith": {"$cond": [same, {"$literal": bare}, "$$ROOT"]}}])
            )
        bulk_write(landed, updates)


def _delete(store: Store, database: str, name: str, query: Document) -> int:
    collection = getattr(store, database)
    return collection[name].delete_many(query).deleted_count if name in collection.list_collection_names() else 0
