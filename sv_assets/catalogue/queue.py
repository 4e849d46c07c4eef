"""How a queue is received: its key and version, what its messages are wrapped in and must hold, and the bounds of a run."""

import datetime as dt
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sv_assets.catalogue.checks import AnyCheck, Expectations, repeated_title
from sv_assets.catalogue.entry import Duration, Entry, FieldPath, Sensitivity, as_list
from sv_assets.catalogue.feeds import Feeds, paths_of

Envelope = Literal["plain", "sns", "eventbridge", "gzip"]
IN_FLIGHT_LIMITS = {"standard": 120_000, "fifo": 20_000}
"""How many received and undeleted messages SQS allows a queue (Amazon SQS quotas)."""


class EventSchema(Entry):
    """What messages of one `event` type must look like from `version` on, as JSON Schema (2020-12).

    Without `event` it is for every type that has no schema of its own. A message is held against the highest declared
    version that is not above its own, so that one of a version yet unknown to us is held against the last known.
    """

    json_schema: dict[str, Any]
    event: str | None = None
    version: int = Field(default=1, ge=0)

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any]) -> dict[str, Any]:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        try:
            Draft202012Validator.check_schema(value)
        except SchemaError as error:
            raise ValueError(f"this is not a JSON Schema: {error.message} (at {error.json_path})") from None
        return value


class Payloads(Entry):
    """Bodies that were too large for SQS and lie in S3 (Amazon's Extended Client): read from these buckets alone.

    `max_bytes` bounds one of them; a larger one goes to quarantine and stays in S3. `delete`: remove it once its message
    has landed and is deleted.
    """

    buckets: list[str] = Field(min_length=1)
    max_bytes: int = Field(default=10 * 1024**2, ge=1024, le=10 * 1024**2)
    delete: bool = True


class Archive(Entry):
    """Every message as it came, for as long as `keep`. `start`: the first day that can be landed again from it."""

    keep: Duration = dt.timedelta(days=400)
    start: dt.date = dt.date(2026, 1, 1)


class QueueEntry(Entry):
    """One SQS queue. `key` and `version` are paths into the message: the business key, and what orders its versions.

    - `version` holds whole numbers, or text; ISO 8601 date-times are ordered by the moment that they are.
    - `envelope`: what messages are wrapped in, from the outside in (`[sns, gzip]`), `plain`, or `detect`.
    - `event_type`: a path into the message, or the name of a message attribute; EventBridge says it by itself.
      `schema_version`: a path to a number, or to text that begins with one. Both choose among `schemas`.
    - `visibility_seconds`: how long SQS hides a received message; extended while it is in work. `wait_seconds`: how long
      one request waits for messages. `receivers` ask at once, up to `max_receivers` in a burst.
    - `max_in_flight` and `max_bytes_in_flight`: how much is received at most before what came is landed and deleted, in
      messages and in the memory that they take.
    - `dead_letters`: the queue to which SQS moves what was received too often.
    - `freshness`: how long after the last run that looked into the queue it counts as late.
    - `checks` are held against its landed messages, beside those that every queue has, of which `expect` says the limits.
    """

    name: str
    key: FieldPath
    version: FieldPath
    description: str | None = None
    pii: dict[str, Sensitivity] = {}
    feeds: Feeds = Feeds()
    envelope: Literal["detect"] | Annotated[list[Envelope], BeforeValidator(as_list)] = "detect"
    event_type: FieldPath | None = None
    schema_version: FieldPath | None = None
    schemas: list[EventSchema] = []
    payloads: Payloads | None = None
    archive: Archive = Archive()
    dead_letters: str | None = None
    freshness: Duration = dt.timedelta(hours=1)
    visibility_seconds: int = Field(default=300, ge=30, le=43_200)
    wait_seconds: int = Field(default=2, ge=1, le=20)
    receivers: int = Field(default=4, ge=1, le=32)
    max_receivers: int = Field(default=16, ge=1, le=64)
    max_in_flight: int | None = Field(default=None, ge=10)
    max_bytes_in_flight: int = Field(default=64 * 1024**2, ge=1024**2)
    checks: list[AnyCheck] = []
    expect: Expectations = Expectations()

    @cached_property
    def paths(self) -> list[str]:
        """Every path into the message that a feed names."""
        return sorted(set(paths_of(self.feeds)))

    @property
    def is_fifo(self) -> bool:
        return self.name.endswith(".fifo")

    @property
    def in_flight_guard(self) -> int:
        """How many messages may be in flight at once; by default a tenth below the limit of SQS."""
        return self.max_in_flight or self._in_flight_limit * 9 // 10

    @property
    def _in_flight_limit(self) -> int:
        return IN_FLIGHT_LIMITS["fifo" if self.is_fifo else "standard"]

    @field_validator("key", "version", "schema_version")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("$."):
            raise ValueError("a path into a message starts with `$.`: for example $.account.id")
        return value

    @field_validator("checks")
    @classmethod
    def _are_of_messages(cls, value: list[AnyCheck]) -> list[AnyCheck]:
        if any(check.reads_source for check in value):
            raise ValueError("a queue has no database to select from; say it with `check: mongo`")
        if title := repeated_title(value):
            raise ValueError(f"two checks are called {title}; give one of them a `name` of its own")
        return value

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.max_in_flight is not None and self.max_in_flight > self._in_flight_limit:
            raise ValueError(
                f"{self.name}: max_in_flight is at most {self._in_flight_limit:,}, because SQS gives out no more"
            )
        seen: set[tuple[str | None, int]] = set()
        for schema in self.schemas:
            if (schema.event, schema.version) in seen:
                raise ValueError(f"{self.name}: two schemas are for {schema.event or 'any event'}, {schema.version}")
            seen.add((schema.event, schema.version))
        return self
