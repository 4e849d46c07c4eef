"""What may stand in a `defs.yaml`: the declaration of one legacy system, its tables or queues, and what they feed.

The classes are the reference of the format. A *field* of a feed names where a value comes from: a column (`Email`), a
path into a message (`$.account.email`), or a constant (`{const: marketing}`).
"""

import datetime as dt
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

_DURATION = re.compile(r"^(\d+)(s|m|h|d)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]*$")


def _duration(value: Any) -> Any:
    if isinstance(value, dt.timedelta):
        return value
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a whole number and one of s, m, h, d: for example 30s, 5m, 1h")
    return dt.timedelta(**{_UNITS[match.group(2)]: int(match.group(1))})


Duration = Annotated[dt.timedelta, BeforeValidator(_duration, json_schema_input_type=str)]


class Entry(BaseModel):
    """Base of all declarations: unknown words are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Const(Entry):
    """A fixed value, for what the source does not say: `{const: marketing}`."""

    const: str | int | bool


FieldPath = Annotated[str, Field(min_length=1)]
FieldSpec = FieldPath | Const


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


FieldList = Annotated[list[FieldPath], BeforeValidator(_as_list, json_schema_input_type=FieldPath | list[FieldPath])]


# --- how a table is captured -----------------------------------------------------------------------------------------


class SnapshotCapture(Entry):
    """Full read in key order each time; unchanged rows are skipped by content hash."""

    mode: Literal["snapshot"]


class ModifiedAtCapture(Entry):
    """New and changed rows by a date-time column, from the bookmark less `lag` up to the server's clock less `margin`."""

    mode: Literal["modified_at"]
    column: str
    lag: Duration = dt.timedelta(minutes=5)
    margin: Duration = dt.timedelta(seconds=1)


class RowversionCapture(Entry):
    """New and changed rows by a rowversion column, below the lowest version of a transaction still open."""

    mode: Literal["rowversion"]
    column: str


Capture = Annotated[SnapshotCapture | ModifiedAtCapture | RowversionCapture, Field(discriminator="mode")]


class Partitions(Entry):
    """Daily partitions by a date-time column (default: the capture column), for backfills by date range."""

    by: Literal["day"]
    start: dt.date
    column: str | None = None


# --- what a source feeds ---------------------------------------------------------------------------------------------


class Reference(Entry):
    """Points to the row of another (or the same) source that describes the person: its key stands in `key`.

    Where `key` is empty the row points nowhere, or to itself with `otherwise: self`.
    """

    table: str
    key: FieldPath
    system: str | None = None
    otherwise: Literal["self"] | None = None


PartyReference = Reference | Literal["self"]


class OrderReference(Entry):
    """Points to an order of `system`, by its key or by its number."""

    system: str | None = None
    id: FieldPath | None = None
    number: FieldPath | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.id is None) == (self.number is None):
            raise ValueError("an order is referred to by `id` or by `number`, one of the two")
        return self


class NameFields(Entry):
    """The parts of a name, or `full` for sources that keep it in one column."""

    title: FieldPath | None = None
    first: FieldPath | None = None
    middle: FieldPath | None = None
    last: FieldPath | None = None
    full: FieldPath | None = None


class AddressFields(Entry):
    """A postal address."""

    line_1: FieldPath | None = None
    line_2: FieldPath | None = None
    town: FieldPath | None = None
    county: FieldPath | None = None
    postcode: FieldPath | None = None
    country: FieldSpec | None = None
    kind: FieldSpec | None = None
    valid_from: FieldPath | None = None
    valid_to: FieldPath | None = None


class PartyFeed(Entry):
    """Each row describes a person. `when_empty`: only rows where that field is empty do (guest check-outs)."""

    name: NameFields = NameFields()
    email: FieldList = []
    phone: FieldList = []
    date_of_birth: FieldPath | None = None
    address: AddressFields | None = None
    same_as: list[Reference] = []
    observed_at: FieldPath | None = None
    when_empty: FieldPath | None = None


class AddressFeed(AddressFields):
    """Each row is an address of a person that another source describes."""

    party: Reference


class OrderFeed(Entry):
    """Each row is an order."""

    number: FieldPath
    placed_at: FieldPath
    party: PartyReference
    status: FieldPath | None = None
    total: FieldPath | None = None
    currency: FieldSpec | None = None
    channel: FieldSpec | None = None
    postcode: FieldPath | None = None


class OrderLineFeed(Entry):
    """Each row is a line of an order."""

    order: OrderReference
    line: FieldPath
    sku: FieldPath | None = None
    description: FieldPath | None = None
    quantity: FieldPath | None = None
    unit_price: FieldPath | None = None
    total: FieldPath | None = None


class PaymentFeed(Entry):
    """Each row is a payment for an order."""

    order: OrderReference
    amount: FieldPath
    method: FieldPath | None = None
    status: FieldPath | None = None
    paid_at: FieldPath | None = None


class RefundFeed(Entry):
    """Each row is a refund on an order."""

    order: OrderReference
    amount: FieldPath
    reason: FieldPath | None = None
    refunded_at: FieldPath | None = None


class DeliveryFeed(Entry):
    """Each row or message is an event in the delivery of an order."""

    order: OrderReference
    status: FieldPath
    at: FieldPath
    parcel: FieldPath | None = None
    sequence: FieldPath | None = None
    carrier: FieldPath | None = None
    reference: FieldPath | None = None


class InteractionFeed(Entry):
    """Each row is a contact with a person: a call, a complaint."""

    kind: FieldSpec
    at: FieldPath
    party: PartyReference
    reason: FieldPath | None = None
    status: FieldPath | None = None
    closed_at: FieldPath | None = None
    duration_seconds: FieldPath | None = None
    order: OrderReference | None = None


class ConsentFeed(Entry):
    """Each row says whether a person may be contacted for a purpose over a channel."""

    party: PartyReference
    purpose: FieldSpec
    channel: FieldSpec
    granted: FieldPath
    observed_at: FieldPath | None = None


class Feeds(Entry):
    """The contract between a legacy schema and the single view."""

    party: PartyFeed | None = None
    address: AddressFeed | None = None
    order: OrderFeed | None = None
    order_line: OrderLineFeed | None = None
    payment: PaymentFeed | None = None
    refund: RefundFeed | None = None
    delivery: DeliveryFeed | None = None
    interaction: InteractionFeed | None = None
    consent: Annotated[
        list[ConsentFeed], BeforeValidator(_as_list, json_schema_input_type=ConsentFeed | list[ConsentFeed])
    ] = []


Sensitivity = Literal["contact", "name", "address", "sensitive"]


def paths_of(entry: Entry) -> Iterator[str]:
    """Every column or path that a feed names, however deep."""
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Const):
                continue
            if isinstance(item, Entry):
                yield from paths_of(item)
            elif isinstance(item, str) and not _is_word(entry, name):
                yield item


def _is_word(entry: Entry, field: str) -> bool:
    """True for fields that hold a name of ours (`system`, `otherwise`, `party: self`), not a column."""
    if isinstance(entry, Reference):
        return field != "key"
    if isinstance(entry, OrderReference):
        return field == "system"
    return field == "party"


# --- sources and systems ---------------------------------------------------------------------------------------------


class TableEntry(Entry):
    """One legacy table."""

    name: str
    key: list[str] = Field(min_length=1)
    capture: Capture
    description: str | None = None
    partitions: Partitions | None = None
    pii: dict[str, Sensitivity] = {}
    feeds: Feeds = Feeds()
    deletes: Literal["reconcile", "ignore"] = "reconcile"
    max_delete_share: float = Field(default=0.2, gt=0, le=1)
    page_rows: int = Field(default=2000, ge=1, le=100_000)

    @model_validator(mode="after")
    def _partition_column(self) -> Self:
        if self.partitions and not self.partitions.column and not isinstance(self.capture, ModifiedAtCapture):
            raise ValueError(
                f"{self.name}: partitions need a `column`, because its capture mode has no date-time column"
            )
        return self

    @property
    def partition_column(self) -> str | None:
        if self.partitions is None:
            return None
        if self.partitions.column:
            return self.partitions.column
        return self.capture.column if isinstance(self.capture, ModifiedAtCapture) else None


class QueueEntry(Entry):
    """One SQS queue. `key` and `version` are paths into the message: the business key, and what orders its versions."""

    name: str
    key: FieldPath
    version: FieldPath
    description: str | None = None
    pii: dict[str, Sensitivity] = {}
    feeds: Feeds = Feeds()
    visibility_seconds: int = Field(default=300, ge=30, le=43_200)
    receivers: int = Field(default=4, ge=1, le=32)

    @cached_property
    def paths(self) -> list[str]:
        """Every path into the message that a feed names."""
        return sorted(set(paths_of(self.feeds)))

    @field_validator("key", "version")
    @classmethod
    def _path(cls, value: str) -> str:
        if not value.startswith("$."):
            raise ValueError("a path into a message starts with `$.`: for example $.account.id")
        return value


class System(Entry):
    """What all legacy systems have in common."""

    system: str
    owners: list[str] = Field(min_length=1)
    description: str | None = None

    @field_validator("system")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not _IDENTIFIER.match(value):
            raise ValueError("a system is named in lower-case letters, digits and _, starting with a letter")
        return value


class SqlServerSystemModel(System):
    """A SQL Server instance (or a SQLite file standing in for one) and the tables we read from it."""

    connection: str
    max_connections: int = Field(default=2, ge=1, le=64)
    time_zone: str = "Europe/London"
    tables: list[TableEntry] = Field(min_length=1)


class SqsQueuesModel(System):
    """The SQS queues of one system. `endpoint` is left out on AWS, where boto3 finds it."""

    endpoint: str | None = None
    region: str | None = None
    queues: list[QueueEntry] = Field(min_length=1)
