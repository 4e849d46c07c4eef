"""The landing document: the source's fields as they are, `_id` the source key, bookkeeping under `_sv`."""

import datetime as dt
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bson
from bson import CodecOptions, Int64
from bson.errors import InvalidDocument
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel

from sv_assets.catalogue.entry import Const, FieldSpec
from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import STATION_OF_FEED, Source
from sv_assets.errors import DataError
from sv_assets.mongo import CODEC, Document, to_milliseconds
from sv_assets.sources.keys import key_value
from sv_assets.sources.messages import path_parts
from sv_assets.sources.records import Record, Version
from sv_assets.worklist import PENDING_INDEX

UPSERT, DELETE, MISSING = "upsert", "delete", "missing"
"""What `_sv.op` says: a row; the tombstone of one whose deletion was told; that of one that was looked for in vain."""
MAX_BYTES = 15 * 1024 * 1024
"""MongoDB takes documents up to 16 MiB; the rest is for bookkeeping."""
_INT32 = struct.Struct("<i").pack
_INT32_AT = struct.Struct("<i").unpack_from
_FIRST_ITEM = 10
"""Where the items of `{"": […]}` begin: after a length, a type, an empty name and another length."""
UNSTORABLE = (InvalidDocument, OverflowError, UnicodeEncodeError, RecursionError, ValueError)
"""What the encoder raises for values that BSON cannot take."""
_INT64 = struct.Struct("<q").pack
_RAW: CodecOptions[RawBSONDocument] = CODEC.with_options(document_class=RawBSONDocument)


@dataclass(frozen=True)
class Origin:
    """Where the records of one batch come from, and when."""

    source: Source
    run_id: str
    extracted_at: dt.datetime

    @cached_property
    def extracted_at_ms(self) -> dt.datetime:
        return to_milliseconds(self.extracted_at)

    @cached_property
    def stations(self) -> tuple[str, ...]:
        """The stations that must work off what this source feeds."""
        return tuple(self.source.stations)

    def bookkeeping(self, operation: str, stations: Sequence[str]) -> Document:
        """What `_sv` says of all documents of a batch. `pending` names the stations that have not worked a document off
        yet; they take themselves off."""
        pending = {"pending": list(stations)} if stations else {}
        return {
            "system": self.source.system,
            "table": self.source.name,
            "op": operation,
            "extracted_at": self.extracted_at_ms,
            "run_id": self.run_id,
            "deleted": operation != UPSERT,
            **pending,
        }

    @cached_property
    def _encoded(self) -> dict[tuple[str, ...], bytes]:
        return {}

    def encoded(self, stations: tuple[str, ...]) -> bytes:
        """The elements of `bookkeeping` for rows, encoded once."""
        found = self._encoded.get(stations)
        if found is None:
            found = bson.encode(self.bookkeeping(UPSERT, stations), codec_options=CODEC)[4:-1]
            self._encoded[stations] = found
        return found


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


def reference_value(source: Source, document: Document, path: str | None) -> Any:
    """The key that a row points to another row with; None where there is none. A message may hold what is no key at all."""
    value = key_value(field_value(source, document, path))
    return None if isinstance(value, (dict, list)) else value


@dataclass(slots=True)
class LandingDocument:
    """A document ready to be sent: encoded once, with what its guards compare beside it.

    Not frozen, because one is made for every row, and that costs a microsecond.
    """

    key: Any
    version: Version
    hash: str
    extracted_at: dt.datetime
    raw: RawBSONDocument
    sent_at: dt.datetime | None = None


def landing_document(
    origin: Origin, record: Record, pending: Sequence[str] | None = None, fields: bytes | None = None
) -> LandingDocument:
    """The document of a record; `pending` are the stations that must work it off, by default all that the source feeds.

    `fields` are the record's fields where they are encoded already (`encoded_fields`). The hash covers them and what
    marks them, not the bookkeeping. Raises DataError for what BSON cannot take.
    """
    try:
        if fields is None:
            fields = bson.encode(record.fields, codec_options=CODEC)[4:-1]
        content = fields
        if record.marks:
            content = bson.encode({**record.fields, "_sv": record.marks}, codec_options=CODEC)[4:-1]
    except UNSTORABLE as error:
        raise DataError(f"cannot be stored in MongoDB ({type(error).__name__})") from None
    if len(content) > MAX_BYTES:
        raise DataError("is larger than MongoDB's 16 MiB")
    content_hash = hashlib.blake2b(content, digest_size=16).hexdigest()
    stations = origin.stations if pending is None else tuple(pending)
    own: Document = {**record.marks} if record.marks else {}
    if record.compared_key is not None:
        own["key"] = record.compared_key
    sent_at = record.sent_at
    if sent_at is not None:
        own["sent_at"] = sent_at
    # A BSON document is its length, its elements and a null byte: what is encoded already is put together.
    bookkeeping = b"".join(
        (
            origin.encoded(stations),
            element("version", record.version),
            element("hash", content_hash),
            bson.encode(own, codec_options=CODEC)[4:-1] if own else b"",
        )
    )
    head, size = element("_id", record.key), len(bookkeeping) + 5
    whole = b"".join((head, fields, b"\x03_sv\0", _INT32(size), bookkeeping, b"\0\0"))
    raw = RawBSONDocument(_INT32(len(whole) + 4) + whole, _RAW)
    return LandingDocument(record.key, record.version, content_hash, origin.extracted_at_ms, raw, sent_at)


def encoded_fields(records: Sequence[Record]) -> list[bytes] | list[None]:
    """The elements of the fields of each record, by one call of the encoder; none where it refuses any of them."""
    try:
        whole = bson.encode({"": [record.fields for record in records]}, codec_options=CODEC)
    except UNSTORABLE:
        return [None] * len(records)
    found: list[bytes] = []
    position = _FIRST_ITEM
    for number in range(len(records)):
        position += 2 + len(str(number))  # its type, its place in the array as text, a null byte
        end = position + _INT32_AT(whole, position)[0]
        found.append(whole[position + 4 : end - 1])
        position = end
    return found


def element(name: str, value: Any) -> bytes:
    """One element of a BSON document (bsonspec.org). The common types are put together here, three times as fast as by a
    document of their own."""
    kind = type(value)
    if kind is bytes:
        return b"\x05%b\0%b\0%b" % (name.encode(), _INT32(len(value)), value)
    if kind is str:
        text = value.encode()
        return b"\x02%b\0%b%b\0" % (name.encode(), _INT32(len(text) + 1), text)
    if kind is Int64:
        return b"\x12%b\0%b" % (name.encode(), _INT64(value))
    return bson.encode({name: value}, codec_options=CODEC)[4:-1]


def pending_depends_on_row(catalogue: Catalogue, source: Source) -> bool:
    """Whether only some rows of a source describe a person, and none is worked off by identity for another reason."""
    feed = source.entry.feeds.party
    alone = not source.feeds_into("address") and not catalogue.is_quoted(source)
    return feed is not None and feed.when_empty is not None and alone


def first_pending(source: Source, record: Record) -> Sequence[str]:
    """The stations for a row that is the first of its key, where they depend on the row (see `pending_depends_on_row`).

    There is no party record to take back of one that describes nobody.
    """
    feed = source.entry.feeds.party
    if feed is None or field_value(source, record.fields, feed.when_empty) is None:
        return source.stations
    return [station for station in source.stations if station != STATION_OF_FEED["party"]]


def tombstone_bookkeeping(origin: Origin, operation: str, version: Version, content_hash: str) -> Document:
    """`_sv` of the tombstone of a row."""
    return {**origin.bookkeeping(operation, origin.source.stations), "version": version, "hash": content_hash}


def landing_indexes(catalogue: Catalogue, source: Source) -> list[IndexModel]:
    """The work list, the tombstones, what the rows of this source are looked up by from others, and when they happened."""
    indexes = [PENDING_INDEX, IndexModel([("_sv.deleted", 1)], partialFilterExpression={"_sv.deleted": True})]
    fields: set[str] = set()
    feeds = source.entry.feeds
    if feeds.address:
        fields.add(field_path(source, feeds.address.party.key))
    for feed in (feeds.order_line, feeds.payment, feeds.refund, feeds.delivery):
        if feed is not None:
            fields.add(field_path(source, feed.order.id or feed.order.number or ""))
    if source.told_at:
        fields.add(field_path(source, source.told_at))
    if feeds.order and any(reference.number for other in catalogue.sources for reference in other.order_references()):
        fields.add(field_path(source, feeds.order.number))
    return indexes + [IndexModel([(name, 1)]) for name in sorted(fields)]


def as_moment(value: Any) -> dt.datetime | None:
    """A date-time as it stands in a landed row, or as ISO 8601 text in a message; one without a zone counts as UTC."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, dt.datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)
