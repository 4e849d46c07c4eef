"""The MongoDB databases, and the few statements that every station shares.

Statements keep to shapes that are fast everywhere: `_id` equality, or equality or a small `$in` on one index. Guards
stand inside pipeline updates keyed by `_id` alone, so that a write needs no second predicate to be safe.
"""

import datetime as dt
import hashlib
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

import bson
from bson import CodecOptions
from bson.binary import UuidRepresentation
from pymongo import IndexModel, MongoClient, ReplaceOne, UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    ServerSelectionTimeoutError,
    WTimeoutError,
)
from pymongo.errors import (
    ConfigurationError as MongoConfigurationError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from sv_assets import settings
from sv_assets.errors import ConfigurationError, SvError, TransientError

T = TypeVar("T")
Document = dict[str, Any]
CODEC: CodecOptions[Document] = CodecOptions(
    tz_aware=True, tzinfo=dt.timezone.utc, uuid_representation=UuidRepresentation.STANDARD
)
MAJORITY = WriteConcern(w="majority", wtimeout=60_000)
DUPLICATE_KEY = 11000
BATCH = 1000
"""How many documents go into one `$in` or one bulk write."""
BATCH_BYTES = 16 * 1024**2
"""About how many bytes are worked on together, where single items may be large."""
logging.getLogger("pymongo.command").setLevel(logging.INFO)  # at DEBUG it writes the documents


def to_milliseconds(moment: dt.datetime) -> dt.datetime:
    """The moment as MongoDB keeps it: cut here, so that what is compared is what is stored."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def now_in_milliseconds() -> dt.datetime:
    """The present moment (UTC) as MongoDB keeps it."""
    return to_milliseconds(dt.datetime.now(dt.timezone.utc))


@dataclass(frozen=True)
class Store:
    """The databases of the platform on one server; `prefix` lets tests and teams share it.

    `url` is what the client was opened with, for other processes to open their own; empty where nobody knows.
    """

    client: MongoClient[Document]
    prefix: str = ""
    url: str = field(default="", repr=False)

    @cached_property
    def landing(self) -> Database[Document]:
        return self._database("landing")

    @cached_property
    def archive(self) -> Database[Document]:
        return self._database("archive")

    @cached_property
    def identity(self) -> Database[Document]:
        return self._database("identity")

    @cached_property
    def single_view(self) -> Database[Document]:
        return self._database("single_view")

    @cached_property
    def fraud(self) -> Database[Document]:
        return self._database("fraud")

    @cached_property
    def contact_centre(self) -> Database[Document]:
        return self._database("contact_centre")

    @cached_property
    def control(self) -> Database[Document]:
        return self._database("control")

    @cached_property
    def marketing(self) -> Database[Document]:
        return self._database("marketing")

    def databases(self) -> list[Database[Document]]:
        return [
            self.landing,
            self.archive,
            self.identity,
            self.single_view,
            self.contact_centre,
            self.fraud,
            self.control,
            self.marketing,
        ]

    def close(self) -> None:
        self.client.close()

    def _database(self, name: str) -> Database[Document]:
        return self.client.get_database(
            self.prefix + name,
            codec_options=CODEC,
            write_concern=MAJORITY,
            read_concern=ReadConcern("local"),
            read_preference=ReadPreference.PRIMARY,
        )


def open_store(url: str, prefix: str = "") -> Store:
    """Connect lazily; the first statement fails within 10 s with TransientError where nobody answers."""
    try:
        if not url.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("it does not begin with mongodb://")
        client: MongoClient[Document] = MongoClient(
            url,
            serverSelectionTimeoutMS=10_000,
            connectTimeoutMS=10_000,
            socketTimeoutMS=120_000,
            appname="single-customer-view",
        )
    except (InvalidURI, MongoConfigurationError, ValueError) as error:
        raise ConfigurationError(
            f"SV_MONGO_URL is not a MongoDB connection string ({settings.masked(str(error))}). "
            "It looks like mongodb+srv://user:password@cluster.example.net/ or mongodb://127.0.0.1:27017/."
        ) from None
    return Store(client, prefix, url)


def store_from_environment() -> Store:
    """The store named by `SV_MONGO_URL` and `SV_MONGO_PREFIX`, or by the running embedded estate."""
    return open_store(settings.require("SV_MONGO_URL", "MongoDB"), settings.variable("SV_MONGO_PREFIX") or "")


def content_hash(content: Mapping[str, Any]) -> str:
    """What tells two states of a document apart: a hash of its BSON, field order included."""
    return hashlib.blake2b(bson.encode(content, codec_options=CODEC), digest_size=16).hexdigest()


@contextmanager
def explained_mongo_errors() -> Iterator[None]:
    """Turns what a driver raises when MongoDB is away or refuses us into our own errors, in one sentence."""
    try:
        yield
    except BulkWriteError as error:
        # Not "from error": its text holds the documents.
        if not error.details.get("writeErrors"):
            raise TransientError(
                "MongoDB wrote, but its majority did not acknowledge in time. Look at the health of the replica set."
            ) from None
        codes = sorted({str(e.get("code")) for e in error.details.get("writeErrors", [])})
        raise SvError(
            f"MongoDB refused {len(error.details.get('writeErrors', []))} writes (codes {', '.join(codes) or 'none'}). "
            "Code 121 is a validator's; look the others up in MongoDB's error codes."
        ) from None
    except (ServerSelectionTimeoutError, AutoReconnect, WTimeoutError, ExecutionTimeout) as error:
        raise TransientError(
            f"MongoDB does not answer at {settings.masked(settings.variable('SV_MONGO_URL') or 'the given URL')} "
            f"({type(error).__name__}). Check that the server runs and SV_MONGO_URL is right: `sv doctor` tries it."
        ) from error
    except OperationFailure as error:
        if error.code not in (13, 18, 8000):
            raise SvError(f"MongoDB refused a statement (code {error.code}, {type(error).__name__}).") from None
        raise ConfigurationError(
            "MongoDB refuses our user (not authorised). Check the user, password and roles behind SV_MONGO_URL."
        ) from None


def put(collection: Collection[Document], documents: Sequence[Document], there: Container[Any]) -> tuple[int, int]:
    """Write whole documents; `there` are the ids that are known to exist. Returns how many were (inserted, changed).

    New documents go in as plain inserts, three times as fast as upserts. What turns out to be there after all is replaced.
    """
    inserted = changed = 0
    for batch in in_batches(documents):
        new = [document for document in batch if document["_id"] not in there]
        old = [document for document in batch if document["_id"] in there]
        if new:
            try:
                collection.insert_many(new, ordered=False)
                inserted += len(new)
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if error.details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in failed):
                    raise
                inserted += error.details["nInserted"]
                old += [new[e["index"]] for e in failed]
        if old:
            replacements = [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in old]
            result = collection.bulk_write(replacements, ordered=False)
            inserted += result.upserted_count
            changed += result.modified_count
    return inserted, changed


def insert_missing(collection: Collection[Document], documents: Sequence[Document]) -> int:
    """Insert those documents whose `_id` is not there; what is there stays as it is. Returns how many were inserted."""
    inserted = 0
    for batch in in_batches(documents):
        try:
            collection.insert_many(batch, ordered=False)
            inserted += len(batch)
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in failed):
                raise
            inserted += error.details["nInserted"]
    return inserted


def ensure_indexes(collection: Collection[Document], indexes: Sequence[IndexModel]) -> None:
    """Create what is missing; costs one round trip where nothing is."""
    existing = {tuple(spec["key"].items()) for spec in collection.list_indexes()}
    missing = [index for index in indexes if tuple(index.document["key"].items()) not in existing]
    if missing:
        collection.create_indexes(missing)


def in_batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def in_bounded_batches(items: Iterable[T], bytes_of: Callable[[T], int], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most `size`, which end with the item that makes them `BATCH_BYTES` large."""
    batch: list[T] = []
    held = 0
    for item in items:
        batch.append(item)
        held += bytes_of(item)
        if len(batch) == size or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def find_many(
    collection: Collection[Document],
    field: str,
    values: Iterable[Any],
    projection: Mapping[str, Any] | None = None,
    size: int = 500,
) -> Iterator[Document]:
    """Documents whose indexed `field` is one of `values`; a document with several matching values may come twice."""
    for batch in in_batches(values, size):
        yield from collection.find({field: {"$in": batch}}, projection).batch_size(10 * BATCH)


def bulk_write(collection: Collection[Document], updates: Sequence[UpdateOne | UpdateMany]) -> tuple[int, int]:
    """Unordered, majority-acknowledged. Returns how many documents were (inserted, changed).

    Two runs that insert one document at the same instant make one of them fail on the duplicate `_id`; its update is
    sent again and then finds the document, as MongoDB documents for upserts.
    """
    inserted = changed = 0
    for batch in in_batches(updates):
        for attempt in range(3):
            try:
                result: Mapping[str, Any] = collection.bulk_write(batch, ordered=False).bulk_api_result
                failed: list[Document] = []
            except BulkWriteError as error:
                result = error.details
                failed = result["writeErrors"]
                if attempt == 2 or result["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in failed):
                    raise
            inserted += result["nUpserted"]
            changed += result["nModified"]
            if not failed:
                break
            batch = [batch[e["index"]] for e in failed]
    return inserted, changed
