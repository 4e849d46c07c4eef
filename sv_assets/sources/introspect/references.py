"""Which column of a table holds the key of another: by foreign key, else by its name and type."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.words import is_text, is_whole_number, joined, singular, table_words, word_set
from sv_assets.sources.types import Column

Keys = Mapping[str, tuple[str, ...]]
"""The key of each table, by its full name."""


@dataclass(frozen=True)
class Referring:
    """`column` holds the key of `table`. `declared`: the database says so; else its name does."""

    column: str
    table: str
    declared: bool

    @property
    def weight(self) -> float:
        return 0.4 if self.declared else 0.35

    @property
    def because(self) -> str:
        return f"{self.column} {'is a foreign key' if self.declared else 'is named as the key'} of {self.table}"


def references(tables: Sequence[TableFound], keys: Keys) -> dict[str, list[Referring]]:
    """The references of each table to the others, declared ones first. Only keys of one column are referred to."""
    single = {table.full_name: keys[table.full_name][0] for table in tables if len(keys[table.full_name]) == 1}
    by_name: dict[str, list[TableFound]] = defaultdict(list)
    for table in tables:
        if table.full_name in single:
            for name in _names_of_key(table, single[table.full_name]):
                by_name[name].append(table)
    found: dict[str, list[Referring]] = {}
    for table in tables:
        declared = [
            Referring(key.columns[0], key.table, True)
            for key in table.foreign_keys
            if len(key.key) == 1 and single.get(key.table) == key.key[0] and key.table != table.full_name
        ]
        taken = {referring.column for referring in declared}
        own = keys[table.full_name]
        inferred = [
            Referring(column.name, targets[0].full_name, False)
            for column in table.columns
            if column.name not in taken and own != (column.name,)
            if (targets := [t for t in by_name.get(joined(column.name), ()) if t is not table])
            if len(targets) == 1 and _same_kind(column, targets[0].column(single[targets[0].full_name]))
        ]
        found[table.full_name] = declared + inferred
    return found


def _names_of_key(table: TableFound, key: str) -> set[str]:
    """What a column may be called that refers to this key: as the key itself, or `customer_id` for `id` of customers."""
    name = joined(key)
    return {"".join(table_words(table)) + name, singular(joined(table.name)) + name} if name in _GENERIC else {name}


_GENERIC = word_set("id key code number no name guid uuid pk uid email rowid")


def _same_kind(column: Column, other: Column | None) -> bool:
    if other is None:
        return False
    if is_whole_number(column) or is_text(column):
        return is_whole_number(column) == is_whole_number(other) and is_text(column) == is_text(other)
    return column.type_name == other.type_name
