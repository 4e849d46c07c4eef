"""What the capture modes share: the scan in key order, windows of time, and the keys of all rows."""

import datetime as dt
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from sv_assets.catalogue.source import Source
from sv_assets.errors import DataError
from sv_assets.mongo import in_batches
from sv_assets.sources.capture.pages import Condition, Key, Pages, Row
from sv_assets.sources.convert import RowConverter
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.keys import freeze, thaw
from sv_assets.sources.records import Batch, Findings, Position, Record, Rejected, TableReader, Version, Window
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import Column

_ROWS_BY_KEY = 100
"""SQL Server takes 2,100 parameters in a statement, and a key may have several columns."""
log = logging.getLogger(__name__)


class CaptureReader(TableReader):
    """A reader of one table. Its modes say where they are (`_position_now`), what is new, and a row's version."""

    mode = ""
    sees_deletes: ClassVar[bool] = False

    def __init__(self, database: LegacyDatabase, shape: TableShape) -> None:
        self._database = database
        self._shape = shape
        self._by_name = {column.name: column for column in shape.columns}
        self._page_rows = shape.source.table.page_rows
        self._converter = RowConverter(shape, database.zone, self._version_of)
        self.scanned = False

    @property
    def source(self) -> Source:
        return self._shape.source

    def read(self, position: Position | None) -> Iterator[Batch]:
        if position is None or "scan_after" in position:
            return self._scan(position)
        return self._changes(position)

    def read_window(self, window: Window) -> Iterator[Batch]:
        column = self._shape.source.table.partition_column or ""
        for rows, extracted_at in self._pages([column, *self._shape.source.table.key], self.within(window)).after(None):
            yield self._batch(rows, {}, extracted_at)

    def read_rows(self, keys: Iterable[Sequence[Any]]) -> Iterator[Batch]:
        """The rows with these keys, as the driver gave them, as far as they are still there; batches carry no position."""
        self._scan_from(self._position_now())
        columns = self._shape.key_columns
        for some in in_batches(keys, _ROWS_BY_KEY):
            alternatives = [
                sa.and_(
                    *[
                        sa.column(column.name) == self._database.bound(column, value)
                        for column, value in zip(columns, key, strict=True)
                    ]
                )
                for key in some
            ]
            for rows, extracted_at in self._pages(self._shape.source.table.key, [sa.or_(*alternatives)]).after(None):
                yield self._batch(rows, {}, extracted_at)

    def has_news(self, position: Position | None) -> bool | None:
        """Whether there is something beyond `position`, by a statement or two that an index answers.

        None where only reading the table can tell. What a writer committed late, with a value below the position, shows
        when the table is next read.
        """
        if position is None or "scan_after" in position:
            return True
        return self._news(position)

    def _news(self, position: Position) -> bool | None:
        return None

    def _is_entered_by(self, column: str) -> bool:
        return self._shape.found is not None and self._shape.found.is_entered_by(column)

    def _any(self, *where: Condition) -> bool:
        """Whether the table has a row that fulfils these conditions."""
        return self._finds(sa.select(sa.literal(1)).select_from(self._shape.clause).where(*where))

    def _finds(self, statement: sa.Select[Any]) -> bool:
        """Whether a statement gives a row."""
        return self._database.read(lambda connection: connection.execute(statement.limit(1)).first()) is not None

    def within(self, window: Window) -> list[Condition]:
        """The conditions that select the rows of `window`."""
        column = self._by_name[self._shape.source.table.partition_column or ""]
        clause: sa.ColumnClause[Any] = sa.column(column.name)
        return [clause >= self._bound(column, window.start), clause < self._bound(column, window.end)]

    def keys(self) -> Iterator[Any]:
        """The `_id` of every row there is, read in key order. A row without a usable key has not landed either."""
        shape = TableShape(self._shape.source, tuple(self._shape.key_columns))
        converter = RowConverter(shape, self._database.zone, lambda _: 0)
        for rows, _ in self._pages(self._shape.source.table.key, [], shape.columns).after(None):
            for row in rows:
                if isinstance(converted := converter.convert(row), Record):
                    yield converted.key

    def believable(self) -> list[Condition]:
        """The conditions that all rows fulfil but those that wait for a time far ahead."""
        return []

    def findings(self) -> Findings:
        return Findings()

    def deletion_version(self) -> Version:
        raise NotImplementedError

    def _changes(self, position: Position) -> Iterator[Batch]:
        raise NotImplementedError

    def _position_now(self) -> Position:
        """Where reading is to go on after a scan that begins now. Rows of that scan are at least as new."""
        raise NotImplementedError

    def _version_of(self, row: Row) -> Version:
        raise NotImplementedError

    def _scan(self, position: Position | None) -> Iterator[Batch]:
        """The whole table in key order, from where an earlier run got to; last, the position taken before it began."""
        self.scanned = True
        then = position["then"] if position else self._position_now()
        self._scan_from(then)
        after = [thaw(part) for part in position["scan_after"]] if position else None
        for rows, extracted_at in self._pages(self._shape.source.table.key, []).after(after):
            last = [freeze(part) for part in self._converter.raw_key(rows[-1])]
            yield self._batch(rows, {"scan_after": last, "then": then}, extracted_at)
        yield Batch([], [], then, now())

    def _scan_from(self, then: Position) -> None:
        """Told the position of the scan, for modes whose rows carry no version of their own."""

    def _batch(self, rows: Sequence[Row], position: Position, extracted_at: dt.datetime) -> Batch:
        converted = self._converter.convert_page(rows)
        records = [record for record in converted if isinstance(record, Record)]
        rejected = [record for record in converted if isinstance(record, Rejected)] if len(records) < len(rows) else []
        return Batch(records, rejected, position, extracted_at)

    def _pages(
        self, order: Sequence[str], where: Sequence[Condition], columns: Sequence[Column] | None = None
    ) -> Pages:
        """Pages of the table's own rows, in the order of these columns."""
        columns = self._shape.columns if columns is None else columns
        names = [column.name for column in columns]
        statement = sa.select(*[self._database.selected(column) for column in columns])
        return Pages(
            self._database,
            statement.select_from(self._shape.clause).where(*where),
            [Key(sa.column(name), self._by_name[name], names.index(name)) for name in order],
            self._page_rows,
            [index for index, column in enumerate(columns) if column.is_large],
        )

    def _bound(self, column: Column, moment: dt.date) -> Any:
        """A moment, to compare a date-time column with; in the system's own time, unless it says otherwise."""
        if not isinstance(moment, dt.datetime):
            moment = dt.datetime.combine(moment, dt.time())
        if column.type_name == "datetimeoffset" and moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._database.zone)
        return self._database.bound(column, moment)


def parsed(text: str) -> dt.datetime:
    """The moment of a version text, to the microsecond."""
    try:
        return dt.datetime.fromisoformat(text[:26])
    except ValueError:
        raise DataError("is not a date-time") from None


def now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
