"""Batches of records become landing documents: guarded, counted, and free of needless writes."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.errors import DataError
from sv_assets.landing.documents import (
    LandingDocument,
    Origin,
    encoded_fields,
    first_pending,
    landing_document,
    landing_indexes,
    pending_depends_on_row,
)
from sv_assets.landing.quarantine import Quarantine
from sv_assets.landing.statements import deletion, upsert
from sv_assets.landing.suppression import Suppression
from sv_assets.mongo import DUPLICATE_KEY, Document, Store, bulk_write, ensure_indexes, in_batches
from sv_assets.sources.records import Batch, Deletion, Position, Record, Rejected, Version

_STATE = {"_sv.version": 1, "_sv.hash": 1, "_sv.deleted": 1}
_FEW = 0.2
"""Below this share of unchanged rows in a batch, it is cheaper to send the next one than to ask first what is there."""


@dataclass
class Outcome:
    """What became of the records that were read, in numbers of documents."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    deleted: int = 0
    quarantined: int = 0
    suppressed: int = 0
    """Of people who were erased."""
    by_partition: dict[str, int] = field(default_factory=dict)

    @property
    def landed(self) -> int:
        """Documents written."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class Prepared:
    """A batch made ready to be sent: what takes time to make, and needs nothing of the server."""

    position: Position
    read: int
    origin: Origin
    from_log: bool
    documents: dict[object, LandingDocument]
    records: dict[object, Record]
    deletions: list[Deletion]
    rejected: list[Rejected]
    suppressed: int = 0
    asked: int = 0
    """The state of the ledger of erased people that was asked."""
    upserts: list[UpdateOne] | None = None
    """The writes of all documents, where they will be sent without asking what is there."""
    stored: dict[object, Document] | None = None
    """What is known of the landed documents of these keys, where that was asked for already."""


class LandingWriter:
    """Writes the records of one source to its landing collection.

    `goes_on`: something of it has landed before, so nobody need look whether the collection is empty.
    """

    def __init__(
        self, store: Store, catalogue: Catalogue, source: Source, run_id: str, *, goes_on: bool = False
    ) -> None:
        self.source = source
        self.run_id = run_id
        self.collection = store.landing[source.key]
        self.quarantine = Quarantine(store, source.key)
        self.suppression = Suppression(store, catalogue, source)
        ensure_indexes(self.collection, landing_indexes(catalogue, source))
        self._pending_depends_on_row = pending_depends_on_row(catalogue, source)
        may_be_empty = not (goes_on or source.is_queue)
        self._is_first_load = may_be_empty and self.collection.estimated_document_count() == 0
        self._ask_first = True

    def prepare(self, batch: Batch) -> Prepared:
        """The documents of a batch, the newest of each key; those that BSON cannot take are rejected.

        Nothing is in it of people who were erased."""
        read, batch = batch.read, self.suppression.clean(batch)
        asked = self.suppression.revision
        origin = Origin(self.source, self.run_id, batch.extracted_at)
        records = newest_per_key(batch.records)
        rejected = list(batch.rejected)
        documents: dict[object, LandingDocument] = {}
        depends_on_row = self._is_first_load and self._pending_depends_on_row
        for (key, record), fields in zip(records.items(), encoded_fields([*records.values()]), strict=True):
            try:
                pending = first_pending(self.source, record) if depends_on_row else None
                documents[key] = landing_document(origin, record, pending, fields)
            except DataError as reason:
                rejected.append(_rejected(record, f"the {'message' if record.message else 'row'} {reason}"))
        looks_first = self._is_first_load or self._ask_first or self.source.is_queue
        upserts = (
            None if looks_first else [upsert(document, from_log=batch.from_log) for document in documents.values()]
        )
        return Prepared(
            batch.position, read, origin, batch.from_log, documents, records, batch.deletions, rejected,
            read - batch.read, asked, upserts,
        )  # fmt: skip

    def write(self, batch: Batch, outcome: Outcome) -> list[Rejected]:
        """Land the batch, and add to `outcome`. All of it is acknowledged by a majority when this returns.

        Returns what went to quarantine."""
        stored = self._stored({record.key for record in batch.records}) if self.source.is_queue else None
        records, others = _comparable(batch.records, stored)
        rejected = [*batch.rejected, *(_incomparable(record) for record in others)]
        prepared = replace(self.prepare(replace(batch, records=records, rejected=rejected)), stored=stored)
        self.send(prepared, outcome)
        return prepared.rejected

    def send(self, prepared: Prepared, outcome: Outcome) -> None:
        """Land what was prepared, and add to `outcome`. All of it is acknowledged by a majority when this returns."""
        documents, rejected = prepared.documents, prepared.rejected
        outcome.read += prepared.read
        outcome.suppressed += prepared.suppressed
        outcome.stale += prepared.read - prepared.suppressed - len(documents) - len(rejected) - len(prepared.deletions)
        if not self.source.is_queue and self.source.table.partitions:
            days = Counter(partition for key in documents if (partition := prepared.records[key].partition))
            outcome.by_partition = dict(Counter(outcome.by_partition) + days)
        if documents:
            try:
                self._write_documents(prepared, outcome)
            except BulkWriteError as error:
                if not self.source.is_queue or not error.details.get("writeErrors"):
                    raise
                rejected.extend(self._write_one_by_one(prepared, outcome))
        if prepared.deletions:
            self._write_deletions(prepared, outcome)
        if not self.source.is_queue:  # messages have entries of their own, whatever they are about
            landed = (prepared.records[key].key_text for key in documents)
            self.quarantine.resolve(itertools.chain(landed, (gone.key_text for gone in prepared.deletions)))
        if rejected:
            self.quarantine.put(rejected, self.run_id)
            outcome.quarantined += len(rejected)
        if self.suppression.changed_since(prepared.asked):
            gone = self.suppression.take_back(prepared.records.values(), prepared.deletions, rejected)
            self.quarantine.remove(gone)

    def _stored(self, keys: Iterable[object]) -> dict[object, Document]:
        """What is known of the landed documents of these keys."""
        return {
            document["_id"]: document["_sv"]
            for ids in in_batches(keys)
            for document in self.collection.find({"_id": {"$in": ids}}, _STATE)
        }

    def _write_deletions(self, prepared: Prepared, outcome: Outcome) -> None:
        updates = [deletion(prepared.origin, gone.key, gone.version) for gone in prepared.deletions]
        deleted = sum(bulk_write(self.collection, updates))
        outcome.deleted += deleted
        outcome.stale += len(updates) - deleted

    def _write_documents(self, prepared: Prepared, outcome: Outcome) -> None:
        """Insert what is new, and send guarded upserts of what differs from what is there.

        What is there is not asked for in an empty collection, nor where nearly all documents of the last batch differed:
        the guards then decide.
        """
        to_write = list(prepared.documents.values())
        if self._is_first_load:
            to_write = self._insert(prepared, to_write, outcome)
        asked = self._ask_first or prepared.stored is not None
        upserts, unchanged = prepared.upserts, 0
        if asked and to_write:
            upserts = None
            stored = prepared.stored
            if stored is None:
                stored = self._stored(document.key for document in to_write)
            different = [d for d in to_write if _differs(d, stored.get(d.key), prepared.from_log)]
            older = [d for d in different if _is_older_than(d, stored.get(d.key))]
            unchanged = len(to_write) - len(different)
            outcome.stale += len(older)
            skipped = {document.key for document in older}
            to_write = [document for document in different if document.key not in skipped]
            if self.source.is_queue:
                new = [document for document in to_write if document.key not in stored]
                to_write = [document for document in to_write if document.key in stored]
                to_write += self._insert(prepared, new, outcome)
        if upserts is None:
            upserts = [upsert(document, from_log=prepared.from_log) for document in to_write]
        inserted, updated = bulk_write(self.collection, upserts)
        outcome.inserted += inserted
        outcome.updated += updated
        left = len(to_write) - inserted - updated
        if left and not asked:
            stored = self._stored(document.key for document in to_write)
            older = [d for d in to_write if _is_older_than(d, stored.get(d.key))]
            unchanged, left = max(left - len(older), 0), min(len(older), left)
        outcome.unchanged += unchanged
        outcome.stale += left
        self._ask_first = unchanged > _FEW * len(prepared.documents)

    def _write_one_by_one(self, prepared: Prepared, outcome: Outcome) -> list[Rejected]:
        """What MongoDB refuses is found, and goes to quarantine, so that it stops only itself; where it refuses all, the
        fault is not theirs, and is raised."""
        refused: list[Rejected] = []
        for key, document in prepared.documents.items():
            try:
                inserted, updated = bulk_write(self.collection, [upsert(document)])
                outcome.inserted += inserted
                outcome.updated += updated
            except BulkWriteError as error:
                if len(refused) + 1 == len(prepared.documents) > 1 or not error.details.get("writeErrors"):
                    raise
                code = error.details["writeErrors"][0].get("code")
                refused.append(_rejected(prepared.records[key], f"MongoDB refuses it (code {code})"))
        return refused

    def _insert(self, prepared: Prepared, documents: list[LandingDocument], outcome: Outcome) -> list[LandingDocument]:
        """Plain inserts, twice as fast as guarded ones. Returns the documents whose key was there after all."""
        there_already: list[LandingDocument] = []
        for batch in in_batches(documents):
            try:
                raws = [document.raw for document in batch]
                cast(Collection[Any], self.collection).insert_many(raws, ordered=False)
                outcome.inserted += len(raws)
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if error.details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in failed):
                    raise
                outcome.inserted += error.details["nInserted"]
                there_already.extend(
                    landing_document(prepared.origin, prepared.records[batch[e["index"]].key]) for e in failed
                )
        return there_already


def newest_per_key(records: Iterable[Record]) -> dict[object, Record]:
    """One record a key: of several in one batch the newest, of equal ones the last sent, and else the last read."""
    newest: dict[object, Record] = {}
    for record in records:
        seen = newest.get(record.key)
        if seen is None or not (_is_older(record.version, seen.version) or _is_sent_before(record, seen)):
            newest[record.key] = record
    return newest


def _is_sent_before(one: Record, other: Record) -> bool:
    """Of two messages that state one version."""
    here, there = one.sent_at, other.sent_at
    return here is not None and there is not None and one.version == other.version and here < there


def _comparable(records: list[Record], stored: Mapping[object, Document] | None) -> tuple[list[Record], list[Record]]:
    """The records, and apart from them those whose version is text where it is a number in what has landed, or the other
    way round; where nothing has landed, the first record decides. Tables have one type by their capture mode."""
    if stored is None:
        return records, []
    is_text: dict[object, bool] = {}
    for record in records:
        is_text.setdefault(record.key, isinstance(record.version, str))
    for key, there in stored.items():
        if there["version"] is not None:
            is_text[key] = isinstance(there["version"], str)
    comparable: list[Record] = []
    others: list[Record] = []
    for record in records:
        (comparable if is_text[record.key] == isinstance(record.version, str) else others).append(record)
    return comparable, others


def _differs(document: LandingDocument, there: Document | None, from_log: bool) -> bool:
    """Whether it must be sent: new, of other content, or a change of its own in the source's log."""
    if there is None or there["hash"] != document.hash:
        return True
    return from_log and _is_older(there["version"], document.version)


def _is_older_than(document: LandingDocument, there: Document | None) -> bool:
    return there is not None and not there["deleted"] and _is_older(document.version, there["version"])


def _is_older(one: Version, other: Version | None) -> bool:
    """False also where the two do not compare: then the guard of the write decides."""
    return other is not None and isinstance(one, str) == isinstance(other, str) and one < other  # type: ignore[operator]


def _incomparable(record: Record) -> Rejected:
    here, there = ("text", "a number") if isinstance(record.version, str) else ("a number", "text")
    return _rejected(
        record, f"the version is {here}, and {there} in what landed before: which one is newer cannot be told"
    )


def _rejected(record: Record, reason: str) -> Rejected:
    """A converted record that cannot be written: a message as it came, a row by what was read of it."""
    if record.message:
        return Rejected(f"message {record.message['message_id']}", reason, record.message)
    return Rejected(record.key_text, reason, {name: repr(value) for name, value in record.fields.items()})
