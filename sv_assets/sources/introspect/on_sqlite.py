"""What a SQLite file has that stands in for a database of SQL Server: `main` is `dbo`, an attached file is a schema.

A table or view whose name begins with `_` or `sqlite_` is internal, and so is the schema `cdc`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from sv_assets.sources.introspect.found import DatabaseFound, ForeignKeyFound, Index, Offer, TableFound, in_order
from sv_assets.sources.types import Column

_TABLES = (
    "SELECT name, type FROM {schema}.sqlite_master WHERE type IN ('table', 'view') "
    "AND substr(name, 1, 1) <> '_' AND lower(substr(name, 1, 7)) <> 'sqlite_' AND sql NOT LIKE 'CREATE VIRTUAL %'"
)
_COLUMNS = sa.text(
    'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(:name, :schema) WHERE hidden <> 1 ORDER BY cid'
)
_INDEXES = sa.text(
    'SELECT l.name, l."unique", l.origin, i.name, i.coll FROM pragma_index_list(:name, :schema) l '
    'JOIN pragma_index_xinfo(l.name, :schema) i WHERE l.partial = 0 AND i."key" = 1 ORDER BY l.seq, i.seqno'
)
_FOREIGN_KEYS = sa.text(
    'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(:name, :schema) ORDER BY id DESC, seq'
)
_ATTACHED = sa.text("SELECT name FROM pragma_database_list WHERE name NOT IN ('main', 'temp')")


def read_database(connection: sa.Connection) -> DatabaseFound:
    """All tables and views of the file and of those attached to it."""
    attached = [row[0] for row in connection.execute(_ATTACHED)]
    found: list[TableFound] = []
    for schema in ("dbo", *(name for name in attached if name.casefold() != "cdc")):
        in_schema = [
            table
            for name, kind in connection.execute(sa.text(_TABLES.format(schema=_quoted(_file_of(schema))))).all()
            if (table := _read(connection, schema, name, kind == "view")) is not None
        ]
        found += [_with_parents_spelt(table, in_schema) for table in in_schema]
    instances = _instances(connection, attached)
    tables = in_order(replace(table, cdc=_cdc(table, instances)) for table in found)
    return DatabaseFound(tables, is_sqlite=True)


def read_table(connection: sa.Connection, schema: str, name: str) -> TableFound | None:
    """One table or view with its keys; no row count, and nothing about how it can be captured."""
    statement = sa.text(_TABLES.format(schema=_quoted(_file_of(schema))))
    kinds = {row[0].casefold(): (row[0], row[1]) for row in connection.execute(statement)}
    if name.casefold() not in kinds:
        return None
    spelt, kind = kinds[name.casefold()]
    table = _read(connection, schema, spelt, kind == "view")
    if table is None:
        return None
    parents = {key.table.partition(".")[2].casefold() for key in table.foreign_keys}
    others = [_read(connection, schema, kinds[parent][0], False) for parent in parents if parent in kinds]
    return _with_parents_spelt(table, [other for other in others if other is not None])


def read_columns(connection: sa.Connection, schema: str, name: str) -> list[Column]:
    """The columns of one table, in order, generated ones too; none where there is no such table.

    `collation` is NOCASE where the primary key or a unique index compares the column so: that decides which keys are one.
    """
    where = {"name": name, "schema": _file_of(schema)}
    rows = connection.execute(_COLUMNS, where).all()
    collations: dict[str, str] = {}
    for _, unique, _, column, collation in connection.execute(_INDEXES, where) if rows else ():
        if unique and column is not None and collation.upper() == "NOCASE":
            collations[column] = "NOCASE"
    is_rowid = sum(bool(row[3]) for row in rows) == 1
    columns = []
    for column, declaration, not_null, key, hidden in rows:
        never_null = not_null or (key and is_rowid and declaration.casefold() == "integer")
        declared = Column.declared(column, declaration, not never_null)
        columns.append(replace(declared, collation=collations.get(column), computed=hidden in (2, 3)))
    return columns


def _read(connection: sa.Connection, schema: str, name: str, is_view: bool) -> TableFound | None:
    where = {"name": name, "schema": _file_of(schema)}
    try:
        columns = read_columns(connection, schema, name)
    except exc.OperationalError:  # a view of tables that are gone
        return None
    rows = connection.execute(_COLUMNS, where).all()
    primary = tuple(row[0] for row in sorted((row for row in rows if row[3]), key=lambda row: row[3]))
    indexes: dict[str, list[str | None]] = defaultdict(list)
    unique: dict[str, bool] = {}
    for index, is_unique, _, column, _ in connection.execute(_INDEXES, where):
        indexes[index].append(column)  # an expression has no name
        unique[index] = bool(is_unique)
    foreign: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for number, parent, ours, theirs in connection.execute(_FOREIGN_KEYS, where):
        foreign[number].append((parent, ours, theirs))
    return TableFound(
        schema,
        name,
        tuple(columns),
        primary,
        tuple(
            Index(tuple(c for c in names if c is not None), unique[index])
            for index, names in indexes.items()
            if None not in names
        ),
        tuple(
            ForeignKeyFound(
                tuple(pair[1] for pair in pairs), f"{schema}.{pairs[0][0]}", tuple(pair[2] or "" for pair in pairs)
            )
            for pairs in foreign.values()
        ),
        is_view=is_view,
    )


def _with_parents_spelt(table: TableFound, tables: Sequence[TableFound]) -> TableFound:
    """Foreign keys name their parent in any case, leave out its primary key, and may point to a table that is not there."""
    by_name = {other.full_name.casefold(): other for other in tables}
    spelt = []
    for key in table.foreign_keys:
        parent = by_name.get(key.table.casefold())
        if parent is None:
            continue
        names = {name.casefold(): name for name in parent.column_names}
        own = {name.casefold(): name for name in table.column_names}
        referred = key.key if all(key.key) else parent.primary_key
        columns = tuple(own.get(name.casefold(), name) for name in key.columns)
        referred = tuple(names.get(name.casefold(), "") for name in referred)
        if len(referred) == len(columns) and all(referred):
            spelt.append(ForeignKeyFound(columns, parent.full_name, referred))
    return replace(table, foreign_keys=tuple(spelt))


def _instances(connection: sa.Connection, attached: Sequence[str]) -> Mapping[str, set[str]]:
    """The captured columns by capture instance, where a file stands in for the schema `cdc`."""
    if "cdc" not in attached:
        return {}
    try:
        names = [row[0] for row in connection.execute(sa.text("SELECT capture_instance FROM cdc.change_tables"))]
        return {name: {c.name for c in read_columns(connection, "cdc", f"{name}_CT")} for name in names}
    except exc.OperationalError:
        return {}


def _cdc(table: TableFound, instances: Mapping[str, set[str]]) -> Offer | None:
    captured = instances.get(f"{table.schema}_{table.name}")
    if captured is None:
        return None
    left_out = [column.name for column in table.columns if column.name not in captured and not column.computed]
    return Offer(f"CDC is on, but its instance leaves out {', '.join(left_out)}" if left_out else "")


def _file_of(schema: str) -> str:
    return "main" if schema in ("", "dbo") else schema


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
