"""A legacy table as it is: its columns, and whether the declaration fits it."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.sources.database import LegacyDatabase
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

    @property
    def clause(self) -> sa.Table:
        schema, _, name = self.source.name.rpartition(".")
        return sa.Table(name, sa.MetaData(), schema=schema or None)

    @property
    def key_columns(self) -> list[Column]:
        by_name = {column.name: column for column in self.columns}
        return [by_name[name] for name in self.source.table.key]


def describe(database: LegacyDatabase, source: Source) -> TableShape:
    """Read the table's columns and check the declaration against them.

    Raises ConfigurationError, with the nearest names, for a table or column that is not there, and for a key that no
    unique index covers and whose values repeat.
    """
    schema, _, name = source.name.rpartition(".")
    with database.connect() as connection:
        columns = read_columns(database, connection, schema, name)
        if not columns:
            raise ConfigurationError(
                f"system {source.system}: there is no table {source.name}. {_hint(name, _table_names(database, connection, schema))}"
            )
        shape = TableShape(source, tuple(columns))
        _check_columns(shape)
        _check_key(database, connection, shape)
    return shape


def count_rows(database: LegacyDatabase, shape: TableShape, where: Sequence[sa.ColumnElement[bool]] = ()) -> int:
    """How many rows the legacy table has (that fulfil `where`)."""
    with database.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(shape.clause).where(*where)).scalar_one())


def read_columns(database: LegacyDatabase, connection: sa.Connection, schema: str, name: str) -> list[Column]:
    """The columns of one table, in order; none where there is no such table, or our log-in may not see it."""
    if database.is_sqlite:
        rows = connection.execute(
            sa.text('SELECT name, type, "notnull", hidden FROM pragma_table_xinfo(:name, :schema) WHERE hidden <> 1'),
            {"name": name, "schema": "main" if schema in ("", "dbo") else schema},
        )
        return [replace(Column.declared(row[0], row[1], not row[2]), computed=row[3] > 1) for row in rows]
    rows = connection.execute(
        sa.text(
            "SELECT COLUMN_NAME, DATA_TYPE, COALESCE(NUMERIC_PRECISION, DATETIME_PRECISION, CHARACTER_MAXIMUM_LENGTH), "
            "NUMERIC_SCALE, IS_NULLABLE FROM INFORMATION_SCHEMA.COLUMNS "
            "WHERE TABLE_NAME = :name AND TABLE_SCHEMA = :schema ORDER BY ORDINAL_POSITION"
        ),
        {"name": name, "schema": schema or "dbo"},
    )
    return [Column(row[0], row[1].lower(), row[2], row[3], row[4] == "YES") for row in rows]


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


def _check_columns(shape: TableShape) -> None:
    source, present = shape.source, [column.name for column in shape.columns]
    missing = sorted(source.columns_used() - set(present))
    if missing:
        raise ConfigurationError(
            f"system {source.system}: table {source.name} has no column {missing[0]}. {_hint(missing[0], present)}"
        )
    capture = source.table.capture
    for column in shape.columns:
        captured_by = capture.mode if column.name == getattr(capture, "column", None) else None
        if column.name == source.table.partition_column:
            captured_by = captured_by or "modified_at"
        if captured_by and column.type_name not in _CAPTURED_BY[captured_by]:
            raise ConfigurationError(
                f"system {source.system}: the column {column.name} of {source.name} is {column.type_name}, which cannot say "
                f"what is new. Allowed: {', '.join(_CAPTURED_BY[captured_by])}. Correct its defs.yaml, or use mode snapshot."
            )
    reserved = next((name for name in present if name in ("_id", "_sv") or "." in name or name.startswith("$")), None)
    if reserved:
        raise ConfigurationError(
            f"system {source.system}: table {source.name} has a column {reserved}, a name that landing keeps for itself. "
            "Read it through a view that renames the column."
        )


def _check_key(database: LegacyDatabase, connection: sa.Connection, shape: TableShape) -> None:
    """A unique index over (part of) the key answers without a scan; else the rows themselves are asked."""
    source = shape.source
    key = set(source.table.key)
    schema, _, name = source.name.rpartition(".")
    inspector = sa.inspect(connection)
    where = None if database.is_sqlite or not schema else schema
    constraints: list[Sequence[str | None]] = [inspector.get_pk_constraint(name, schema=where)["constrained_columns"]]
    constraints += [index["column_names"] for index in inspector.get_indexes(name, schema=where) if index["unique"]]
    constraints += [unique["column_names"] for unique in inspector.get_unique_constraints(name, schema=where)]
    by_name = {column.name: column for column in shape.columns}
    if any(columns and set(columns) <= key for columns in constraints) and not any(by_name[c].nullable for c in key):
        return
    columns: list[sa.ColumnClause[Any]] = [sa.column(c) for c in source.table.key]
    empty = connection.execute(
        sa.select(sa.func.count()).select_from(shape.clause).where(sa.or_(*[c.is_(None) for c in columns]))
    ).scalar_one()
    if empty:
        raise ConfigurationError(
            f"system {source.system}: {empty} rows of {source.name} have no value in the key ({', '.join(source.table.key)}). "
            "Declare a key that every row has."
        )
    groups = (
        sa.select(sa.literal(1)).select_from(shape.clause).group_by(*columns).having(sa.func.count() > 1).subquery()
    )
    repeated = connection.execute(sa.select(sa.func.count()).select_from(groups)).scalar_one()
    if repeated:
        raise ConfigurationError(
            f"system {source.system}: the key ({', '.join(source.table.key)}) of {source.name} is not unique: "
            f"{repeated} values stand in more than one row. Declare the columns that make a row unique."
        )


def _hint(word: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    guess = f"Did you mean {close[0]}? " if close else ""
    return f"{guess}It has: {', '.join(sorted(names)) or 'none that our log-in may see'}. Correct its defs.yaml."
