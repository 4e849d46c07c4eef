"""Batches of records become landing documents: guarded, counted, and free of needless writes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.errors import DataError
from sv_assets.landing.documents import Origin, insert, landing_document, landing_indexes, upsert
from sv_assets.landing.quarantine import Quarantine
from sv_assets.mongo import DUPLICATE_KEY, Document, Store, bulk_write, ensure_indexes, in_batches
from sv_assets.sources.records import Batch, Record, Rejected, Version

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
        records, incomparable = newest_per_key(batch.records)
        rejected = [*batch.rejected, *(_incomparable(record) for record in incomparable)]
        landed: dict[object, Record] = {}
        for record in records:
            try:
                documents[record.key] = landing_document(origin, record)
            except DataError as reason:
                rejected.append(
                    Rejected(record.key_text, f"the row {reason}", {k: repr(v) for k, v in record.fields.items()})
                )
                continue
            landed[record.key] = record
            if record.partition:
                outcome.by_partition[record.partition] = outcome.by_partition.get(record.partition, 0) + 1
        outcome.read += batch.read
        outcome.stale += batch.read - len(documents) - len(rejected)
        if documents:
            for key in self._write_documents(list(documents.values()), outcome):
                rejected.append(_incomparable(landed.pop(key)))
            self.quarantine.resolve(record.key_text for record in landed.values())
        if rejected:
            self.quarantine.put(rejected, self.run_id)
            outcome.quarantined += len(rejected)

    def _write_documents(self, documents: list[Document], outcome: Outcome) -> list[object]:
        """Write what is new. Returns the keys whose version does not compare with the one that is there."""
        if self._was_empty and not self._source.is_queue:
            documents = self._insert(documents, outcome)
        stored = {
            document["_id"]: document["_sv"]
            for ids in in_batches(d["_id"] for d in documents)
            for document in self.collection.find({"_id": {"$in": ids}}, _STATE)
        }
        updates: list[UpdateOne] = []
        incomparable: list[object] = []
        for document in documents:
            here, there = document["_sv"], stored.get(document["_id"])
            if there is not None and there["hash"] == here["hash"]:
                outcome.unchanged += 1
            elif there is None or there["version"] is None or there["deleted"]:
                updates.append(upsert(document))
            elif not _compare(there["version"], here["version"]):
                incomparable.append(document["_id"])
            elif there["version"] > here["version"]:
                outcome.stale += 1
            else:
                updates.append(upsert(document))
        inserted, updated = bulk_write(self.collection, updates)
        outcome.inserted += inserted
        outcome.updated += updated
        outcome.stale += len(updates) - inserted - updated
        return incomparable

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


def newest_per_key(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """One record a key: of several in one batch the newest, and of equal ones the last read.

    Beside them the records whose version is text where the key's first one is a number, or the other way round.
    """
    newest: dict[object, Record] = {}
    incomparable: list[Record] = []
    for record in records:
        seen = newest.get(record.key)
        if seen is not None and not _compare(seen.version, record.version):
            incomparable.append(record)
        elif seen is None or record.version >= seen.version:  # type: ignore[operator]
            newest[record.key] = record
    return list(newest.values()), incomparable


def _compare(one: Version, other: Version) -> bool:
    """Whether two versions can be compared; only a queue that changes its mind about their type sends ones that cannot."""
    return isinstance(one, str) == isinstance(other, str)


def _incomparable(record: Record) -> Rejected:
    here, there = ("text", "a number") if isinstance(record.version, str) else ("a number", "text")
    reason = f"the version is {here}, and {there} in what landed before: which one is newer cannot be told"
    raw = {name: repr(value) for name, value in record.fields.items()}
    return Rejected(f"{record.key_text} at version {record.version!r}", reason, raw)
