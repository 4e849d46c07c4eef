"""The capture modes: how new and changed rows of a legacy table are found.

Every mode starts with a scan in key order, after it has taken the position from which it will go on: so no change
between scan and first incremental read is lost. What is read twice on the way does no harm, because landing keeps the
newest version of a row whatever is repeated. All pages are keyset pages in short transactions of their own.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from sv_assets.catalogue.capture import ModifiedAtCapture, RowversionCapture, SnapshotCapture
from sv_assets.errors import ConfigurationError, DataError
from sv_assets.sources.convert import RowConverter
from sv_assets.sources.database import LegacyDatabase, TableShape
from sv_assets.sources.keys import freeze, thaw
from sv_assets.sources.records import Batch, Position, Record, Rejected, TableReader, Version, Window
from sv_assets.sources.types import local_text

Condition = sa.ColumnElement[bool]


def open_reader(database: LegacyDatabase, shape: TableShape) -> "CaptureReader":
    """The reader for the declared capture mode."""
    capture = shape.source.table.capture
    if isinstance(capture, SnapshotCapture):
        return SnapshotReader(database, shape)
    if isinstance(capture, ModifiedAtCapture):
        return ModifiedAtReader(database, shape, capture)
    return RowversionReader(database, shape, capture)


class CaptureReader(TableReader):
    """What the modes share: the scan in key order, windows of days, and pages."""

    mode = ""

    def __init__(self, database: LegacyDatabase, shape: TableShape) -> None:
        self._database = database
        self._shape = shape
        self._columns = {column.name: column for column in shape.columns}
        self._key: list[sa.ColumnClause[Any]] = [sa.column(name) for name in shape.source.table.key]
        self._page_rows = shape.source.table.page_rows
        self._converter = RowConverter(shape, database.zone, self._version_of)

    def read(self, position: Position | None) -> Iterator[Batch]:
        if position is not None and "scan_after" not in position:
            yield from self._changes(position)
            return
        then = position["then"] if position else self._position_now()
        after = [thaw(part) for part in position["scan_after"]] if position else None
        for rows, extracted_at in self._pages(self._key, [], after):
            after = [freeze(part) for part in self._converter.raw_key(rows[-1])]
            yield self._batch(rows, {"scan_after": after, "then": then}, extracted_at)
        yield Batch([], [], then, _now())

    def read_window(self, window: Window) -> Iterator[Batch]:
        """The rows whose partition column lies in `window`. Their batches carry no position: backfills move no bookmark."""
        column: sa.ColumnClause[Any] = sa.column(self._shape.source.table.partition_column or "")
        for rows, extracted_at in self._pages([column, *self._key], self.within(window), None):
            yield self._batch(rows, {}, extracted_at)

    def within(self, window: Window) -> list[Condition]:
        """The conditions that select the rows of `window`."""
        column: sa.ColumnClause[Any] = sa.column(self._shape.source.table.partition_column or "")
        return [column >= self._bound(window.start), column < self._bound(window.end)]

    def keys(self) -> Iterator[Any]:
        """The `_id` of every row there is, read in key order."""
        shape = TableShape(self._shape.source, tuple(self._shape.key_columns))
        key_reader = KeyReader(self._database, shape)
        yield from key_reader.ids()

    def believable(self) -> list[Condition]:
        """The conditions that all rows fulfil but those that wait for a time far ahead."""
        return []

    def deletion_version(self) -> Version:
        raise NotImplementedError

    def _changes(self, position: Position) -> Iterator[Batch]:
        raise NotImplementedError

    def _position_now(self) -> Position:
        raise NotImplementedError

    def _version_of(self, row: Sequence[Any]) -> Version:
        raise NotImplementedError

    def _batch(self, rows: Sequence[Sequence[Any]], position: Position, extracted_at: dt.datetime) -> Batch:
        records: list[Record] = []
        rejected: list[Rejected] = []
        for row in rows:
            converted = self._converter.convert(row)
            if isinstance(converted, Record):
                records.append(converted)
            else:
                rejected.append(converted)
        return Batch(records, rejected, position, extracted_at)

    def _pages(
        self, order: list[sa.ColumnClause[Any]], where: list[Condition], after: list[Any] | None
    ) -> Iterator[tuple[Sequence[Sequence[Any]], dt.datetime]]:
        indexes = [list(self._columns).index(column.name) for column in order]
        columns = [self._database.selected(column) for column in self._columns.values()]
        statement = sa.select(*columns).select_from(self._shape.clause)
        while True:
            conditions = [*where, *([self._beyond(order, after)] if after is not None else [])]
            extracted_at = _now()
            with self._database.connect() as connection:
                rows = connection.execute(
                    statement.where(*conditions).order_by(*order).limit(self._page_rows)
                ).fetchall()
            if rows:
                yield rows, extracted_at
            if len(rows) < self._page_rows:
                return
            after = [rows[-1][index] for index in indexes]

    def _beyond(self, order: list[sa.ColumnClause[Any]], after: Sequence[Any]) -> Condition:
        """`(a, b, c) > (x, y, z)`, spelt out because SQL Server has no row values.

        The first condition follows from the others; it is what lets the database start at the right place of the index.
        """
        pairs = zip(order, after, strict=True)
        bounds = [self._database.bound(self._columns[column.name], value) for column, value in pairs]
        alternatives = [
            sa.and_(
                *[column == bound for column, bound in zip(order[:n], bounds[:n], strict=True)], order[n] > bounds[n]
            )
            for n in range(len(order))
        ]
        return sa.and_(order[0] >= bounds[0], sa.or_(*alternatives))

    def _bound(self, moment: dt.date | dt.datetime) -> Any:
        """A date-time bound in the terms of the database: SQLite compares text, of which the shortest form is lowest."""
        if not isinstance(moment, dt.datetime):
            moment = dt.datetime.combine(moment, dt.time())
        if not self._database.is_sqlite:
            return moment
        return moment.isoformat(" ", "microseconds").rstrip("0").removesuffix(".").removesuffix(" 00:00:00")


class SnapshotReader(CaptureReader):
    """`snapshot`: the whole table each time; the version of a row is when the reading began."""

    mode = "snapshot"

    def __init__(self, database: LegacyDatabase, shape: TableShape) -> None:
        self._started = _now().isoformat(timespec="microseconds")
        super().__init__(database, shape)

    def deletion_version(self) -> Version:
        return self._started

    def _changes(self, position: Position) -> Iterator[Batch]:
        return self.read(None)

    def _position_now(self) -> Position:
        return {"snapshot": self._started}

    def _version_of(self, row: Sequence[Any]) -> Version:
        return self._started


class ModifiedAtReader(CaptureReader):
    """`modified_at`: rows by a date-time column, in order of (column, key).

    The bookmark is the highest value read, and reading goes on from it less `lag`, for writers that commit late or
    whose clocks differ. Values above the server's own clock less `margin` wait: one row dated 2099 must not carry the
    bookmark past everything that is still to come. A scan lands such a row all the same, but where its value is more
    than `HORIZON` ahead of the clock its version is the time of the scan: whatever comes after it is newer. Rows without
    a value are landed by scans only.
    """

    mode = "modified_at"
    HORIZON = dt.timedelta(days=1)

    def __init__(self, database: LegacyDatabase, shape: TableShape, capture: ModifiedAtCapture) -> None:
        self._capture = capture
        self._column: sa.ColumnClause[Any] = sa.column(capture.column)
        self._index = [column.name for column in shape.columns].index(capture.column)
        with database.connect() as connection:
            now = database.now(connection)
        self._now_text, self._horizon = local_text(now), now + self.HORIZON
        self._horizon_text = local_text(self._horizon)
        super().__init__(database, shape)

    def deletion_version(self) -> Version:
        with self._database.connect() as connection:
            return local_text(self._database.now(connection))

    def believable(self) -> list[Condition]:
        return [sa.or_(self._column < self._bound(self._horizon), self._column.is_(None))]

    def rows_without_value(self) -> int:
        """How many rows the column is empty in: their changes cannot be seen by this mode."""
        statement = sa.select(sa.func.count()).select_from(self._shape.clause).where(self._column.is_(None))
        with self._database.connect() as connection:
            return int(connection.execute(statement).scalar_one())

    def _position_now(self) -> Position:
        statement = sa.select(sa.func.max(self._column)).select_from(self._shape.clause)
        upper = self._upper()
        with self._database.connect() as connection:
            highest = connection.execute(statement.where(self._column < upper)).scalar_one()
        try:
            return {"modified_at": local_text(highest)}
        except DataError:  # there is none, or in SQLite a text that is no date-time
            return {"modified_at": "0001-01-02 00:00:00.0000000"}

    def _changes(self, position: Position) -> Iterator[Batch]:
        through = position["modified_at"]
        lower = self._lower(_parse(through))
        where = [self._column >= self._bound(lower), self._column < self._upper()]
        for rows, extracted_at in self._pages([self._column, *self._key], where, None):
            batch = self._batch(rows, {}, extracted_at)
            through = max(through, *(str(record.version) for record in batch.records)) if batch.records else through
            yield Batch(batch.records, batch.rejected, {"modified_at": through}, extracted_at)

    def _lower(self, through: dt.datetime) -> dt.datetime:
        """Where reading goes on: `lag` before the bookmark, and further by what the clocks were set back since.

        In that hour in autumn local times come twice, and the second time they are below the bookmark.
        """
        zone = self._database.zone
        then, now = through.replace(tzinfo=zone).utcoffset(), _now().astimezone(zone).utcoffset()
        set_back = max(then - now, dt.timedelta()) if then is not None and now is not None else dt.timedelta()
        return through - min(self._capture.lag + set_back, through - dt.datetime.min)

    def _upper(self) -> Any:
        with self._database.connect() as connection:
            return self._bound(self._database.now(connection) - self._capture.margin)

    def _version_of(self, row: Sequence[Any]) -> Version:
        value = row[self._index]
        version = "" if value is None else local_text(value)
        return version if version < self._horizon_text else self._now_text


class RowversionReader(CaptureReader):
    """`rowversion`: rows by a rowversion column, below the lowest version that an open transaction may still write.

    Source: Microsoft, "MIN_ACTIVE_ROWVERSION (Transact-SQL)", which also says why @@DBTS would lose rows. SQLite has
    one writer at a time, so there nothing is open beside what is committed.
    """

    mode = "rowversion"

    def __init__(self, database: LegacyDatabase, shape: TableShape, capture: RowversionCapture) -> None:
        self._column: sa.ColumnClause[Any] = sa.column(capture.column)
        self._index = [column.name for column in shape.columns].index(capture.column)
        super().__init__(database, shape)

    def deletion_version(self) -> Version:
        return self._lowest_active()

    def _position_now(self) -> Position:
        return {"rowversion": self._lowest_active()}

    def _changes(self, position: Position) -> Iterator[Batch]:
        lower = bytes(position["rowversion"])
        taken = self._lowest_active()
        where = [self._column >= self._binary(lower), self._column < self._binary(taken)]
        reached = lower
        for rows, extracted_at in self._pages([self._column, *self._key], where, None):
            reached = max(reached, bytes(rows[-1][self._index]))
            yield self._batch(rows, {"rowversion": reached}, extracted_at)
        yield Batch([], [], {"rowversion": max(taken, lower)}, _now())

    def _lowest_active(self) -> bytes:
        with self._database.connect() as connection:
            if not self._database.is_sqlite:
                lowest = connection.execute(sa.text("SELECT MIN_ACTIVE_ROWVERSION()")).scalar_one()
                if lowest is None:
                    raise ConfigurationError(
                        f"system {self._shape.source.system}: this server cannot say which rowversions are still to come; a "
                        "read-only replica cannot. Point its connection at the primary, or use another capture mode."
                    )
                return bytes(lowest)
            highest = connection.execute(
                sa.select(sa.func.max(self._column)).select_from(self._shape.clause)
            ).scalar_one()
        return (int.from_bytes(highest or b"") + 1).to_bytes(8)

    def _binary(self, value: bytes) -> Any:
        bound = sa.literal(value, sa.LargeBinary)
        return bound if self._database.is_sqlite else sa.cast(bound, sa.BINARY(8))

    def _version_of(self, row: Sequence[Any]) -> Version:
        value = row[self._index]
        return b"" if value is None else bytes(value)


class KeyReader(CaptureReader):
    """Reads nothing but keys, for finding deleted rows."""

    mode = "keys"

    def ids(self) -> Iterator[Any]:
        for rows, extracted_at in self._pages(self._key, [], None):
            for record in self._batch(rows, {}, extracted_at).records:
                yield record.key

    def _version_of(self, row: Sequence[Any]) -> Version:
        return 0


def _parse(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text[:26])


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
