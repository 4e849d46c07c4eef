"""What may stand in a `defs.yaml`: the declaration of one legacy system, and its tables or queues.

The classes here, in `capture`, `queue` and `feeds` are the reference of the format.
"""

import datetime as dt
import re
from typing import Literal, Self

from croniter import croniter
from pydantic import Field, field_validator, model_validator

from sv_assets.catalogue.capture import Capture, CdcCapture, ModifiedAtCapture, Partitions
from sv_assets.catalogue.checks import AnyCheck, Expectations, repeated_title
from sv_assets.catalogue.entry import Duration, Entry, Sensitivity
from sv_assets.catalogue.feeds import Feeds
from sv_assets.catalogue.queue import QueueEntry
from sv_assets.catalogue.quiet_hours import QuietHours

_IDENTIFIER = re.compile(r"^[a-z][a-z0-9_]*$")


class ForeignKey(Entry):
    """A foreign key of the legacy schema: the lineage between its tables."""

    columns: list[str] = Field(min_length=1)
    table: str
    key: list[str] = Field(min_length=1)


class VanishedColumn(Entry):
    """A column that was declared and is no longer in the table."""

    type: str
    vanished: dt.date


class TableEntry(Entry):
    """One legacy table.

    `columns` (name: type), `rows` and `foreign_keys` are what `sv introspect` found, and what the drift check compares
    the table with; a hand-written entry may leave them out. A table with `vanished` is no longer read. `read_every`: how
    often it is read where nothing cheaper tells whether it has something new (mode `snapshot`, a capture column that no
    index begins with, a view). `checks` are held against it beside those that every table has, of which `expect` says the
    limits.
    """

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
    read_every: Duration = dt.timedelta(minutes=15)
    columns: dict[str, str | VanishedColumn] = {}
    rows: int | None = Field(default=None, ge=0)
    foreign_keys: list[ForeignKey] = []
    vanished: dt.date | None = None
    checks: list[AnyCheck] = []
    expect: Expectations = Expectations()

    @field_validator("checks")
    @classmethod
    def _named_apart(cls, value: list[AnyCheck]) -> list[AnyCheck]:
        if title := repeated_title(value):
            raise ValueError(f"two checks are called {title}; give one of them a `name` of its own")
        return value

    @model_validator(mode="after")
    def _partition_column(self) -> Self:
        if self.partitions and not self.partition_column and not isinstance(self.capture, CdcCapture):
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


class System(Entry):
    """What all legacy systems have in common.

    `quiet_hours` (`22:00-06:00`, `mon-fri 08:00-18:00`; in its `time_zone`): when it is neither looked at nor read.
    """

    system: str
    owners: list[str] = Field(min_length=1)
    description: str | None = None
    quiet_hours: list[str] = []
    time_zone: str = "Europe/London"

    @field_validator("quiet_hours")
    @classmethod
    def _spans(cls, value: list[str]) -> list[str]:
        for span in value:
            QuietHours.parse(span)
        return value

    @field_validator("system")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not _IDENTIFIER.match(value):
            raise ValueError("a system is named in lower-case letters, digits and _, starting with a letter")
        return value


class SqlServerSystemModel(System):
    """A SQL Server instance (or a SQLite file standing in for one) and the tables we read from it.

    `replica`: a readable secondary, which then serves all tables but those that only a primary can serve (rowversion,
    change tracking). `max_connections` and `max_rows_per_second` bound all our runs together. `allowed_times`: cron
    expressions in the system's time zone; it is read only in minutes that match one.
    """

    connection: str
    replica: str | None = None
    max_connections: int = Field(default=2, ge=1, le=64)
    max_rows_per_second: int | None = Field(default=None, ge=1)
    allowed_times: list[str] = []
    tables: list[TableEntry] = Field(min_length=1)

    @field_validator("allowed_times")
    @classmethod
    def _cron(cls, value: list[str]) -> list[str]:
        for expression in value:
            if len(expression.split()) != 5 or not croniter.is_valid(expression):
                raise ValueError(
                    f"{expression!r} is not a cron expression of five fields: for example `* 20-23 * * mon-fri`"
                )
        return value


class SqsQueuesModel(System):
    """The SQS queues of one system, found by boto3's usual chain of credentials.

    `endpoint` is left out on AWS, but for a private endpoint of SQS. `account` and `region` are held against what SQS says of each queue. `role` is assumed
    before anything else (`external_id` goes with it).
    """

    endpoint: str | None = None
    region: str | None = None
    account: str | None = Field(default=None, pattern=r"^\d{12}$")
    role: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    external_id: str | None = None
    queues: list[QueueEntry] = Field(min_length=1)
