"""`rowversion`: rows by a rowversion column, below the lowest version that an open transaction may still write.

Source: Microsoft, "MIN_ACTIVE_ROWVERSION (Transact-SQL)", which also says why @@DBTS would lose rows.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from sv_assets.catalogue.capture import RowversionCapture
from sv_assets.errors import ConfigurationError
from sv_assets.sources.capture.pages import Row
from sv_assets.sources.capture.reader import CaptureReader, now
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.records import Batch, Findings, Position, Version
from sv_assets.sources.table import TableShape

_LOWEST_ACTIVE = sa.text("SELECT MIN_ACTIVE_ROWVERSION()")


class RowversionReader(CaptureReader):
    """The bookmark is the low-water mark taken before reading; `since` is when that mark was first seen.

    A writer that holds its transaction open freezes the mark, and with it all that is committed above it. SQLite has one
    writer at a time, so there nothing is open beside what is committed.
    """

    mode = "rowversion"

    def __init__(self, database: LegacyDatabase, shape: TableShape, capture: RowversionCapture) -> None:
        self._capture = capture
        self._column = next(column for column in shape.columns if column.name == capture.column)
        self._clause: sa.ColumnClause[Any] = sa.column(capture.column)
        self._index = shape.columns.index(self._column)
        self._mark: Position = {}
        super().__init__(database, shape)

    def deletion_version(self) -> Version:
        return self._lowest_active()

    def findings(self) -> Findings:
        """The age of the low-water mark, where committed rows of this table wait above it."""
        if not self._mark:
            return Findings()
        waiting = sa.select(sa.func.count()).select_from(self._shape.clause)
        held = self._database.scalar(waiting.where(self._clause >= self._bytes(bytes(self._mark["rowversion"]))))
        since = self._mark["since"]
        age = (now() - since).total_seconds() if held else 0.0
        figures = {"rows_held_back": held, "low_water_mark_age_seconds": round(age, 1)}
        if age < self._capture.stuck_after.total_seconds():
            return Findings(figures)
        return Findings(
            figures,
            [
                f"A transaction open since {since:%Y-%m-%d %H:%M} UTC or before holds {held:,} rows back. Ask the owner of the "
                "database to end it: DBCC OPENTRAN names it."
            ],
        )

    def _position_now(self) -> Position:
        return self._marked(self._lowest_active(), {})

    def _news(self, position: Position) -> bool | None:
        if not self._is_entered_by(self._capture.column):
            return None
        lower, taken = bytes(position["rowversion"]), self._lowest_active()
        return self._any(self._clause >= self._bytes(lower), self._clause < self._bytes(taken))

    def _changes(self, position: Position) -> Iterator[Batch]:
        lower = bytes(position["rowversion"])
        taken = max(self._lowest_active(), lower)
        where = [self._clause >= self._bytes(lower), self._clause < self._bytes(taken)]
        order = [self._capture.column, *(name for name in self._shape.source.table.key if name != self._capture.column)]
        for rows, extracted_at in self._pages(order, where).after(None):
            reached = {**position, "rowversion": max(lower, bytes(rows[-1][self._index]))}
            yield self._batch(rows, reached, extracted_at)
        yield Batch([], [], self._marked(taken, position), now())

    def _marked(self, taken: bytes, before: Mapping[str, Any]) -> Position:
        """The position of this mark, with the moment at which it was first seen."""
        same = before.get("rowversion") == taken and isinstance(before.get("since"), dt.datetime)
        self._mark = {"rowversion": taken, "since": before["since"] if same else now()}
        return self._mark

    def _lowest_active(self) -> bytes:
        if self._database.is_sqlite:
            highest = self._database.scalar(sa.select(sa.func.max(self._clause)).select_from(self._shape.clause))
            return (int.from_bytes(highest or b"") + 1).to_bytes(8)
        lowest = self._database.scalar(_LOWEST_ACTIVE)
        if lowest is None:
            raise ConfigurationError(
                f"system {self._shape.source.system}: this server cannot say which rowversions are still to come; a "
                "read-only replica cannot. Point its connection at the primary, or use another capture mode."
            )
        return bytes(lowest)

    def _bytes(self, value: bytes) -> Any:
        return self._database.bound(self._column, value)

    def _version_of(self, row: Row) -> Version:
        value = row[self._index]
        return b"" if value is None else bytes(value)
