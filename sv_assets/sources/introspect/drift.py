"""Where a legacy table and its declaration have come apart."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sv_assets.catalogue.model import ForeignKey, TableEntry, VanishedColumn
from sv_assets.sources.introspect.found import DatabaseFound, ForeignKeyFound, TableFound
from sv_assets.sources.types import Column, sql_type

Kind = Literal[
    "table_vanished",
    "table_returned",
    "table_undeclared",
    "column_added",
    "column_vanished",
    "column_returned",
    "column_retyped",
    "key_changed",
    "foreign_key_added",
    "foreign_key_vanished",
]


@dataclass(frozen=True)
class Drift:
    """One difference: of which kind, in which table, what it is about (a column, a key; empty for the table), in words."""

    kind: Kind
    table: str
    subject: str
    sentence: str


def drift_of_table(entry: TableEntry, found: TableFound | None) -> list[Drift]:
    """The differences between a declared table and what the database has (None: no such table, or not to our log-in).

    Without declared `columns` a hand-written entry promises only the columns that its key and capture mode name, and no
    foreign keys. A key is held against the unique keys that the database has; where it has none, there is nothing to
    hold it against.
    """
    if found is None:
        return [] if entry.vanished else [Drift("table_vanished", entry.name, "", f"{entry.name} is no longer there.")]
    drift = [] if entry.vanished is None else [
        Drift("table_returned", entry.name, "", f"{entry.name} is there again; its entry says that it vanished.")
    ]  # fmt: skip
    drift += _columns(entry, found)
    drift += _key(entry, found)
    if entry.columns or entry.foreign_keys:
        drift += _foreign_keys(entry, found)
    return drift


def drift_of_system(
    declared: Mapping[str, TableEntry],
    found: DatabaseFound,
    select: Callable[[str], bool] = lambda _: True,
    left_out: Callable[[str], bool] = lambda _: False,
) -> list[Drift]:
    """The differences of all selected tables, and the tables that are not declared, but for those `left_out` on purpose."""
    drift: list[Drift] = []
    for name, entry in declared.items():
        if select(name):
            drift += drift_of_table(entry, found.table(name))
    known = {table.full_name for name in declared if (table := found.table(name)) is not None}
    for table in found.tables:
        name = table.full_name
        if not table.is_view and name not in known and select(name) and not left_out(name):
            sentence = f"{name} is in the database and is not declared."
            drift.append(Drift("table_undeclared", name, "", sentence))
    return drift


def canonical_type(text: str) -> str:
    """A declared type as the database would be read: `NVARCHAR (20)` is `nvarchar(20)`."""
    return Column.declared("", text).declaration


def foreign_key_text(key: ForeignKey | ForeignKeyFound) -> str:
    return f"{', '.join(key.columns)} -> {key.table} ({', '.join(key.key)})"


def same_foreign_key(one: ForeignKey | ForeignKeyFound, other: ForeignKey | ForeignKeyFound) -> bool:
    return (list(one.columns), _table(one), list(one.key)) == (list(other.columns), _table(other), list(other.key))


def _columns(entry: TableEntry, found: TableFound) -> Iterator[Drift]:
    present = {column.name: column.declaration for column in found.columns}
    for name, declared in entry.columns.items():
        if isinstance(declared, VanishedColumn):
            if name in present:
                yield _about("column_returned", entry, name, "is there again; its entry says that it vanished")
        elif name not in present:
            yield _about("column_vanished", entry, name, "is no longer there")
        elif canonical_type(declared) != canonical_type(present[name]):
            yield _about("column_retyped", entry, name, f"was {declared} and is {present[name]}")
    if entry.columns:
        for name in present:
            if name not in entry.columns:
                yield _about("column_added", entry, name, f"is new: {present[name]}")
        return
    for name in dict.fromkeys([*entry.key, getattr(entry.capture, "column", None) or entry.key[0]]):
        if name not in present:
            yield _about("column_vanished", entry, name, "is no longer there")


def _key(entry: TableEntry, found: TableFound) -> Iterator[Drift]:
    present = [key for key in found.unique_keys if all(_can_be_declared(found.column(name)) for name in key)]
    declared = set(entry.key)
    if present and declared <= set(found.column_names) and not any(set(key) <= declared for key in present):
        now = ", ".join(present[0])
        yield Drift(
            "key_changed",
            entry.name,
            ", ".join(entry.key),
            f"{entry.name}: the database no longer holds its key ({', '.join(entry.key)}) unique; it has ({now}).",
        )


def _can_be_declared(column: Column | None) -> bool:
    """What is null, or cannot be put in order, is no key of a declared table whatever the database holds unique."""
    return column is not None and not column.nullable and (sql_type(column).orders or column.type_name == "text")


def _foreign_keys(entry: TableEntry, found: TableFound) -> Iterator[Drift]:
    for key in found.foreign_keys:
        if not any(same_foreign_key(key, other) for other in entry.foreign_keys):
            yield _about("foreign_key_added", entry, foreign_key_text(key), "is a new foreign key")
    for declared in entry.foreign_keys:
        if not any(same_foreign_key(declared, other) for other in found.foreign_keys):
            yield _about("foreign_key_vanished", entry, foreign_key_text(declared), "is no longer a foreign key")


def _about(kind: Kind, entry: TableEntry, subject: str, what: str) -> Drift:
    return Drift(kind, entry.name, subject, f"{entry.name}: {subject} {what}.")


def _table(key: ForeignKey | ForeignKeyFound) -> str:
    return (key.table if "." in key.table else f"dbo.{key.table}").casefold()
