"""The event archive of a queue: every message whole, as it came, a while longer than anybody needs it.

Append-only: a message is put in once, by its message id, before what it says lands; MongoDB removes it when its time is
over. A day of it can be landed again.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pymongo import IndexModel, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure

from sv_assets.catalogue.source import Source
from sv_assets.mongo import DUPLICATE_KEY, Document, Store, bulk_write, ensure_indexes, in_batches
from sv_assets.sources.messages import Message, Opened
from sv_assets.sources.messages.raw import message_of
from sv_assets.sources.records import Record, Window

INDEX_OPTIONS_CONFLICT = 85


class Archive:
    """The archive of one queue, `archive.<system>.<queue>`.

    A document is what `raw_of` says of the message, with `_id` (its message id), `sent_at` (the clock of SQS),
    `received_at` and `run_id` of who received it, and as far as they are known `key` (the business key) and `event`.
    """

    def __init__(self, store: Store, source: Source) -> None:
        self.collection = store.archive[source.key]
        self._keep = int(source.queue.archive.keep.total_seconds())

    def prepare(self) -> None:
        """Its indexes, and the declared time for which messages are kept; needed before the first `put`."""
        ensure_indexes(self.collection, [IndexModel([("key", 1)], sparse=True)])
        index = IndexModel([("sent_at", 1)], expireAfterSeconds=self._keep)
        try:
            self.collection.create_indexes([index])
        except OperationFailure as error:
            if error.code != INDEX_OPTIONS_CONFLICT:
                raise
            change = {"keyPattern": {"sent_at": 1}, "expireAfterSeconds": self._keep}
            self.collection.database.command("collMod", self.collection.name, index=change)

    def put(self, messages: Sequence[Opened], received_at: dt.datetime, run_id: str) -> Counter[str]:
        """Add what is not there yet; by day, how many. Acknowledged by a majority when it returns."""
        documents = {m.message.message_id: _document(m, received_at, run_id) for m in messages}
        there: set[str] = set()
        for batch in in_batches(documents.values()):
            try:
                self.collection.insert_many(batch, ordered=False)
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if error.details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in failed):
                    raise
                there.update(batch[e["index"]]["_id"] for e in failed)
        self._complete([documents[identifier] for identifier in there])
        return Counter(
            f"{document['sent_at']:%Y-%m-%d}" for identifier, document in documents.items() if identifier not in there
        )

    def remove(self, message_ids: Iterable[str]) -> None:
        """Take messages out for good."""
        for batch in in_batches(message_ids):
            self.collection.delete_many({"_id": {"$in": batch}})

    def _complete(self, documents: Sequence[Document]) -> None:
        """A message that was put in without its payload, which could not be read then, gets it now."""
        updates = [
            UpdateOne(
                {"_id": document["_id"]}, [{"$set": {"payload": {"$ifNull": ["$payload", {"$literal": payload}]}}}]
            )
            for document in documents
            if (payload := document.get("payload")) is not None
        ]
        if updates:
            bulk_write(self.collection, updates)

    def message(self, message_id: str) -> Message | None:
        """The message with this id, if it has been received before."""
        found = self.collection.find_one({"_id": message_id})
        return message_of(found) if found else None

    def count(self, window: Window) -> int:
        """How many messages were sent in a window of time."""
        return self.collection.count_documents(_sent_in(window))

    def read(self, window: Window) -> Iterator[Message]:
        """The messages sent in a window of time, in no order."""
        for document in self.collection.find(_sent_in(window)).batch_size(50):
            yield message_of(document)


def _sent_in(window: Window) -> Document:
    return {"sent_at": {"$gte": _moment(window.start), "$lt": _moment(window.end)}}


def _moment(day: dt.date) -> dt.datetime:
    moment = day if isinstance(day, dt.datetime) else dt.datetime(day.year, day.month, day.day)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)


def _document(opened: Opened, received_at: dt.datetime, run_id: str) -> Document:
    content = opened.content
    raw = content.message if isinstance(content, Record) else content.raw
    assert raw is not None, "what is opened keeps its message"
    known: dict[str, Any] = {}
    if isinstance(content, Record):
        known["key"] = content.key_text
    if opened.event is not None:
        known["event"] = opened.event
    return {"_id": opened.message.message_id, **known, **raw, "received_at": received_at, "run_id": run_id}
