"""Batches of records become landing documents: guarded, counted, and free of needless writes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.errors import DataError
from sv_assets.landing.documents import Origin, deletion, insert, landing_document, landing_indexes, touch, upsert
from sv_assets.landing.quarantine import Quarantine
from sv_assets.mongo import DUPLICATE_KEY, Document, Store, bulk_write, ensure_indexes, in_batches
from sv_assets.sources.records import Batch, Deletion, Record, Rejected, Version

_STATE = {"_sv.version": 1, "_sv.hash": 1, "_sv.deleted": 1}


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
    by_partition: dict[str, int] = field(default_factory=dict)

    @property
    def landed(self) -> int:
        """Documents written."""
        return self.inserted + self.updated + self.deleted


class LandingWriter:
    """Writes the records of one source to its landing collection."""

    def __init__(self, store: Store, catalogue: Catalogue, source: Source, run_id: str) -> None:
        self._source = source
        self.run_id = run_id
        self.collection = store.landing[source.key]
        self.quarantine = Quarantine(store, source.key)
        ensure_indexes(self.collection, landing_indexes(catalogue, source))
        self._was_empty = self.collection.estimated_document_count() == 0

    def write(self, batch: Batch, outcome: Outcome) -> None:
        """Land the batch, and add to `outcome`. All of it is acknowledged by a majority when this returns."""
        origin = Origin(self._source, self.run_id, batch.extracted_at)
        documents: dict[object, Document] = {}
        records, incomparable = self._comparable(batch.records)
        rejected = [*batch.rejected, *(_incomparable(record) for record in incomparable)]
        landed_keys: list[str] = []
        for record in newest_per_key(records):
            try:
                documents[record.key] = landing_document(origin, record)
            except DataError as reason:
                rejected.append(
                    Rejected(record.key_text, f"the row {reason}", {k: repr(v) for k, v in record.fields.items()})
                )
                continue
            landed_keys.append(record.key_text)
            if record.partition:
                outcome.by_partition[record.partition] = outcome.by_partition.get(record.partition, 0) + 1
        outcome.read += batch.read
        outcome.stale += batch.read - len(documents) - len(rejected) - len(batch.deletions)
        if documents:
            self._write_documents(list(documents.values()), outcome, touch_unchanged=batch.from_log)
        if batch.deletions:
            self._write_deletions(origin, batch.deletions, outcome)
            landed_keys += [deletion.key_text for deletion in batch.deletions]
        if landed_keys:
            self.quarantine.resolve(landed_keys)
        if rejected:
            self.quarantine.put(rejected, self.run_id)
            outcome.quarantined += len(rejected)

    def _comparable(self, records: list[Record]) -> tuple[list[Record], list[Record]]:
        """The records, and apart from them those whose version is text where it is a number in what has landed, or the
        other way round; where nothing has landed, the first record decides. Tables have one type by their capture mode."""
        if not self._source.is_queue:
            return records, []
        is_text: dict[object, bool] = {}
        for record in records:
            is_text.setdefault(record.key, isinstance(record.version, str))
        for key, there in self._stored(is_text).items():
            if there["version"] is not None:
                is_text[key] = isinstance(there["version"], str)
        comparable: list[Record] = []
        others: list[Record] = []
        for record in records:
            (comparable if is_text[record.key] == isinstance(record.version, str) else others).append(record)
        return comparable, others

    def _stored(self, keys: Iterable[object]) -> dict[object, Document]:
        """What is known of the landed documents of these keys."""
        return {
            document["_id"]: document["_sv"]
            for ids in in_batches(keys)
            for document in self.collection.find({"_id": {"$in": ids}}, _STATE)
        }

    def _write_deletions(self, origin: Origin, deletions: list[Deletion], outcome: Outcome) -> None:
        """What the source's log says is gone; a tombstone also waits where the row has not landed."""
        newest = {gone.key: gone for gone in sorted(deletions, key=lambda gone: gone.version)}
        written = bulk_write(self.collection, [deletion(origin, gone.key, gone.version) for gone in newest.values()])
        outcome.deleted += sum(written)
        outcome.stale += len(deletions) - sum(written)

    def _write_documents(self, documents: list[Document], outcome: Outcome, *, touch_unchanged: bool) -> None:
        if self._was_empty and not self._source.is_queue:
            documents = self._insert(documents, outcome)
        stored = self._stored(document["_id"] for document in documents)
        updates: list[UpdateOne] = []
        touched: list[UpdateOne] = []
        for document in documents:
            here, there = document["_sv"], stored.get(document["_id"])
            if there is not None and there["hash"] == here["hash"]:
                outcome.unchanged += 1
                if touch_unchanged and _is_older(there["version"], here["version"]):
                    touched.append(touch(document))
            elif there is not None and not there["deleted"] and _is_older(here["version"], there["version"]):
                outcome.stale += 1
            else:
                updates.append(upsert(document))
        bulk_write(self.collection, touched)
        inserted, updated = bulk_write(self.collection, updates)
        outcome.inserted += inserted
        outcome.updated += updated
        outcome.stale += len(updates) - inserted - updated

    def _insert(self, documents: list[Document], outcome: Outcome) -> list[Document]:
        """Plain inserts, twice as fast as guarded ones. Returns the documents whose key was there after all."""
        there_already: list[Document] = []
        for batch in in_batches(documents):
            try:
                outcome.inserted += self.collection.bulk_write(
                    [insert(self._source, d) for d in batch], ordered=False
                ).inserted_count
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if error.details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in failed):
                    raise
                outcome.inserted += error.details["nInserted"]
                there_already.extend(batch[e["index"]] for e in failed)
        return there_already


def newest_per_key(records: Iterable[Record]) -> Iterable[Record]:
    """One record a key: of several in one batch the newest, and of equal ones the last read."""
    newest: dict[object, Record] = {}
    for record in records:
        seen = newest.get(record.key)
        if seen is None or not _is_older(record.version, seen.version):
            newest[record.key] = record
    return newest.values()


def _is_older(one: Version, other: Version | None) -> bool:
    """False also where the two do not compare: then the guard of the write decides."""
    return other is not None and isinstance(one, str) == isinstance(other, str) and one < other  # type: ignore[operator]


def _incomparable(record: Record) -> Rejected:
    here, there = ("text", "a number") if isinstance(record.version, str) else ("a number", "text")
    reason = f"the version is {here}, and {there} in what landed before: which one is newer cannot be told"
    raw = {name: repr(value) for name, value in record.fields.items()}
    return Rejected(f"{record.key_text} at version {record.version!r}", reason, raw)
