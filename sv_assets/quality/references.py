"""Whether what rows refer to is there: people and orders of other tables and systems.

A row that has just landed may refer to one that is still on its way, over another bookmark or through a queue: for so long
as `expect: {way: 1h}` says it is no orphan. Order numbers that people type (`quotes`) may be mistyped now and then.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sv_assets.catalogue.feeds import OrderReference, Reference
from sv_assets.catalogue.source import Source
from sv_assets.landing.documents import field_path, reference_value
from sv_assets.landing.figures import read_to_the_end_at
from sv_assets.mongo import Document, in_batches
from sv_assets.quality import names
from sv_assets.quality.result import Result
from sv_assets.quality.scan import Scanned
from sv_assets.quality.subject import Subject

CHECK = names.REFERENCES
TYPED_WRONGLY = 0.05
FEW_TYPED_WRONGLY = 3
"""Which share of the order numbers that people name may not exist, and how many at least."""


@dataclass(frozen=True)
class Pointer:
    """A column that points to another source: to its key, or to the field that holds its number."""

    path: str
    target: str
    target_field: str
    typed: bool = False


def pointers_of(subject: Subject) -> list[Pointer]:
    """Every reference that the feeds of a source declare, each once."""
    return list(dict.fromkeys(_pointers(subject)))


def _pointers(subject: Subject) -> Iterator[Pointer]:
    source, catalogue = subject.source, subject.catalogue
    quoted = source.entry.feeds.party.quotes if source.entry.feeds.party else []
    typed = {order.number for order in quoted}
    for reference in source.party_references():
        if isinstance(reference, Reference):
            yield Pointer(reference.key, catalogue.referred(source, reference).key, "_id")
    for order in source.order_references():
        target = catalogue.order_source(order.system or source.system)
        yield Pointer(order.id or order.number or "", target.key, _field_of(target, order), order.number in typed)


def _field_of(target: Source, order: OrderReference) -> str:
    feed = target.entry.feeds.order
    return "_id" if order.id or feed is None else field_path(target, feed.number)


@dataclass
class References:
    """Collects what the rows of a pass point to, and looks it up at its end."""

    subject: Subject
    _values: dict[Pointer, dict[Any, list[dt.datetime]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._values = {pointer: {} for pointer in pointers_of(self.subject)}

    def add(self, row: Document) -> None:
        for pointer, values in self._values.items():
            value = reference_value(self.subject.source, row, pointer.path)
            if value is not None:
                values.setdefault(value, []).append(row["_sv"]["extracted_at"])

    def result(self, scanned: Scanned) -> Result:
        subject, expect = self.subject, self.subject.source.entry.expect
        if not self._values:
            return subject.unseen(CHECK, "its feeds refer to nothing, 0 columns.")
        recent = dt.datetime.now(dt.timezone.utc) - expect.way
        orphans: dict[str, int] = {}
        on_the_way = failed = referring = 0
        for pointer, values in self._values.items():
            rows = sum(map(len, values.values()))
            referring += rows
            known = self._known(pointer, list(values))
            lost = [landed for value, times in values.items() if value not in known for landed in times]
            looked = self._looked_at(pointer)
            waiting = sum(landed > recent and (looked is None or looked < landed) for landed in lost)
            on_the_way += waiting
            orphans[f"{pointer.path} → {pointer.target}"] = len(lost) - waiting
            allowed = expect.orphans * rows
            if pointer.typed:
                allowed = max(allowed, TYPED_WRONGLY * rows, FEW_TYPED_WRONGLY)
            failed += len(lost) - waiting > allowed
        named = "; ".join(f"{name}: {n:,}" for name, n in orphans.items() if n)
        total = sum(orphans.values())
        sentence = (
            f"Of {referring:,} references {total:,} point to nothing that has landed{f' ({named})' if named else ''}"
        )
        sentence += f", and {on_the_way:,} to what may be on its way." if on_the_way else "."
        return subject.result(
            CHECK, not failed, sentence, references=referring, orphans=total, on_the_way=on_the_way, **scanned.figures
        )

    def _looked_at(self, pointer: Pointer) -> dt.datetime | None:
        """When its target was last read to the end: what landed before cannot wait for it any more."""
        if self.subject.catalogue.source(pointer.target).is_queue:
            return None
        return read_to_the_end_at(self.subject.store, pointer.target)

    def _known(self, pointer: Pointer, values: list[Any]) -> set[Any]:
        landed = self.subject.store.landing[pointer.target]
        known: set[Any] = set()
        for some in in_batches(values):
            found = landed.find({pointer.target_field: {"$in": some}}, {pointer.target_field: 1, "_sv.deleted": 1})
            for document in found:
                if document["_sv"].get("deleted"):
                    continue
                value: Any = document
                for part in pointer.target_field.split("."):
                    value = value.get(part) if isinstance(value, dict) else None
                known.add(value)
        return known
