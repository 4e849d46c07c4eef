"""What crosses from reading to landing."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

Version = str | int | bytes
"""What orders the versions of one record: text and numbers by their usual order, bytes as unsigned numbers."""

Position = Mapping[str, Any]
"""How far a source has been read, in the terms of its capture mode; stored in its bookmark as it is."""


@dataclass(slots=True)
class Record:
    """A row or message, converted: `key` is its `_id` in landing, `fields` stand beside it as in the source.

    Not frozen, because one is made for every row, and that costs a microsecond; nobody changes one.
    """

    key: Any
    key_text: str
    fields: dict[str, Any]
    version: Version
    marks: dict[str, dict[str, Any]] | None = None
    """What the fields alone do not say, as it stands under `_sv`: `exact` (text), `offset_minutes` and `base_type`, each
    by column."""
    partition: str | None = None
    """The day (`2026-11-23`) or hour (`2026-11-23-14:00`) this row belongs to, where its table is partitioned."""
    compared_key: Any | None = None
    """The key as SQL Server compares it, where text is part of it: `_sv.key`."""
    message: dict[str, Any] | None = field(default=None, compare=False, repr=False)
    """The message it came in, whole, as quarantine keeps it; None for a row."""

    @property
    def sent_at(self) -> dt.datetime | None:
        """When its message was sent, by the clock of SQS: of two messages with one version the later sent counts."""
        return self.message["sent_at"] if self.message else None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row or message that cannot be converted: kept whole, with the reason, for quarantine."""

    key_text: str
    reason: str
    raw: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A row that was deleted at `version`, as the source's own log of changes says."""

    key: Any
    key_text: str
    version: Version


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read together. `position` is what the bookmark may say once all of it is safe in MongoDB.

    `from_log`: the records are changes that the source itself recorded, so a version counts although it leaves the row
    as it was. Elsewhere such a row is left alone.
    """

    records: list[Record]
    rejected: list[Rejected]
    position: Position
    extracted_at: dt.datetime
    deletions: list[Deletion] = field(default_factory=list)
    from_log: bool = False

    @property
    def read(self) -> int:
        return len(self.records) + len(self.rejected) + len(self.deletions)


@dataclass(frozen=True)
class Window:
    """A half-open range of time `[start, end)` in the system's own time: days, or naive date-times."""

    start: dt.date
    end: dt.date


class TableReader(Protocol):
    """One capture mode on one table."""

    mode: str
    sees_deletes: ClassVar[bool]
    """True where `read` itself tells of deleted rows, once the first scan is over."""
    scanned: bool
    """True once `read` has begun to read the whole table."""

    def read(self, position: Position | None) -> Iterator[Batch]:
        """Everything new since `position` (None: everything), in batches that each say how far they reach."""
        ...

    def read_window(self, window: Window) -> Iterator[Batch]:
        """What belongs to `window`. Its batches carry no position: backfills move no bookmark."""
        ...

    def keys(self) -> Iterator[Any]:
        """The `_id` of every row there is, for finding deleted ones."""
        ...

    def deletion_version(self) -> Version:
        """A version above every row this reader has returned or will return of the state it reads."""
        ...

    def findings(self) -> "Findings":
        """What reading showed of the source, for its owner."""
        ...


@dataclass(frozen=True)
class Findings:
    """What the owner of a source should know: figures for its page, and one sentence for each thing that is amiss."""

    figures: dict[str, int | float | str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
