"""The writes of landing. Each is keyed by `_id` alone, and guarded inside: newest wins, whatever comes when and how often."""

from typing import Any

from pymongo import UpdateOne

from sv_assets.landing.documents import DELETE, MISSING, LandingDocument, Origin, tombstone_bookkeeping
from sv_assets.mongo import Document, content_hash
from sv_assets.sources.records import Version

_STORED: Document = {"$ifNull": ["$_sv.version", None]}
_IS_MISSING: Document = {"$eq": ["$_sv.op", MISSING]}


def upsert(document: LandingDocument, *, from_log: bool = False) -> UpdateOne:
    """Replaces what is there if this version is newer, or as new, later read (a message: later sent), and different.

    The same content under a newer version is left alone. Where that version is a change in the source's log it raises
    the version, and nothing else, so that no change between the two comes back.
    """
    version = {"$literal": document.version}
    newer = {"$lt": [_STORED, version]}
    same = {"$eq": ["$_sv.hash", document.hash]}
    later = {"$lt": ["$_sv.extracted_at", document.extracted_at]}
    # Rows change under one version; messages do not, but two may state one: then the later sent counts, whatever order
    # they come in, and of two sent in one millisecond always the same.
    again = later if document.sent_at is None else _is_sent_after_what_is_there(document)
    same_version_again = {"$and": [{"$eq": [_STORED, version]}, again, {"$not": [same]}]}
    # A row that is read after it was found to be missing is back, whatever version it brings.
    back = {"$and": [_IS_MISSING, later]}
    raised = {"$mergeObjects": ["$$ROOT", {"_sv": {"$mergeObjects": ["$_sv", {"version": version}]}}]}
    changed = {"$cond": [same, raised if from_log else "$$ROOT", {"$literal": document.raw}]}
    wins = {"$or": [newer, same_version_again, back]}
    return UpdateOne({"_id": document.key}, [{"$replaceWith": {"$cond": [wins, changed, "$$ROOT"]}}], upsert=True)


def _is_sent_after_what_is_there(document: LandingDocument) -> Document:
    sent = {"$ifNull": ["$_sv.sent_at", None]}
    at_once = {"$and": [{"$eq": [sent, document.sent_at]}, {"$lt": ["$_sv.hash", document.hash]}]}
    return {"$or": [{"$lt": [sent, document.sent_at]}, at_once]}


def deletion(origin: Origin, identifier: Any, version: Version) -> UpdateOne:
    """Marks a row as deleted at `version`, as its source's log of changes says: unless what is there is newer.

    Its last fields stay beside the mark, so that later stations find what it was part of. The mark also waits where the
    row has not landed.
    """
    bookkeeping = tombstone_bookkeeping(origin, DELETE, version, content_hash({"_id": identifier, "version": version}))
    marked = {"$mergeObjects": ["$$ROOT", {"_id": {"$literal": identifier}, "_sv": {"$literal": bookkeeping}}]}
    newer = {"$lt": [_STORED, {"$literal": version}]}
    return UpdateOne({"_id": identifier}, [{"$replaceWith": {"$cond": [newer, marked, "$$ROOT"]}}], upsert=True)


def tombstone(origin: Origin, identifier: Any, version: Version) -> UpdateOne:
    """Marks a row as deleted that was looked for, and missing, after `origin.extracted_at`: unless it was read since.

    Its last fields stay beside the mark. The mark carries the higher one of `version` and its own, which may lie ahead
    (a row dated tomorrow, a rowversion of a transaction still open).
    """
    # The hash is the document's own, because work lists are cleared by it: two tombstones of one run must differ.
    bookkeeping = tombstone_bookkeeping(origin, MISSING, version, content_hash({"_id": identifier, "version": version}))
    stays = {"$or": ["$_sv.deleted", {"$gt": ["$_sv.extracted_at", bookkeeping["extracted_at"]]}]}
    higher = {"version": {"$max": ["$_sv.version", {"$literal": version}]}}
    marked = {"$mergeObjects": ["$$ROOT", {"_sv": {"$mergeObjects": [{"$literal": bookkeeping}, higher]}}]}
    # Also where the row has not landed: then the mark waits for it, so that a batch that comes late does not bring it back.
    return UpdateOne({"_id": identifier}, [{"$replaceWith": {"$cond": [stays, "$$ROOT", marked]}}], upsert=True)
