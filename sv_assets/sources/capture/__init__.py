"""The capture modes: how new, changed and deleted rows of a legacy table are found.

Every mode starts with a scan in key order, after it has taken the position from which it will go on: so no change
between scan and first incremental read is lost. What is read twice on the way does no harm, because landing keeps the
newest version of a row whatever is repeated.
"""

from sv_assets.catalogue.capture import (
    ChangeTrackingCapture,
    ModifiedAtCapture,
    RowversionCapture,
    SnapshotCapture,
)
from sv_assets.sources.capture.cdc import CdcReader
from sv_assets.sources.capture.change_tracking import ChangeTrackingReader
from sv_assets.sources.capture.modified_at import ModifiedAtReader
from sv_assets.sources.capture.reader import CaptureReader
from sv_assets.sources.capture.rowversion import RowversionReader
from sv_assets.sources.capture.snapshot import SnapshotReader
from sv_assets.sources.database import LegacyDatabase
from sv_assets.sources.table import TableShape

__all__ = ["CaptureReader", "open_reader"]


def open_reader(database: LegacyDatabase, shape: TableShape) -> CaptureReader:
    """The reader for the declared capture mode. Raises ConfigurationError where the database is not set up for it."""
    capture = shape.source.table.capture
    if isinstance(capture, SnapshotCapture):
        return SnapshotReader(database, shape)
    if isinstance(capture, ModifiedAtCapture):
        return ModifiedAtReader(database, shape, capture)
    if isinstance(capture, RowversionCapture):
        return RowversionReader(database, shape, capture)
    if isinstance(capture, ChangeTrackingCapture):
        return ChangeTrackingReader(database, shape)
    return CdcReader(database, shape, capture)
