"""What a SQL Server database has: a few statements for the whole database, or the same ones for one table.

Names and base types come from INFORMATION_SCHEMA, which spells names as they were created on every T-SQL server
(Babelfish folds those in `sys` to lower case) and gives the base type of an alias type. Keys come from `sys`. What only
some servers have, or only some log-ins may see, is asked on its own, and its absence is a note and not an error.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from sv_assets.sources.introspect.found import DatabaseFound, ForeignKeyFound, Index, Offer, TableFound, in_order
from sv_assets.sources.types import Column

_COLUMNS = (
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, "
    "COALESCE(NUMERIC_PRECISION, DATETIME_PRECISION, CHARACTER_MAXIMUM_LENGTH), NUMERIC_SCALE, IS_NULLABLE, "
    "COLLATION_NAME FROM INFORMATION_SCHEMA.COLUMNS "
)
_NAMES = (
    "SELECT o.object_id, s.name, o.name, o.type, c.column_id, c.name, c.is_computed FROM sys.objects o "
    "JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.columns c ON c.object_id = o.object_id "
    "WHERE o.type IN ('U', 'V') AND o.is_ms_shipped = 0"
)
_INDEXES = (
    "SELECT i.object_id, i.index_id, i.is_primary_key, i.is_unique, x.column_id FROM sys.indexes i "
    "JOIN sys.index_columns x ON x.object_id = i.object_id AND x.index_id = i.index_id "
    "WHERE i.is_disabled = 0 AND i.has_filter = 0 AND i.is_hypothetical = 0 AND x.key_ordinal > 0 {one}"
    "ORDER BY i.object_id, i.is_primary_key DESC, i.index_id, x.key_ordinal"
)
_FOREIGN_KEYS = (
    "SELECT f.object_id, f.parent_object_id, c.parent_column_id, f.referenced_object_id, c.referenced_column_id "
    "FROM sys.foreign_keys f JOIN sys.foreign_key_columns c ON c.constraint_object_id = f.object_id {one}"
    "ORDER BY f.parent_object_id, f.object_id, c.constraint_column_id"
)
_WITH_REFERRED = (
    "IN (SELECT OBJECT_ID(:quoted) UNION ALL SELECT referenced_object_id FROM sys.foreign_keys "
    "WHERE parent_object_id = OBJECT_ID(:quoted))"
)
STATEMENTS: Mapping[str, str] = {
    "columns": f"{_COLUMNS}ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
    "columns_of": f"{_COLUMNS}WHERE TABLE_SCHEMA = :schema AND TABLE_NAME = :name ORDER BY ORDINAL_POSITION",
    "columns_about": (
        f"{_COLUMNS}WHERE OBJECT_ID(QUOTENAME(TABLE_SCHEMA) + N'.' + QUOTENAME(TABLE_NAME)) {_WITH_REFERRED} "
        "ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
    ),
    "names": _NAMES,
    "names_about": f"{_NAMES} AND o.object_id {_WITH_REFERRED}",
    "indexes": _INDEXES.format(one=""),
    "indexes_about": _INDEXES.format(one="AND i.object_id = OBJECT_ID(:quoted) "),
    "foreign_keys": _FOREIGN_KEYS.format(one=""),
    "foreign_keys_about": _FOREIGN_KEYS.format(one="WHERE f.parent_object_id = OBJECT_ID(:quoted) "),
    "computed_of": "SELECT name FROM sys.columns WHERE object_id = OBJECT_ID(:quoted) AND is_computed = 1",
    "rows": "SELECT object_id, SUM(rows) FROM sys.partitions WHERE index_id IN (0, 1) GROUP BY object_id",
    "snapshots": "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()",
    "change_tracking": (
        "SELECT object_id, CHANGE_TRACKING_MIN_VALID_VERSION(object_id) FROM sys.change_tracking_tables"
    ),
    "tracked_by_cdc": "SELECT object_id FROM sys.tables WHERE is_tracked_by_cdc = 1",
    "cdc": (
        "SELECT t.source_object_id, t.capture_instance, t.start_lsn, c.column_name FROM cdc.change_tables t "
        "JOIN cdc.captured_columns c ON c.object_id = t.object_id"
    ),
    "rowversion": "SELECT MIN_ACTIVE_ROWVERSION()",
}
"""Every statement of this module, by what it asks for (`…_about`: one table and those it refers to). `rows` is what the
server itself keeps: nothing is counted."""

_NOT_OURS = ("cdc", "sys", "information_schema")
_DIAGRAMS = "sysdiagrams"
"""Where SQL Server Management Studio keeps its drawings: it says of itself that it is a user's table."""


@dataclass(frozen=True)
class _Catalogue:
    """Object and column ids, in the spelling of INFORMATION_SCHEMA."""

    columns: Mapping[tuple[str, str], list[Column]]
    tables: Mapping[int, tuple[str, str]]
    column_names: Mapping[int, Mapping[int, str]]
    views: frozenset[int]


_Keys = Mapping[int, tuple[tuple[str, ...], tuple[Index, ...]]]
_Foreign = Mapping[int, Sequence[ForeignKeyFound]]


def read_database(connection: sa.Connection) -> DatabaseFound:
    """All tables and views that our log-in may see, without those that belong to SQL Server itself."""
    catalogue = _catalogue(_rows(connection, "columns"), _rows(connection, "names"))
    keys = _keys(catalogue, _rows(connection, "indexes"))
    foreign = _foreign_keys(catalogue, _rows(connection, "foreign_keys"))
    counted = _optional(connection, "rows")
    rows = {object_id: int(count) for object_id, count in counted or []}
    tracking = _change_tracking(connection)
    cdc = _cdc(connection, catalogue)
    tables = [
        replace(
            _table(catalogue, object_id, keys, foreign),
            rows=rows.get(object_id) or None,  # 0 may mean that this server does not keep it
            change_tracking=tracking.get(object_id),
            cdc=cdc.get(object_id),
        )
        for object_id in catalogue.tables
    ]
    notes = [] if counted is not None else ["The server's own row counts may not be read: every table was counted."]
    return DatabaseFound(in_order(tables), _rowversion(connection), tuple(notes))


def read_table(connection: sa.Connection, schema: str, name: str) -> TableFound | None:
    """One table or view with its keys; no row count, and nothing about how it can be captured."""
    about = {"quoted": _quoted(schema, name)}
    catalogue = _catalogue(_rows(connection, "columns_about", about), _rows(connection, "names_about", about))
    keys = _keys(catalogue, _rows(connection, "indexes_about", about))
    foreign = _foreign_keys(catalogue, _rows(connection, "foreign_keys_about", about))
    wanted = (schema.casefold(), name.casefold())
    return next(
        (
            _table(catalogue, object_id, keys, foreign)
            for object_id, table in catalogue.tables.items()
            if (table[0].casefold(), table[1].casefold()) == wanted
        ),
        None,
    )


def read_columns(connection: sa.Connection, schema: str, name: str) -> list[Column]:
    """The columns of one table, in order; none where there is no such table, or our log-in may not see it."""
    rows = [_column(row) for row in _rows(connection, "columns_of", {"schema": schema, "name": name})]
    found = _optional(connection, "computed_of", {"quoted": _quoted(schema, name)}) if rows else []
    computed = {row[0].casefold() for row in found or []}
    return [replace(column, computed=column.name.casefold() in computed) for column in rows]


def _quoted(schema: str, name: str) -> str:
    return ".".join(f"[{part.replace(']', ']]')}]" for part in (schema, name))


def _table(catalogue: _Catalogue, object_id: int, keys: _Keys, foreign: _Foreign) -> TableFound:
    schema, name = catalogue.tables[object_id]
    primary, indexes = keys.get(object_id, ((), ()))
    return TableFound(
        schema,
        name,
        tuple(catalogue.columns[schema, name]),
        primary,
        indexes,
        tuple(foreign.get(object_id, ())),
        is_view=object_id in catalogue.views,
    )


def _column(row: Sequence[Any]) -> Column:
    return Column(row[2], row[3].lower(), row[4], row[5], row[6] == "YES", row[7])


def _catalogue(columns: Sequence[Sequence[Any]], names: Sequence[Sequence[Any]]) -> _Catalogue:
    by_table: dict[tuple[str, str], list[Column]] = defaultdict(list)
    for row in columns:
        by_table[row[0], row[1]].append(_column(row))
    spelt = {(schema.casefold(), name.casefold()): (schema, name) for schema, name in by_table}
    tables: dict[int, tuple[str, str]] = {}
    column_names: dict[int, dict[int, str]] = defaultdict(dict)
    computed: set[tuple[int, str]] = set()
    views = set()
    for object_id, schema, name, kind, column_id, column, is_computed in names:
        table = (schema, name) if (schema, name) in by_table else spelt.get((schema.casefold(), name.casefold()))
        if table is None or schema.casefold() in _NOT_OURS or name.casefold() == _DIAGRAMS:
            continue
        tables[object_id] = table
        column_names[object_id][column_id] = _spelt(column, by_table[table])
        if is_computed:
            computed.add((object_id, column_names[object_id][column_id]))
        if kind.strip() == "V":
            views.add(object_id)
    for object_id, table in tables.items():
        by_table[table] = [replace(c, computed=(object_id, c.name) in computed) for c in by_table[table]]
    return _Catalogue(by_table, tables, column_names, frozenset(views))


def _spelt(name: str, columns: Sequence[Column]) -> str:
    """A column's name of `sys`, as INFORMATION_SCHEMA spells it."""
    if any(column.name == name for column in columns):
        return name
    return next((column.name for column in columns if column.name.casefold() == name.casefold()), name)


def _keys(catalogue: _Catalogue, rows: Sequence[Sequence[Any]]) -> dict[int, tuple[tuple[str, ...], tuple[Index, ...]]]:
    """(primary key, all indexes) by object id."""
    columns: dict[tuple[int, int], list[str]] = defaultdict(list)
    kinds: dict[tuple[int, int], tuple[bool, bool]] = {}
    for object_id, index_id, primary, unique, column_id in rows:
        name = catalogue.column_names.get(object_id, {}).get(column_id)
        if name is not None:
            columns[object_id, index_id].append(name)
            kinds[object_id, index_id] = (bool(primary), bool(unique))
    found: dict[int, tuple[tuple[str, ...], tuple[Index, ...]]] = {}
    for (object_id, index_id), names in columns.items():
        primary, unique = kinds[object_id, index_id]
        before, indexes = found.get(object_id, ((), ()))
        found[object_id] = (tuple(names) if primary else before, (*indexes, Index(tuple(names), unique)))
    return found


def _foreign_keys(catalogue: _Catalogue, rows: Sequence[Sequence[Any]]) -> dict[int, list[ForeignKeyFound]]:
    pairs: dict[tuple[int, int, int], list[tuple[str, str]]] = defaultdict(list)
    for constraint, parent, parent_column, referenced, referenced_column in rows:
        ours = catalogue.column_names.get(parent, {}).get(parent_column)
        theirs = catalogue.column_names.get(referenced, {}).get(referenced_column)
        if ours is not None and theirs is not None:
            pairs[parent, constraint, referenced].append((ours, theirs))
    found: dict[int, list[ForeignKeyFound]] = defaultdict(list)
    for (parent, _, referenced), columns in pairs.items():
        ours_, theirs_ = zip(*columns, strict=True)
        found[parent].append(ForeignKeyFound(ours_, ".".join(catalogue.tables[referenced]), theirs_))
    return found


def _change_tracking(connection: sa.Connection) -> dict[int, Offer]:
    """The tables that change tracking watches; what stands in the way is what its reader would refuse."""
    tracked = _optional(connection, "change_tracking")
    if not tracked:
        return {}
    snapshots = _optional(connection, "snapshots") or []
    allowed = any(row[0] == 1 for row in snapshots)
    obstacle = "" if allowed else "change tracking is on, but the database does not allow SNAPSHOT transactions"
    hidden = "change tracking is on, but our log-in may not read it (VIEW CHANGE TRACKING)"
    return {object_id: Offer(obstacle if minimum is not None else hidden) for object_id, minimum in tracked}


def _cdc(connection: sa.Connection, catalogue: _Catalogue) -> dict[int, Offer]:
    """The tables that change data capture watches. Its newest instance must have every column that is not computed."""
    tracked = {row[0] for row in _optional(connection, "tracked_by_cdc") or []}
    if not tracked:
        return {}
    captured: dict[int, dict[bytes, set[str]]] = defaultdict(lambda: defaultdict(set))
    names: dict[tuple[int, bytes], str] = {}
    for object_id, instance, start, column in _optional(connection, "cdc") or []:
        captured[object_id][bytes(start)].add(column)
        names[object_id, bytes(start)] = instance
    return {object_id: _cdc_offer(catalogue, object_id, captured.get(object_id), names) for object_id in tracked}


def _cdc_offer(
    catalogue: _Catalogue, object_id: int, captured: Mapping[bytes, set[str]] | None, names: Mapping[Any, str]
) -> Offer:
    if not captured:
        return Offer("CDC is on, but our log-in may not read the schema cdc")
    newest = max(captured)
    columns = catalogue.columns.get(catalogue.tables.get(object_id, ("", "")), [])
    left_out = [column.name for column in columns if not column.computed and column.name not in captured[newest]]
    if left_out:
        return Offer(f"CDC is on, but its instance {names[object_id, newest]} leaves out {', '.join(left_out)}")
    return Offer()


def _rowversion(connection: sa.Connection) -> Offer:
    """A secondary answers NULL: its primary, from which such tables are read, can tell. No answer at all: nobody can."""
    usable = _optional(connection, "rowversion") is not None
    return Offer() if usable else Offer("this server has no MIN_ACTIVE_ROWVERSION()")


def _rows(connection: sa.Connection, name: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
    return connection.execute(sa.text(STATEMENTS[name]), dict(parameters or {})).fetchall()


def _optional(
    connection: sa.Connection, name: str, parameters: Mapping[str, Any] | None = None
) -> Sequence[Sequence[Any]] | None:
    """The rows, or None where this server has no such view or our log-in may not see it."""
    try:
        return _rows(connection, name, parameters)
    except exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        connection.rollback()
        return None
