"""A legacy table as it is: its columns, and whether the declaration fits it."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.keys import orders
from sv_assets.sources.schema import read_columns, read_table
from sv_assets.sources.types import Column

_CAPTURED_BY = {
    "rowversion": ("rowversion", "timestamp", "binary", "varbinary"),
    "modified_at": ("date", "datetime", "datetime2", "smalldatetime", "datetimeoffset"),
}


@dataclass(frozen=True)
class TableShape:
    """A legacy table as it is: its columns in order, and what it is read by."""

    source: Source
    columns: tuple[Column, ...]
    found: TableFound | None = None
    """The whole table as the database describes it; None where only its columns were asked for."""

    @property
    def clause(self) -> sa.Table:
        schema, _, name = self.source.name.rpartition(".")
        return sa.Table(name, sa.MetaData(), schema=schema or None)

    @property
    def key_columns(self) -> list[Column]:
        by_name = {column.name: column for column in self.columns}
        return [by_name[name] for name in self.source.table.key]


def describe(
    database: LegacyDatabase, source: Source, *, landed_before: bool = False, seen: Collection[str] = ()
) -> TableShape:
    """Read what the table has and check the declaration against it; its columns alone where it has `landed_before`.

    Columns that were `seen` before, and that reading can do without, may be gone, at most half of them: the rest of the
    table still lands.

    Raises ConfigurationError, with the nearest names, for a table or column that is not there, and for a key that no
    unique index covers and whose values repeat.
    """
    schema, _, name = source.name.rpartition(".")
    found = None if landed_before else read_table(database, source.name)
    if found is None:
        columns = database.read(lambda connection: read_columns(database, connection, schema, name))
    else:
        columns = list(found.columns)
    if not columns:
        names = database.read(lambda connection: _table_names(database, connection, schema))
        raise ConfigurationError(f"system {source.system}: there is no table {source.name}. {_hint(name, names)}")
    shape = TableShape(source, tuple(columns), found)
    _check_columns(database, shape, {*seen, *source.table.columns})
    if found is not None:
        _check_key(database, shape, found)
    return shape


def count_rows(database: LegacyDatabase, shape: TableShape, where: Sequence[sa.ColumnElement[bool]] = ()) -> int:
    """How many rows the legacy table has (that fulfil `where`)."""
    return int(database.scalar(sa.select(sa.func.count()).select_from(shape.clause).where(*where)))


def _table_names(database: LegacyDatabase, connection: sa.Connection, schema: str) -> list[str]:
    if database.is_sqlite:
        rows = connection.execute(
            sa.text(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE '\\_%' ESCAPE '\\'"
            )
        )
    else:
        rows = connection.execute(
            sa.text("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = :schema"),
            {"schema": schema or "dbo"},
        )
    return [row[0] for row in rows]


def _check_columns(database: LegacyDatabase, shape: TableShape, seen: Collection[str]) -> None:
    source, present = shape.source, [column.name for column in shape.columns]
    needed = source.columns_needed()
    if 2 * len(set(seen) - set(present)) > len(set(seen)):
        seen = ()  # so little is left that it is hardly the same table
    gone = sorted(needed.intersection(seen) - set(present))
    if gone:
        raise ConfigurationError(
            f"system {source.system}: table {source.name} no longer has the column {gone[0]}, by which it is read. Ask its "
            f"owners ({', '.join(source.declared_in.owners)}) what replaces it, and correct its defs.yaml."
        )
    missing = sorted(source.columns_used() - set(present) - set(seen))
    if missing:
        raise ConfigurationError(
            f"system {source.system}: table {source.name} has no column {missing[0]}. {_hint(missing[0], present)}"
        )
    capture = source.table.capture
    for column in shape.columns:
        captured_by = capture.mode if column.name == getattr(capture, "column", None) else None
        if column.name == source.table.partition_column:
            captured_by = captured_by or "modified_at"
        # SQLite compares text, which does not go by the moment where offsets differ.
        allowed = [
            t for t in _CAPTURED_BY.get(captured_by or "", ()) if t != "datetimeoffset" or not database.is_sqlite
        ]
        if captured_by and column.type_name not in allowed:
            raise ConfigurationError(
                f"system {source.system}: the column {column.name} of {source.name} is {column.type_name}, which cannot say "
                f"what is new. Allowed: {', '.join(allowed)}. Correct its defs.yaml, or use mode snapshot."
            )
    reserved = next((name for name in present if name in ("_id", "_sv") or "." in name or name.startswith("$")), None)
    if reserved:
        raise ConfigurationError(
            f"system {source.system}: table {source.name} has a column {reserved}, a name that landing keeps for itself. "
            "Read it through a view that renames the column."
        )


def _check_key(database: LegacyDatabase, shape: TableShape, found: TableFound) -> None:
    """A unique index over (part of) the key answers without a scan; else the rows themselves are asked."""
    source = shape.source
    key = set(source.table.key)
    unordered = next((column for column in shape.key_columns if not orders(database, column)), None)
    if unordered:
        raise ConfigurationError(
            f"system {source.system}: the key of {source.name} has the column {unordered.name}, whose type {unordered.type_name} "
            "has no order. Declare another key."
        )
    nullable = any(column.nullable for column in shape.key_columns)
    if not nullable and any(set(columns) <= key for columns in found.unique_keys):
        return
    columns: list[sa.ColumnClause[Any]] = [sa.column(c) for c in source.table.key]
    empty = count_rows(database, shape, [sa.or_(*[c.is_(None) for c in columns])])
    if empty:
        raise ConfigurationError(
            f"system {source.system}: {empty} rows of {source.name} have no value in the key ({', '.join(source.table.key)}). "
            "Declare a key that every row has."
        )
    groups = (
        sa.select(sa.literal(1)).select_from(shape.clause).group_by(*columns).having(sa.func.count() > 1).subquery()
    )
    repeated = database.scalar(sa.select(sa.func.count()).select_from(groups))
    if repeated:
        raise ConfigurationError(
            f"system {source.system}: the key ({', '.join(source.table.key)}) of {source.name} is not unique: "
            f"{repeated} values stand in more than one row. Declare the columns that make a row unique."
        )


def _hint(word: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}It has: {', '.join(sorted(names)) or 'none that our log-in may see'}. Correct its defs.yaml."
