"""`snapshot`: the whole table each time."""

from collections.abc import Iterator

from sv_assets.sources.capture.pages import Row
from sv_assets.sources.capture.reader import CaptureReader, now
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.records import Batch, Position, Version
from sv_assets.sources.table import TableShape


class SnapshotReader(CaptureReader):
    """Reads everything in key order; the version of a row is when the reading began."""

    mode = "snapshot"

    def __init__(self, database: LegacyDatabase, shape: TableShape) -> None:
        self._started = now().isoformat(timespec="microseconds")
        super().__init__(database, shape)

    def deletion_version(self) -> Version:
        return self._started

    def _changes(self, position: Position) -> Iterator[Batch]:
        return self._scan(None)

    def _position_now(self) -> Position:
        return {"snapshot": self._started}

    def _version_of(self, row: Row) -> Version:
        return self._started
