"""Writing customer documents: only over the version that they were made from, with the change told in the same write."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from bson import CodecOptions
from bson.raw_bson import RawBSONDocument
from pydantic import ValidationError
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from sv_assets import sealing
from sv_assets.customers import history
from sv_assets.customers.model import Customer
from sv_assets.customers.readers import waiting
from sv_assets.customers.sealed import seal_customers
from sv_assets.customers.why import reasons
from sv_assets.identity.party import StationReport
from sv_assets.landing.quarantine import Quarantine
from sv_assets.mongo import CODEC, DUPLICATE_KEY, Document, Store, find_many, put
from sv_assets.sources.records import Rejected

SOURCE = "single_view.customers"
"""Under this name customers stand in quarantine that the collection refuses."""
MAX_BYTES = 1024**2
LARGE_BYTES = MAX_BYTES // 2
"""From here on a document says how `large` it is, with the history entry that lies in it."""
_REFUSED_BY_VALIDATOR = 121
_RAW: CodecOptions[RawBSONDocument] = CODEC.with_options(document_class=RawBSONDocument)


@dataclass(frozen=True, slots=True)
class Composed:
    """A customer document as `compose` makes it, encoded once, and what tells it from others."""

    document: Document
    encoded: bytes
    hash: str

    @property
    def id(self) -> str:
        return str(self.document["_id"])


def composed(document: Document) -> Composed:
    """With its bytes and hash (as `mongo.content_hash` makes it)."""
    encoded = bson.encode(document, codec_options=CODEC)
    return Composed(document, encoded, hashlib.blake2b(encoded, digest_size=16).hexdigest())


@dataclass(frozen=True, slots=True)
class _Ready:
    """A document ready to be sent, with its bookkeeping, and the history entry that lies in it."""

    made: Composed
    version: int
    raw: RawBSONDocument
    entry: Document | None

    @property
    def id(self) -> str:
        return self.made.id


@dataclass
class Attempt:
    """Writes composed documents at one moment; says what was `written`, `overtaken` by another run, and `refused`."""

    store: Store
    rules: str
    now: dt.datetime
    report: StationReport
    written: set[str] = field(default_factory=set)
    overtaken: set[str] = field(default_factory=set)
    refused: list[Rejected] = field(default_factory=list)

    def insert(self, made: Sequence[Composed]) -> None:
        """Documents of customers that have none. Who had one before, and lost it, goes on with the next version."""
        before = history.latest_versions(self.store, [one.id for one in made])
        ready = []
        for one in self._within_bounds(made):
            version = before.get(one.id, 0) + 1
            ready.append(self._ready(one, version, self.now, {"kind": "revived"} if version > 1 else None))
        if ready:
            raw = [one.raw for one in ready]
            failed = self._failed(lambda: self._customers.insert_many(raw, ordered=False), ready)
            inserted = [one for one in ready if one.id not in failed]
            self.report.inserted += len(inserted)
            self._count(inserted)

    def replace(self, made: Sequence[Composed], versions: Mapping[str, int]) -> None:
        """Documents that differ from those that were there, in these versions, before their data was read."""
        wanted = {one.id: one for one in self._within_bounds(made)}
        found = find_many(self._customers, "_id", wanted)
        stored = {d["_id"]: d for d in found if d.get("version", 0) == versions[d["_id"]]}
        self.overtaken |= wanted.keys() - stored.keys()
        if not stored:
            return
        # What was written before its fields were declared is told of as if it had been sealed.
        stored = {d["_id"]: d for d in seal_customers(self.store, list(stored.values()))}
        pairs = [(before, wanted[i].document) for i, before in stored.items() if "version" in before]
        why = reasons(self.store, pairs, self.rules)
        ready = []
        for identifier, before in stored.items():
            created_at, change = self.now, None
            if "version" in before:  # it has none if it was written before there was a history
                created_at = before["_sv"]["created_at"]
                changes = history.changes_between(before, wanted[identifier].document)
                change = {"kind": "changed", "why": why[identifier], "changes": changes}
            ready.append(self._ready(wanted[identifier], versions[identifier] + 1, created_at, change))
        updates = [over_version(one.id, one.version - 1, one.raw) for one in ready]
        failed = self._failed(lambda: self._customers.bulk_write(updates, ordered=False), ready)
        fields = {"version": 1, "_sv.hash": 1}
        now = {d["_id"]: (d["version"], d["_sv"]["hash"]) for d in find_many(self._customers, "_id", stored, fields)}
        ours = [one for one in ready if now.get(one.id) == (one.version, one.made.hash)]
        self.report.updated += len(ours)
        self._count(ours)
        self.overtaken |= stored.keys() - self.written - failed

    def keep_refused(self, quarantine: Quarantine, customers: Iterable[str]) -> None:
        """Put what was refused into quarantine, and take out who of these customers is as composed, or is no more."""
        quarantine.resolve(set(customers) - self.overtaken - {rejected.key_text for rejected in self.refused})
        if self.refused:
            self.report.count("quarantined", len(self.refused))
            quarantine.put(self.refused, run_id="")

    @property
    def _customers(self) -> Collection[Document]:
        return self.store.single_view["customers"]

    def _count(self, safe: list[_Ready]) -> None:
        """Documents that are safe: copy their history entries."""
        self.written.update(one.id for one in safe)
        put(self.store.single_view[history.COLLECTION], [one.entry for one in safe if one.entry], ())

    def _ready(self, made: Composed, version: int, created_at: dt.datetime, change: Document | None) -> _Ready:
        bookkeeping: Document = {
            "hash": made.hash,
            "rules": self.rules,
            "created_at": created_at,
            **waiting("customers", self.now),
        }
        if change:
            bookkeeping["change"] = change
        own: Document = {"enrichments": {}, "version": version, "composed_at": self.now, "_sv": bookkeeping}
        beside = bson.encode(own, codec_options=CODEC)
        if (size := len(made.encoded) + len(beside)) > LARGE_BYTES:
            beside = bson.encode({**own, "large": size}, codec_options=CODEC)
        # A BSON document is its length, its elements and a null byte: what is encoded already is put together.
        elements = made.encoded[4:-1] + beside[4:]
        raw = RawBSONDocument((len(elements) + 4).to_bytes(4, "little") + elements, _RAW)
        return _Ready(made, version, raw, history.entry_of({"_id": made.id, **own}))

    def _within_bounds(self, made: Iterable[Composed]) -> Iterator[Composed]:
        for one in made:
            if len(one.encoded) <= MAX_BYTES:
                yield one
            else:
                self._refuse(one, f"is larger than {MAX_BYTES:,} bytes ({len(one.encoded):,})")

    def _failed(self, write: Callable[[], Any], batch: list[_Ready]) -> set[str]:
        """Let `write` write a batch; the ids of those that it did not. Raises what is no fault of a document."""
        try:
            write()
            return set()
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            passing = (DUPLICATE_KEY, _REFUSED_BY_VALIDATOR)
            if error.details["writeConcernErrors"] or any(e["code"] not in passing for e in failed):
                raise
        for e in failed:
            one = batch[e["index"]]
            if e["code"] == DUPLICATE_KEY:
                self.overtaken.add(one.id)
            else:
                self._refuse(one.made, _why_refused(bson.decode(one.raw.raw, codec_options=CODEC)))
        return {batch[e["index"]].id for e in failed}

    def _refuse(self, made: Composed, reason: str) -> None:
        self.refused.append(Rejected(made.id, reason, history.composed_part(made.document)))


def over_version(customer_id: str, version: int, document: Mapping[str, Any]) -> UpdateOne:
    """Replaces the document of that version and no other; what other assets added to it stays."""
    kept = {"$mergeObjects": [{"$literal": document}, {"enrichments": {"$ifNull": ["$enrichments", {}]}}]}
    same = {"$eq": [{"$ifNull": ["$version", 0]}, version]}
    return UpdateOne({"_id": customer_id}, [{"$replaceWith": {"$cond": [same, kept, "$$ROOT"]}}])


def _why_refused(document: Document) -> str:
    """Which fields are not as the model says; without their values."""
    try:
        Customer.model_validate(document)
    except ValidationError as error:
        wrong = [e for e in error.errors() if not sealing.is_sealed(e["input"])]
        places = sorted({".".join(str(part) for part in e["loc"]) for e in wrong})
        if places:
            return f"does not fit the model of a customer: {', '.join(places[:5])}"
    return "is refused by the validator of the collection, which asks for more than the model"
