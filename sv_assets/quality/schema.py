"""Whether a source still has the form that was agreed to: the declared columns, or else those of the first look.

A change stays reported until somebody agrees: `sv introspect` writes it into the declaration, `sv checks accept` takes the
columns as they are where none are declared.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from sv_assets.catalogue.source import Source
from sv_assets.landing.shapes import Shape, look, shape_of
from sv_assets.mongo import Document
from sv_assets.quality import names
from sv_assets.quality.result import Result
from sv_assets.quality.subject import LIVE, Subject
from sv_assets.sources.introspect.drift import Drift, canonical_type, drift_of_table
from sv_assets.sources.introspect.found import TableFound

CHECK = names.SCHEMA
NEWEST_MESSAGES = 300
FEWEST_MESSAGES = 30


@dataclass(frozen=True)
class SchemaFound:
    """The result, and the columns that are not as agreed, for other checks to leave alone."""

    result: Result
    drifted: frozenset[str] = frozenset()


def schema_of_table(subject: Subject, found: TableFound | None) -> SchemaFound:
    """The table as it is now, against its declaration and the columns that were agreed to."""
    source, table = subject.source, subject.source.table
    drift = drift_of_table(table, found)
    shape = None
    if found is not None:
        columns = [(column.name, column.declaration) for column in found.columns]
        shape = look(subject.store, source, columns, found.unique_keys)
        if not table.columns:
            told = {d.subject for d in drift}
            drift += [d for d in _against_agreed(source, shape) if d.subject not in told]
    drifted = frozenset(d.subject for d in drift if d.kind.startswith("column_"))
    sentences = " ".join(d.sentence for d in drift)
    figures = {"differences": len(drift), **_by_kind(drift)}
    if drift:
        how = f"`sv introspect {source.system}` brings the declaration up to date."
        if not table.columns:
            how = f"`sv checks accept {source.key}` agrees to them."
        return SchemaFound(
            subject.result(CHECK, False, f"{len(drift)} differences. {sentences} {how}", **figures), drifted
        )
    if table.columns or shape is None or shape.agreed_at is None:
        names = table.columns or source.columns_used()
        sentence = f"{source.name} has the {len(names)} columns, the key and the {len(table.foreign_keys)} foreign keys that are declared."
    else:
        sentence = f"{source.name} has the {len(shape.agreed)} columns, and the key, that it had on {shape.agreed_at:%d %B %Y}."
    return SchemaFound(subject.result(CHECK, True, sentence, **figures))


def schema_of_queue(subject: Subject) -> Result:
    """The fields of the newest messages, and their kinds, against those of all messages that were agreed to.

    A field that may be missing may stay away; one that every second message had, and none has any more, has vanished.
    """
    source = subject.source
    path = source.told_at
    newest = subject.landed.find(LIVE)
    if path:
        newest = newest.sort(subject.field(path), -1)
    fields = MessageFields()
    for row in newest.limit(NEWEST_MESSAGES):
        fields.add(row)
    shape = shape_of(subject.store, source)
    if shape is None:
        everything = MessageFields()
        for row in subject.landed.find(LIVE).limit(source.entry.expect.audit_rows):
            everything.add(row)
        if everything.messages < FEWEST_MESSAGES:
            return subject.unseen(CHECK, f"{everything.messages} messages are too few to tell their form.")
        shape = look(subject.store, source, everything.columns())
    differences = list(_differences(shape, fields))
    latest = dict(shape.agreed) | dict(fields.columns())
    look(subject.store, source, [(n, k) for n, k in latest.items() if n not in _vanished(shape, fields)])
    named = " ".join(sentence for _, sentence in differences)
    sentence = (
        f"{len(differences)} differences in the newest {fields.messages} messages. {named} `sv checks accept {source.key}` agrees to them."
        if differences
        else f"The newest {fields.messages} messages have the fields that messages of this queue had before, of {len(shape.agreed)}."
    )
    kinds = Counter(kind for kind, _ in differences)
    return subject.result(CHECK, not differences, sentence, differences=len(differences), **kinds)


@dataclass
class MessageFields:
    """How often each field of messages has which kind of value."""

    messages: int = 0
    kinds: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, row: Document) -> None:
        self.messages += 1
        for path, kind in {(path, kind) for path, kind in _fields(row.get("body"), "$")}:
            self.kinds[path][kind] += 1

    def columns(self) -> list[tuple[str, str]]:
        """Each field with its kinds: `text`, `number|text`; `usually` says that most messages have it."""
        return [
            (path, "|".join(sorted(kinds)) + (" usually" if self._is_usual(kinds) else ""))
            for path, kinds in sorted(self.kinds.items())
        ]

    def _is_usual(self, kinds: Counter[str]) -> bool:
        return sum(kinds.values()) >= 0.9 * self.messages


def _differences(shape: Shape, fields: MessageFields) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path, kinds in fields.kinds.items():
        if path not in shape.agreed:
            found.append(("column_added", f"{path} is new: {'|'.join(sorted(kinds))}."))
        elif more := set(kinds) - set(shape.agreed[path].removesuffix(" usually").split("|")):
            found.append(
                (
                    "column_retyped",
                    f"{path} was {shape.agreed[path].removesuffix(' usually')} and is {'|'.join(sorted(more))}.",
                )
            )
    found += [("column_vanished", f"{path} is no longer there.") for path in sorted(_vanished(shape, fields))]
    return found


def _vanished(shape: Shape, fields: MessageFields) -> set[str]:
    if fields.messages < FEWEST_MESSAGES:
        return set()
    return {path for path, kinds in shape.agreed.items() if kinds.endswith(" usually") and path not in fields.kinds}


def _fields(value: Any, path: str) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in _fields(inner, f"{path}.{name}")]
    if value is None:
        return []
    if isinstance(value, list):
        return [(path, "list")]
    kinds = {bool: "boolean", str: "text"}
    return [(path, kinds.get(type(value), "number"))]


def _against_agreed(source: Source, shape: Shape) -> list[Drift]:
    name, found = source.name, []
    for column in sorted(shape.drifted):
        before, now = shape.agreed.get(column), shape.latest.get(column)
        if now is None:
            found.append(Drift("column_vanished", name, column, f"{name}: {column} is no longer there."))
        elif before is None:
            found.append(Drift("column_added", name, column, f"{name}: {column} is new: {now}."))
        elif canonical_type(before) != canonical_type(now):
            found.append(Drift("column_retyped", name, column, f"{name}: {column} was {before} and is {now}."))
    return found


def _by_kind(drift: list[Drift]) -> dict[str, str]:
    kinds = {found.kind: [d.subject or d.table for d in drift if d.kind == found.kind] for found in drift}
    return {kind: ", ".join(subjects) for kind, subjects in kinds.items()}
