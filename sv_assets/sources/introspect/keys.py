"""The key of a table: its primary key, else a unique index, else columns that are unique in the data today."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import sqlalchemy as sa

from sv_assets.errors import SvError
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.words import words
from sv_assets.sources.schema import clause_of
from sv_assets.sources.types import Column, sql_type

MOST_ROWS = 500_000
"""A larger table is not searched for a key: its owner would feel it."""
MOST_TRIES = 12
"""Statements asked of a table without a key, beside the one that counts the values of each column."""
_MOST_COLUMNS = 16
_MOST_CANDIDATES = 32
_NEVER_SEARCHED = ("float", "real", "sql_variant", "bit", "rowversion", "timestamp", "hierarchyid")


@dataclass(frozen=True)
class Key:
    """The key to declare. `caution` is what its reader should know; without columns it says why there is none."""

    columns: tuple[str, ...]
    found_as: str
    caution: str = ""


def key_of(database: LegacyDatabase, table: TableFound) -> Key:
    """The best key the table has. Asks the data where the database does not hold one unique."""
    declared = [key for key in table.unique_keys if _is_usable(database, table, key)]
    primary = [key for key in declared if key == table.primary_key]
    certain = [key for key in declared if not _nullable(table, key)]
    for key in (*primary[:1], *sorted(certain, key=lambda key: _cost(table, key))):
        if not _nullable(table, key):
            return Key(key, "primary key" if key == table.primary_key else "unique index")
    for key in sorted(declared, key=lambda key: (key != table.primary_key, _cost(table, key))):
        if not _empty_values(database, table, key):
            found_as = "primary key" if key == table.primary_key else "unique index"
            caution = f"{', '.join(_nullable(table, key))} may be null, though no row is today"
            return Key(key, found_as, "" if found_as == "primary key" else caution)
    return _search(database, table)


def orders(database: LegacyDatabase, column: Column) -> bool:
    """True where rows can be put in order by the column. SQLite compares whatever it holds; its `text` is plain text."""
    if database.is_sqlite and column.type_name in ("text", "clob"):
        return True
    return sql_type(column).orders


def _is_usable(database: LegacyDatabase, table: TableFound, key: Sequence[str]) -> bool:
    columns = [table.column(name) for name in key]
    return all(column is not None and orders(database, column) for column in columns)


def _nullable(table: TableFound, key: Sequence[str]) -> list[str]:
    return [column.name for column in table.columns if column.name in key and column.nullable]


def _cost(table: TableFound, key: Sequence[str]) -> tuple[int, int]:
    """Fewer columns first, then shorter ones."""
    return len(key), sum(column.precision or 8 for column in table.columns if column.name in key)


def _empty_values(database: LegacyDatabase, table: TableFound, key: Sequence[str]) -> bool:
    empty = sa.or_(*[sa.column(name).is_(None) for name in key])
    statement = sa.select(sa.literal(1)).select_from(clause_of(table)).where(empty).limit(1)
    try:
        return bool(_rows(database, statement))
    except SvError:
        return True


def _search(database: LegacyDatabase, table: TableFound) -> Key:
    """Columns that no two rows share today. Ids are tried first, then what has the most different values."""
    candidates = [
        column
        for column in table.columns
        if orders(database, column)
        and column.type_name not in _NEVER_SEARCHED
        and not column.computed
        and (not column.is_large or (database.is_sqlite and column.type_name == "text"))
    ]
    candidates = candidates[:_MOST_CANDIDATES]
    if not candidates:
        return Key((), "none", "it has no key, and no column that could be part of one")
    if not table.rows:
        columns = _by_name(candidates)
        return Key(columns, "guess", "the table has no key and no rows: a guess by the names of its columns")
    if table.rows > MOST_ROWS:
        return Key((), "none", f"it has no key, and {table.rows:,} rows are too many to search for one")
    try:
        columns = _unique_columns(database, table, candidates)
    except SvError as error:
        return Key((), "none", f"it has no key, and the search for one failed: {error}")
    if not columns:
        return Key((), "none", "it has no key, and rows of it are the same in all columns that could be part of one")
    return Key(columns, "unique today", "the table has no key: this is unique in its rows today")


def _by_name(columns: Sequence[Column]) -> tuple[str, ...]:
    certain = [column for column in columns if not column.nullable] or list(columns[:1])
    ids = [column.name for column in certain if "id" in words(column.name)]
    return tuple(ids[:1] or [column.name for column in certain[:_MOST_COLUMNS]])


def _unique_columns(database: LegacyDatabase, table: TableFound, candidates: Sequence[Column]) -> tuple[str, ...]:
    rows, distinct = _distinct_values(database, table, [column.name for column in candidates])
    order = {column.name: n for n, column in enumerate(table.columns)}
    ranked = sorted(distinct, key=lambda name: ("id" not in words(name), -distinct[name], order[name]))
    for name in ranked:
        if distinct[name] == rows:
            return (name,)
    ranked.sort(key=lambda name: (-distinct[name], order[name]))
    for columns in _combinations(ranked, distinct, rows)[:MOST_TRIES]:
        if _are_unique(database, table, columns, rows):
            return tuple(sorted(columns, key=order.__getitem__))
    return ()


def _distinct_values(database: LegacyDatabase, table: TableFound, names: Sequence[str]) -> tuple[int, dict[str, int]]:
    """(rows, different values of each column that is never null), by one statement."""
    counts = [sa.func.count()]
    for name in names:
        column: sa.ColumnClause[object] = sa.column(name)
        counts += [sa.func.count(column), sa.func.count(sa.distinct(column))]
    (row,) = _rows(database, sa.select(*counts).select_from(clause_of(table)))
    values = zip(names, row[1::2], row[2::2], strict=True)
    return row[0], {name: different for name, filled, different in values if filled == row[0]}


def _combinations(ranked: Sequence[str], distinct: dict[str, int], rows: int) -> list[tuple[str, ...]]:
    """What to try: pairs and triples that have enough values, then more and more columns, then all of them."""
    few = [c for size in (2, 3) for c in combinations(ranked[:5], size) if _product(distinct, c) >= rows]
    growing = [tuple(ranked[:size]) for size in range(4, min(len(ranked), _MOST_COLUMNS) + 1)]
    longer = growing if len(growing) <= 4 else [*growing[:3], growing[-1]]
    return list(dict.fromkeys([*few[: MOST_TRIES - len(longer)], *longer]))


def _product(distinct: dict[str, int], columns: Sequence[str]) -> int:
    product = 1
    for name in columns:
        product *= distinct[name]
    return product


def _are_unique(database: LegacyDatabase, table: TableFound, columns: Sequence[str], rows: int) -> bool:
    picked: list[sa.ColumnClause[object]] = [sa.column(name) for name in columns]
    different = sa.select(*picked).select_from(clause_of(table)).distinct().subquery()
    ((count,),) = _rows(database, sa.select(sa.func.count()).select_from(different))
    return bool(count == rows)


def _rows(database: LegacyDatabase, statement: sa.Executable) -> Sequence[Sequence[Any]]:
    """Asked once: what takes too long the first time is not asked of the source again."""
    with database.connect() as connection:
        return connection.execute(statement).fetchall()
