"""Quarantine: rows and messages that cannot be converted, kept whole with the reason until they land or are dismissed."""

import datetime as dt
import hashlib
from collections.abc import Iterable

import bson
from bson.errors import InvalidDocument
from pymongo import IndexModel, UpdateOne

from sv_assets.mongo import CODEC, Document, Store, bulk_write, content_hash, ensure_indexes, in_batches
from sv_assets.sources.records import Rejected

MAX_BYTES = 12 * 1024 * 1024
INDEXES = [IndexModel([("source", 1), ("status", 1)])]


class Quarantine:
    """The quarantine of one source: one open entry a key, however often it is read."""

    def __init__(self, store: Store, source_key: str) -> None:
        self._collection = store.control["quarantine"]
        self._source = source_key
        ensure_indexes(self._collection, INDEXES)

    def put(self, rejected: Iterable[Rejected], run_id: str) -> int:
        """Keep these; returns how many were not open before. Acknowledged by a majority when it returns."""
        now = dt.datetime.now(dt.timezone.utc)
        updates = [self._entry(item, run_id, now) for item in rejected]
        return sum(bulk_write(self._collection, updates)) if updates else 0

    def resolve(self, key_texts: Iterable[str]) -> int:
        """Close the entries of keys that have landed after all. Costs nothing where the quarantine is empty."""
        if not self.count():
            return 0
        resolved = 0
        for keys in in_batches(key_texts):
            ids = [self._entry_id(key) for key in keys]
            found = [
                d["_id"] for d in self._collection.find({"_id": {"$in": ids}}, {"status": 1}) if d["status"] == "open"
            ]
            for identifier in found:
                self._collection.update_one(
                    {"_id": identifier}, {"$set": {"status": "resolved"}, "$unset": {"raw": ""}}
                )
            resolved += len(found)
        return resolved

    def count(self) -> int:
        """How many entries are open."""
        return self._collection.count_documents({"source": self._source, "status": "open"})

    def reasons(self, at_most: int = 5) -> list[str]:
        """Why the newest entries are here, without their values."""
        entries = self._collection.find({"source": self._source, "status": "open"}, {"reason": 1}).limit(at_most)
        return sorted({entry["reason"] for entry in entries})

    def _entry_id(self, key_text: str) -> str:
        return f"{self._source}:{hashlib.blake2b(key_text.encode(errors='surrogatepass'), digest_size=12).hexdigest()}"

    def _entry(self, item: Rejected, run_id: str, now: dt.datetime) -> UpdateOne:
        """An entry that is open already with the same content is left as it is, so that reading it again changes nothing."""
        raw = _storable(item.raw)
        identifier = self._entry_id(item.key_text)
        document: Document = {
            "_id": identifier,
            "source": self._source,
            "key": _storable_text(item.key_text),
            "reason": item.reason,
            "raw": raw,
            "hash": content_hash(raw),
            "status": "open",
            "run_id": run_id,
            "first_seen": now,
        }
        same = {"$and": [{"$eq": ["$status", "open"]}, {"$eq": ["$hash", document["hash"]]}]}
        return UpdateOne(
            {"_id": identifier}, [{"$replaceWith": {"$cond": [same, "$$ROOT", {"$literal": document}]}}], upsert=True
        )


def _storable(raw: Document) -> Document:
    """The raw row or message as BSON takes it: text that is not Unicode goes in with its escapes."""
    try:
        bson.encode(raw, codec_options=CODEC)
    except (InvalidDocument, OverflowError, UnicodeEncodeError, ValueError):
        raw = {name: _storable_text(value) if isinstance(value, str) else repr(value) for name, value in raw.items()}
    if len(bson.encode(raw, codec_options=CODEC)) > MAX_BYTES:
        return {
            name: f"{type(value).__name__} of length {len(str(value))}, left in the source"
            for name, value in raw.items()
        }
    return raw


def _storable_text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
