"""What a legacy database has: its tables with their columns, keys, indexes, foreign keys and row counts, in either dialect."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from sv_assets.errors import SvError, TransientError
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.introspect import on_sql_server, on_sqlite
from sv_assets.sources.introspect.found import DatabaseFound, ForeignKeyFound, Index, Offer, TableFound
from sv_assets.sources.types import Column

__all__ = [
    "DatabaseFound",
    "ForeignKeyFound",
    "Index",
    "Offer",
    "TableFound",
    "count_rows",
    "read_columns",
    "read_database",
    "read_table",
]

_TABLES_A_COUNT = 20
"""How many tables one statement counts: few round trips, and progress to show between them."""


def read_database(database: LegacyDatabase) -> DatabaseFound:
    """All tables and views, by a few statements for the whole database. Rows as the server knows them without counting."""
    with database.connect() as connection:
        if database.is_sqlite:
            return on_sqlite.read_database(connection)
        return on_sql_server.read_database(connection)


def read_table(database: LegacyDatabase, full_name: str) -> TableFound | None:
    """One table or view as it is declared (`Sales.Customer`); None where it is gone, or our log-in may not see it.

    It comes without a row count, and without what is known about capturing its changes.
    """
    schema, _, name = full_name.rpartition(".")
    with database.connect() as connection:
        if database.is_sqlite:
            return on_sqlite.read_table(connection, schema or "dbo", name)
        return on_sql_server.read_table(connection, schema or "dbo", name)


def read_columns(database: LegacyDatabase, connection: sa.Connection, schema: str, name: str) -> list[Column]:
    """The columns of one table, in order; none where there is no such table, or our log-in may not see it."""
    if database.is_sqlite:
        return on_sqlite.read_columns(connection, schema or "dbo", name)
    return on_sql_server.read_columns(connection, schema or "dbo", name)


def count_rows(
    database: LegacyDatabase, tables: Iterable[TableFound], counted: Callable[[int], None] = lambda _: None
) -> list[TableFound]:
    """The tables with their rows counted, where the server had no count. A table that cannot be read says why.

    `counted` is told how many tables were done, after each statement.
    """
    done: list[TableFound] = []
    waiting: list[TableFound] = []
    for table in tables:
        if table.rows is not None:
            done.append(table)
        else:
            waiting.append(table)
    for start in range(0, len(waiting), _TABLES_A_COUNT):
        done += _count(database, waiting[start : start + _TABLES_A_COUNT])
        counted(min(start + _TABLES_A_COUNT, len(waiting)))
    return done


def _count(database: LegacyDatabase, tables: list[TableFound]) -> list[TableFound]:
    """By one statement; where that is refused, table by table, to find the one that cannot be read."""
    counts: list[Any] = [
        sa.select(sa.literal_column(str(n)), sa.func.count()).select_from(clause_of(table))
        for n, table in enumerate(tables)
    ]
    try:
        with database.connect() as connection:
            found = connection.execute(sa.union_all(*counts)).fetchall()
    except TransientError:  # it takes too long: the number is worth less than the time of the source
        return tables
    except SvError as error:
        if len(tables) == 1:
            return [replace(tables[0], unreadable=str(error))]
        return [counted for table in tables for counted in _count(database, [table])]
    rows = {number: int(count) for number, count in found}
    return [replace(table, rows=rows[n]) for n, table in enumerate(tables)]


def clause_of(table: TableFound) -> sa.Table:
    """The table, to select from."""
    return sa.Table(table.name, sa.MetaData(), schema=table.schema)
