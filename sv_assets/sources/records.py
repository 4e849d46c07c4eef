"""What crosses from reading to landing."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Version = str | int | bytes
"""What orders the versions of one record: text and numbers by their usual order, bytes as unsigned numbers."""

Position = Mapping[str, Any]
"""How far a source has been read, in the terms of its capture mode; stored in its bookmark as it is."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row or message, converted: `key` is its `_id` in landing, `fields` stand beside it as in the source."""

    key: Any
    key_text: str
    fields: dict[str, Any]
    version: Version
    exact: dict[str, str] | None = None
    """Text of the values that BSON cannot hold exactly, by column."""
    partition: str | None = None
    """The day (`2026-11-23`) this row belongs to, where its table is partitioned."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row or message that cannot be converted: kept whole, with the reason, for quarantine."""

    key_text: str
    reason: str
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Records read together. `position` is what the bookmark may say once all of them are safe in MongoDB."""

    records: list[Record]
    rejected: list[Rejected]
    position: Position
    extracted_at: dt.datetime

    @property
    def read(self) -> int:
        return len(self.records) + len(self.rejected)


@dataclass(frozen=True)
class Window:
    """A half-open range of days `[start, end)` of the partition column."""

    start: dt.date
    end: dt.date


class TableReader(Protocol):
    """One capture mode on one table."""

    mode: str

    def read(self, position: Position | None) -> Iterator[Batch]:
        """Everything new since `position` (None: everything), in batches that each say how far they reach."""
        ...

    def deletion_version(self) -> Version:
        """A version above every row this reader has returned or will return of the state it reads."""
        ...


@dataclass
class Receipt:
    """What deletes a received message, and what became of it."""

    message_id: str
    handle: str = field(repr=False)
