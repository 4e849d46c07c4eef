"""The landing document: the source's fields as they are, `_id` the source key, bookkeeping under `_sv`."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson.errors import InvalidDocument
from pymongo import IndexModel, InsertOne, UpdateOne

from sv_assets.catalogue.entry import Const, FieldSpec
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import STATION_OF_FEED, Source
from sv_assets.errors import DataError
from sv_assets.mongo import CODEC, Document, content_hash
from sv_assets.sources.messages import path_parts
from sv_assets.sources.records import Record, Version
from sv_assets.worklist import PENDING_INDEX

MISSING = "missing"
"""The `_sv.op` of a tombstone for a row that was looked for; that of one whose deletion was told is `delete`."""
MAX_BYTES = 15 * 1024 * 1024
"""MongoDB takes documents up to 16 MiB; the rest is for bookkeeping."""


@dataclass(frozen=True)
class Origin:
    """Where the records of one batch come from, and when."""

    source: Source
    run_id: str
    extracted_at: dt.datetime


def field_path(source: Source, path: str) -> str:
    """Where a declared column or message path stands in the landing document."""
    return ".".join(["body", *path_parts(path)]) if source.is_queue else path


def field_value(source: Source, document: Document, spec: FieldSpec | None) -> Any:
    """The value that a feed's field has in a landing document; None where there is none. Empty text is none."""
    if spec is None:
        return None
    if isinstance(spec, Const):
        return spec.const
    value: Any = document
    for part in ["body", *path_parts(spec)] if source.is_queue else [spec]:
        value = value.get(part) if isinstance(value, dict) else None
    return None if value == "" else value


def landing_document(origin: Origin, record: Record) -> Document:
    """The document of a record. Raises DataError for what BSON cannot take."""
    try:
        encoded = bson.encode({**record.fields, **({"_sv": record.marks} if record.marks else {})}, codec_options=CODEC)
    except (InvalidDocument, OverflowError, UnicodeEncodeError, RecursionError, ValueError) as error:
        raise DataError(f"cannot be stored in MongoDB ({type(error).__name__})") from None
    if len(encoded) > MAX_BYTES:
        raise DataError("is larger than MongoDB's 16 MiB")
    bookkeeping = _bookkeeping(origin, record.version, "upsert", hashlib.blake2b(encoded, digest_size=16).hexdigest())
    if record.marks:
        bookkeeping.update(record.marks)
    if record.compared_key is not None:
        bookkeeping["key"] = record.compared_key
    return {"_id": record.key, **record.fields, "_sv": bookkeeping}


def upsert(document: Document) -> UpdateOne:
    """Newest wins: replaces what is there if this version is newer, or as new, later read, and different."""
    return UpdateOne(
        {"_id": document["_id"]},
        [{"$replaceWith": {"$cond": [_is_newer(document["_sv"]), {"$literal": document}, "$$ROOT"]}}],
        upsert=True,
    )


def insert(source: Source, document: Document) -> InsertOne[Document]:
    """For an empty collection, where there is nothing to be newer than, and no party record of a row that has none."""
    feed = source.entry.feeds.party
    if (
        feed
        and feed.when_empty
        and field_value(source, document, feed.when_empty) is not None
        and not source.feeds_into("address")
    ):
        pending = [station for station in document["_sv"].get("pending", []) if station != STATION_OF_FEED["party"]]
        document = {**document, "_sv": {**document["_sv"], "pending": pending}}
        if not pending:
            del document["_sv"]["pending"]
    return InsertOne(document)


def tombstone(origin: Origin, identifier: Any, version: Version) -> UpdateOne:
    """Marks a row as deleted that was looked for, and missing, after `origin.extracted_at`: unless it was read since.

    Its last fields stay beside the mark, so that later stations find what it was part of. The mark carries the higher
    one of `version` and its own, which may lie ahead (a row dated tomorrow, a rowversion of a transaction still open).
    """
    # The hash is the document's own, because work lists are cleared by it: two tombstones of one run must differ.
    bookkeeping = _bookkeeping(origin, version, MISSING, content_hash({"_id": identifier, "version": version}))
    stays = {"$or": ["$_sv.deleted", {"$gt": ["$_sv.extracted_at", bookkeeping["extracted_at"]]}]}
    higher = {"version": {"$max": ["$_sv.version", {"$literal": version}]}}
    marked = {"$mergeObjects": ["$$ROOT", {"_sv": {"$mergeObjects": [{"$literal": bookkeeping}, higher]}}]}
    # Also where the row has not landed: then the mark waits for it, so that a batch that comes late does not bring it back.
    return UpdateOne({"_id": identifier}, [{"$replaceWith": {"$cond": [stays, "$$ROOT", marked]}}], upsert=True)


def deletion(origin: Origin, identifier: Any, version: Version) -> UpdateOne:
    """Marks a row as deleted at `version`, as its source's log of changes says: unless what is there is newer."""
    bookkeeping = _bookkeeping(origin, version, "delete", content_hash({"_id": identifier, "version": version}))
    newer = {"$lt": [{"$ifNull": ["$_sv.version", None]}, {"$literal": version}]}
    kept = {"$mergeObjects": ["$$ROOT", {"_id": {"$literal": identifier}, "_sv": {"$literal": bookkeeping}}]}
    return UpdateOne({"_id": identifier}, [{"$replaceWith": {"$cond": [newer, kept, "$$ROOT"]}}], upsert=True)


def touch(document: Document) -> UpdateOne:
    """Raises the version of a row whose newest change left it as it was, so that no change before that comes back."""
    version = {"$literal": document["_sv"]["version"]}
    same = {"$eq": ["$_sv.hash", document["_sv"]["hash"]]}
    higher = {"$cond": [same, {"$max": ["$_sv.version", version]}, "$_sv.version"]}
    return UpdateOne({"_id": document["_id"]}, [{"$set": {"_sv.version": higher}}])


def landing_indexes(catalogue: Catalogue, source: Source) -> list[IndexModel]:
    """The work list, the tombstones, and what the rows of this source are looked up by from others."""
    indexes = [PENDING_INDEX, IndexModel([("_sv.deleted", 1)], partialFilterExpression={"_sv.deleted": True})]
    fields: set[str] = set()
    feeds = source.entry.feeds
    if feeds.address:
        fields.add(field_path(source, feeds.address.party.key))
    for feed in (feeds.order_line, feeds.payment, feeds.refund, feeds.delivery):
        if feed is not None:
            fields.add(field_path(source, feed.order.id or feed.order.number or ""))
    if feeds.order and any(reference.number for other in catalogue.sources for reference in other.order_references()):
        fields.add(field_path(source, feeds.order.number))
    return indexes + [IndexModel([(name, 1)]) for name in sorted(fields)]


def _bookkeeping(origin: Origin, version: Version, operation: str, content_hash: str) -> Document:
    """`_sv` of a document. `pending` names the stations that have not worked it off yet; they take themselves off."""
    bookkeeping: Document = {
        "system": origin.source.system,
        "table": origin.source.name,
        "version": version,
        "op": operation,
        # BSON keeps milliseconds: cut here, so that what is compared is what is stored.
        "extracted_at": origin.extracted_at.replace(microsecond=origin.extracted_at.microsecond // 1000 * 1000),
        "run_id": origin.run_id,
        "hash": content_hash,
        "deleted": operation in ("delete", MISSING),
    }
    if origin.source.stations:
        bookkeeping["pending"] = origin.source.stations
    return bookkeeping


def _is_newer(new: Document) -> Document:
    stored = {"$ifNull": ["$_sv.version", None]}
    later_read_of_the_same_version: Sequence[Document] = [
        {"$eq": [stored, {"$literal": new["version"]}]},
        {"$lt": ["$_sv.extracted_at", new["extracted_at"]]},
        {"$ne": ["$_sv.hash", new["hash"]]},
    ]
    # A row that is read after it was found to be missing is back, whatever version it brings.
    missing = {"$eq": ["$_sv.op", MISSING]}
    back = {"$and": [missing, {"$lt": ["$_sv.extracted_at", new["extracted_at"]]}]}
    newer = {"$lt": [stored, {"$literal": new["version"]}]}
    return {"$or": [newer, {"$and": later_read_of_the_same_version}, back]}
