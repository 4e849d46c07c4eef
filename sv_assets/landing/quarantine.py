"""Quarantine: rows and messages that cannot be converted, kept whole with the reason until they land or are dismissed."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import bson
from bson.errors import InvalidDocument
from pymongo import IndexModel, UpdateOne

from sv_assets.access import Actor, permission
from sv_assets.access.masking import HIDDEN
from sv_assets.mongo import CODEC, Document, Store, bulk_write, content_hash, ensure_indexes, in_batches
from sv_assets.sources.records import Rejected

MAX_BYTES = 12 * 1024 * 1024
INDEXES = [IndexModel([("source", 1), ("status", 1)])]


@dataclass(frozen=True)
class Chosen:
    """Which entries to look at: those that meet every condition. `reason` is a part of it, in any case of letters."""

    sources: tuple[str, ...]
    status: str = "open"
    ids: tuple[str, ...] = ()
    reason: str | None = None
    since: dt.datetime | None = None
    """First seen then, or later."""

    @property
    def query(self) -> Document:
        query: Document = {"source": {"$in": list(self.sources)}, "status": self.status}
        if self.ids:
            query["_id"] = {"$in": list(self.ids)}
        if self.reason:
            query["reason"] = {"$regex": re.escape(self.reason), "$options": "i"}
        if self.since:
            query["first_seen"] = {"$gte": self.since}
        return query


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
            closed = {"$set": {"status": "resolved"}, "$unset": {"raw": ""}}
            bulk_write(self._collection, [UpdateOne({"_id": identifier}, closed) for identifier in found])
            resolved += len(found)
        return resolved

    def remove(self, key_texts: Iterable[str]) -> None:
        """Take entries out for good."""
        for keys in in_batches(key_texts):
            self._collection.delete_many({"_id": {"$in": [self._entry_id(key) for key in keys]}})

    def count(self) -> int:
        """How many entries are open."""
        return self._collection.count_documents({"source": self._source, "status": "open"})

    def holds(self, key_texts: Iterable[str]) -> set[str]:
        """Which of these keys have an open entry."""
        by_id = {self._entry_id(key): key for key in key_texts}
        return {
            by_id[entry["_id"]]
            for ids in in_batches(by_id)
            for entry in self._collection.find({"_id": {"$in": ids}}, {"status": 1})
            if entry["status"] == "open"
        }

    def oldest(self) -> dt.datetime | None:
        """When the first of the open entries was first seen."""
        entries = self._collection.find({"source": self._source, "status": "open"}, {"first_seen": 1})
        return min((entry["first_seen"] for entry in entries), default=None)

    def reasons(self, at_most: int = 5) -> list[str]:
        """Why the newest entries are here, without their values."""
        entries = self._collection.find({"source": self._source, "status": "open"}, {"reason": 1}).limit(at_most)
        return sorted({entry["reason"] for entry in entries})

    def explain(self, reasons: Mapping[str, str]) -> None:
        """Give open entries, by their `_id`, the reason for which they are still here."""
        updates = [
            UpdateOne({"_id": identifier, "status": "open"}, {"$set": {"reason": reason}})
            for identifier, reason in reasons.items()
        ]
        bulk_write(self._collection, updates)

    def _entry_id(self, key_text: str) -> str:
        return f"{self._source}:{hashlib.blake2b(key_text.encode(errors='surrogatepass'), digest_size=12).hexdigest()}"

    def _entry(self, item: Rejected, run_id: str, now: dt.datetime) -> UpdateOne:
        """An entry that is open already with the same content keeps all but its reason: reading it again changes nothing."""
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
        explained = {"$mergeObjects": ["$$ROOT", {"reason": {"$literal": item.reason}}]}
        return UpdateOne(
            {"_id": identifier}, [{"$replaceWith": {"$cond": [same, explained, {"$literal": document}]}}], upsert=True
        )


def entries(store: Store, chosen: Chosen, *, with_raw: bool = False) -> Iterator[Document]:
    """The chosen entries, in no order: `{_id, source, key, reason, status, first_seen, run_id}`, and `raw` if wanted."""
    return store.control["quarantine"].find(chosen.query, None if with_raw else {"raw": 0, "hash": 0}).batch_size(100)


def newest_entries(store: Store, chosen: Chosen, at_most: int, *, actor: Actor | None = None) -> list[Document]:
    """The chosen entries that were first seen last, the newest first; for an actor with what it may see of their `raw` content.

    Raises AccessRefused where it may see none, TransientError where it cannot be written down that it did.
    """
    if actor is None:
        found = store.control["quarantine"].find(chosen.query, {"raw": 0, "hash": 0})
        return list(found.sort([("first_seen", -1), ("_id", 1)]).limit(at_most))
    allowed = permission(store, actor, "control.quarantine")
    found = store.control["quarantine"].find(chosen.query)
    entries_ = list(found.sort([("first_seen", -1), ("_id", 1)]).limit(at_most))
    allowed.log(store, [entry["key"] for entry in entries_ if entry["source"] == "single_view.customers"])
    # A customer that was refused is no row as it came: its sealed fields are for who may see customers.
    rows = [entry for entry in entries_ if entry["source"] != "single_view.customers"]
    opened = allowed.opened(("raw", entry.get("raw")) for entry in rows)
    return [
        {**entry, "raw": allowed.fields.below("raw", entry["raw"], opened=opened)} if "raw" in entry else entry
        for entry in entries_
    ]


def outlines(store: Store, chosen: Chosen, at_most: int) -> list[Document]:
    """As `newest_entries`, with no value of `raw`: by column, or part of a message, of what kind it is. For nobody in particular."""
    found = store.control["quarantine"].find(chosen.query, {"hash": 0})
    return [
        {**entry, "raw": {name: _kind(value) for name, value in entry.get("raw", {}).items()}}
        for entry in found.sort([("first_seen", -1), ("_id", 1)]).limit(at_most)
    ]


def shown_key(entry: Document) -> str:
    """The key of an entry as anybody may see it: the id of a message, but not the key of a row, which may be a person's."""
    key = str(entry["key"])
    return key if key.startswith("message ") else HIDDEN


def _kind(value: object) -> str | None:
    return None if value is None else "''" if value == "" else f"{HIDDEN} ({type(value).__name__})"


def count_by_reason(store: Store, chosen: Chosen) -> list[tuple[str, str, int]]:
    """(source, reason, how many) of the chosen entries, the most frequent first."""
    groups = store.control["quarantine"].aggregate(
        [
            {"$match": chosen.query},
            {"$group": {"_id": {"source": "$source", "reason": "$reason"}, "count": {"$sum": 1}}},
        ]
    )
    counts = [(group["_id"]["source"], group["_id"]["reason"], int(group["count"])) for group in groups]
    return sorted(counts, key=lambda one: (-one[2], one[0], one[1]))


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
