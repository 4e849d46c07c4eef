"""`modified_at`: rows by a date-time column, in order of (column, key)."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from sv_assets.catalogue.capture import ModifiedAtCapture
from sv_assets.errors import DataError
from sv_assets.sources.capture.pages import Condition, Row
from sv_assets.sources.capture.reader import CaptureReader, now, parsed
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.records import Batch, Findings, Position, Version
from sv_assets.sources.table import TableShape
from sv_assets.sources.types import local_text

_BEGINNING = "0001-01-02 00:00:00.0000000"


class ModifiedAtReader(CaptureReader):
    """The bookmark is the highest value read, and reading goes on from it less `lag`, for writers that commit late or
    whose clocks differ.

    Values above the server's own clock less `margin` wait: one row dated 2099 must not carry the bookmark past
    everything that is still to come. A scan lands such a row all the same, but where its value is more than `HORIZON`
    ahead of the clock its version is the time of the scan: whatever comes after it is newer. Rows without a value are
    landed by scans only, and reported.
    """

    mode = "modified_at"
    HORIZON = dt.timedelta(days=1)

    def __init__(self, database: LegacyDatabase, shape: TableShape, capture: ModifiedAtCapture) -> None:
        self._capture = capture
        self._column = next(column for column in shape.columns if column.name == capture.column)
        self._clause: sa.ColumnClause[Any] = sa.column(capture.column)
        self._index = shape.columns.index(self._column)
        self._has_offset = self._column.type_name == "datetimeoffset"
        clock = database.now()
        self._horizon = clock + self.HORIZON
        # Versions and bookmarks of a column with offsets are UTC, those of any other the system's own time.
        in_version_time = clock.replace(tzinfo=database.zone).astimezone(dt.timezone.utc) if self._has_offset else clock
        in_version_time = in_version_time.replace(tzinfo=None)
        self._now_text = local_text(in_version_time)
        self._horizon_text = local_text(in_version_time + self.HORIZON)
        super().__init__(database, shape)

    def deletion_version(self) -> Version:
        return local_text(self._database.now())

    def believable(self) -> list[Condition]:
        return [sa.or_(self._clause < self._bound(self._column, self._horizon), self._clause.is_(None))]

    def findings(self) -> Findings:
        empty = self._database.scalar(
            sa.select(sa.func.count()).select_from(self._shape.clause).where(self._clause.is_(None))
        )
        column = self._capture.column
        warnings = [f"{empty:,} rows have no {column}: their changes are seen by full runs only."] if empty else []
        return Findings({"rows_without_capture_value": empty}, warnings)

    def _position_now(self) -> Position:
        return {"modified_at": self._highest() or _BEGINNING}

    def _news(self, position: Position) -> bool | None:
        if not self._is_entered_by(self._capture.column):
            return None
        # As texts to the last digit: bounds know microseconds, datetime2 more, and SQLite's texts may end in zeros.
        return self._highest() > str(position["modified_at"])

    def _highest(self) -> str:
        """The highest value up to now; empty where there is none, or in SQLite a text that is no date-time."""
        selected = sa.select(self._database.selected(self._column)).select_from(self._shape.clause)
        highest = selected.where(self._clause < self._upper()).order_by(self._clause.desc()).limit(1)
        found = self._database.read(lambda connection: connection.execute(highest).scalar())
        try:
            return local_text(found)
        except DataError:
            return ""

    def _changes(self, position: Position) -> Iterator[Batch]:
        through = position["modified_at"]
        lower = self._lower(parsed(through))
        if self._has_offset:
            lower = lower.replace(tzinfo=dt.timezone.utc)
        where = [self._clause >= self._bound(self._column, lower), self._clause < self._upper()]
        order = [self._capture.column, *(name for name in self._shape.source.table.key if name != self._capture.column)]
        for rows, extracted_at in self._pages(order, where).after(None):
            batch = self._batch(rows, {}, extracted_at)
            through = max(through, *(str(record.version) for record in batch.records)) if batch.records else through
            yield Batch(batch.records, batch.rejected, {"modified_at": through}, extracted_at)

    def _lower(self, through: dt.datetime) -> dt.datetime:
        """Where reading goes on: `lag` before the bookmark, and further by what the clocks were set back since.

        In that hour in autumn local times come twice, and the second time they are below the bookmark. Where values have
        an offset none comes twice.
        """
        if self._has_offset:
            return through - min(self._capture.lag, through - dt.datetime.min)
        zone = self._database.zone
        then, today = through.replace(tzinfo=zone).utcoffset(), now().astimezone(zone).utcoffset()
        set_back = max(then - today, dt.timedelta()) if then is not None and today is not None else dt.timedelta()
        return through - min(self._capture.lag + set_back, through - dt.datetime.min)

    def _upper(self) -> Any:
        return self._bound(self._column, self._database.now() - self._capture.margin)

    def _version_of(self, row: Row) -> Version:
        value = row[self._index]
        version = "" if value is None else local_text(value)
        return version if version < self._horizon_text else self._now_text
