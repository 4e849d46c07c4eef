"""Keyset pages: a table read in pieces, each in a short transaction of its own, bounded by rows and by bytes."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.types import Column

PAGE_BYTES = 16 * 1024 * 1024
"""A page ends before its row limit where its large values (text, xml, images …) come to as much."""
_ROWS_A_FETCH = 50

Row = Sequence[Any]
Condition = sa.ColumnElement[bool]


@dataclass(frozen=True)
class Key:
    """One column of the order in which pages are read: how a statement writes it, its type, and where a row has it."""

    clause: sa.ColumnElement[Any]
    column: Column
    index: int


@dataclass(frozen=True)
class Pages:
    """How to read the rows of `statement` page by page, in `order`, which tells any two of them apart."""

    database: LegacyDatabase
    statement: sa.Select[Any]
    order: Sequence[Key]
    page_rows: int
    large: Sequence[int] = ()
    """The indexes of the selected columns that may hold large values."""

    def after(self, last: Sequence[Any] | None) -> Iterator[tuple[list[Row], dt.datetime]]:
        """(rows, when they were read) for each page beyond the order's values `last`; from the first page for None."""
        limit = self.page_rows
        while True:
            extracted_at = dt.datetime.now(dt.timezone.utc)
            rows, is_whole = self.database.read(partial(self.page, last, limit))
            if rows:
                self.database.throttle.rest(len(rows))
                yield rows, extracted_at
                last = [rows[-1][key.index] for key in self.order]
            if is_whole and len(rows) < limit:
                return
            limit = self.page_rows if is_whole else max(len(rows), 1)

    def beyond(self, last: Sequence[Any]) -> Condition:
        """`(a, b, c) > (x, y, z)`, spelt out because SQL Server has no row values.

        The first condition follows from the others; it is what lets the database start at the right place of the index.
        """
        bounds = [self.database.bound(key.column, value) for key, value in zip(self.order, last, strict=True)]
        clauses = [key.clause for key in self.order]
        alternatives = [
            sa.and_(
                *[clause == bound for clause, bound in zip(clauses[:n], bounds[:n], strict=True)],
                clauses[n] > bounds[n],
            )
            for n in range(len(clauses))
        ]
        return sa.and_(clauses[0] >= bounds[0], sa.or_(*alternatives))

    def page(self, last: Sequence[Any] | None, limit: int, connection: sa.Connection) -> tuple[list[Row], bool]:
        """(at most `limit` rows beyond `last`, whether it is all of them and not cut short by their bytes)."""
        statement = self.statement if last is None else self.statement.where(self.beyond(last))
        result = connection.execute(statement.order_by(*[key.clause for key in self.order]).limit(limit))
        if not self.large:
            return list(result.fetchall()), True
        rows: list[Row] = []
        size = 0
        while some := result.fetchmany(_ROWS_A_FETCH):
            for row in some:
                rows.append(row)
                size += sum(len(value) for index in self.large if isinstance(value := row[index], (str, bytes)))
                if size >= PAGE_BYTES:
                    result.close()
                    return rows, False
        return rows, True
