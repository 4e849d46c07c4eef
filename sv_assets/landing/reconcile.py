"""Deleted rows, for captures that cannot see them: what has landed and is no longer in the source becomes a tombstone."""

import datetime as dt
import logging
import time
from dataclasses import dataclass

from pymongo.collection import Collection

from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import Origin
from sv_assets.landing.missing_keys import MissingKeys
from sv_assets.landing.quarantine import Quarantine
from sv_assets.landing.shapes import shape_of
from sv_assets.landing.skip import why_not_now
from sv_assets.landing.statements import tombstone
from sv_assets.landing.suppression import without_erased
from sv_assets.ledger import dropped
from sv_assets.mongo import Document, Store, bulk_write, explained_mongo_errors, in_batches
from sv_assets.sources.capture import CaptureReader, open_reader
from sv_assets.sources.database import LegacyDatabase, open_database
from sv_assets.sources.table import TableShape, count_rows, describe

log = logging.getLogger(__name__)


@dataclass
class Reconciliation:
    """What one comparison found. `refused` rows are gone from the source, but too many to believe it.

    `in_source` and `landed` are numbers of rows; `compared` is false where the counts left nothing to look for.
    """

    in_source: int = 0
    landed: int = 0
    compared: bool = False
    gone: int = 0
    deleted: int = 0
    refused: int = 0
    skipped: str = ""
    seconds: float = 0.0


def reconcile_table(
    store: Store, source: Source, run_id: str, *, compare_all: bool = False, allow_deletes: bool = False
) -> Reconciliation:
    """Land a tombstone for each landed row that the source has no more.

    Keys are compared where more rows have landed than the source has, or always with `compare_all`: rows that never
    landed can hide as many deleted ones from the count. More than `max_delete_share` of the landed rows are deleted only
    with `allow_deletes`. Raises ConfigurationError for a declaration that does not fit the table, TransientError where a
    server is away.
    """
    started = time.monotonic()
    if reason := why_not_now(source):
        return Reconciliation(skipped=reason)
    database = open_database(source.sql_system, source)
    try:
        with explained_mongo_errors():
            known = shape_of(store, source)
            shape = describe(database, source, landed_before=True, seen=known.agreed if known else ())
            found = compare(
                store, database, shape, open_reader(database, shape), run_id,
                compare_all=compare_all, allow_deletes=allow_deletes,
            )  # fmt: skip
    finally:
        database.close()
    found.seconds = time.monotonic() - started
    return found


def compare(
    store: Store,
    database: LegacyDatabase,
    shape: TableShape,
    reader: CaptureReader,
    run_id: str,
    *,
    compare_all: bool,
    allow_deletes: bool,
) -> Reconciliation:
    """As `reconcile_table`, with a table that is open already."""
    source = shape.source
    collection = store.landing[source.key]
    found = Reconciliation(count_rows(database, shape, reader.believable()), _roughly_live(collection))
    waiting = Quarantine(store, source.key).count() + dropped(store, source.key)
    if not compare_all and found.landed + waiting <= found.in_source:
        return found
    found.compared = True
    version = reader.deletion_version()
    origin = Origin(source, run_id, dt.datetime.now(dt.timezone.utc))
    fields = {"_sv.deleted": 1, "_sv.erased.until": 1}
    landed = (
        d["_id"] for d in collection.find({}, fields) if not d["_sv"]["deleted"] and "erased" not in d["_sv"]
    )  # what the law wants of an erased person stays, whatever its source does
    with MissingKeys(landed, reader.keys(), found.landed) as missing:
        found.gone = sum(1 for _ in missing)
        if found.gone > found.landed * source.table.max_delete_share and not allow_deletes:
            found.refused = found.gone
            log.warning(
                "%s: %d of %d landed rows are gone from the source; none was deleted",
                source.key,
                found.gone,
                found.landed,
            )
            return found
        for keys in in_batches(missing):
            keys = without_erased(store, source, keys)
            _, deleted = bulk_write(collection, [tombstone(origin, key, version) for key in keys])
            if erased := set(keys) - set(without_erased(store, source, keys)):  # meanwhile
                collection.delete_many({"_id": {"$in": list(erased)}})
            found.deleted += deleted
    return found


def _roughly_live(collection: Collection[Document]) -> int:
    """As `live_count`, by what the server keeps of the size of a collection: enough to decide whether to look closely."""
    return collection.estimated_document_count() - collection.count_documents({"_sv.deleted": True})


def live_count(collection: Collection[Document]) -> int:
    """How many landed rows are not tombstones."""
    return collection.count_documents({}) - collection.count_documents({"_sv.deleted": True})
