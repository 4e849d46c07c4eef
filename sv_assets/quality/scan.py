"""One pass over what has landed, for all that an audit looks at in the rows themselves.

Where more has landed than `audit_rows`, half of what is read are the newest rows and half a random sample, and figures say so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sv_assets.mongo import Document
from sv_assets.quality.result import Result
from sv_assets.quality.subject import LIVE, Subject

_FETCHED_AT_ONCE = 2000


class Audited(Protocol):
    """What looks at each row of a pass, and says at its end what it found."""

    def add(self, row: Document) -> None: ...

    def result(self, scanned: "Scanned") -> Result: ...


@dataclass(frozen=True)
class Scanned:
    """How many rows a pass read, of how many; whether it was all of them."""

    rows: int
    of: int

    @property
    def is_sample(self) -> bool:
        return self.rows < self.of

    @property
    def figures(self) -> dict[str, int | bool]:
        return {"rows_looked_at": self.rows, "rows_landed": self.of, "sampled": self.is_sample}


def scan(subject: Subject, audited: list[Audited]) -> list[Result]:
    """The results of all that look at the rows."""
    of = subject.landed.estimated_document_count()
    limit = subject.source.entry.expect.audit_rows
    rows = 0
    for row in _sample(subject, limit) if of > limit else _all(subject):
        rows += 1
        for one in audited:
            one.add(row)
    dead = 0 if of > limit else of - rows
    scanned = Scanned(rows, of - dead)
    return [one.result(scanned) for one in audited]


def _all(subject: Subject) -> Iterator[Document]:
    for row in subject.landed.find({}).batch_size(_FETCHED_AT_ONCE):
        if not row["_sv"].get("deleted"):
            yield row


def _sample(subject: Subject, limit: int) -> Iterator[Document]:
    newest: set[object] = set()
    if subject.source.told_at:
        field = subject.field(subject.source.told_at)
        found = subject.landed.find(LIVE).sort(field, -1).limit(limit // 2).batch_size(_FETCHED_AT_ONCE)
        for row in found:
            newest.add(row["_id"])
            yield row
    stages = [{"$sample": {"size": limit - len(newest)}}, {"$match": LIVE}]
    for row in subject.landed.aggregate(stages, batchSize=_FETCHED_AT_ONCE):
        if row["_id"] not in newest:
            yield row
