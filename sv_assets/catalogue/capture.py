"""How a table is captured: which rows are new, and the partitions it can be read again by."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from sv_assets.catalogue.entry import Duration, Entry


class SnapshotCapture(Entry):
    """Full read in key order each time; unchanged rows are skipped by content hash."""

    mode: Literal["snapshot"]


class ModifiedAtCapture(Entry):
    """New and changed rows by a date-time column, from the bookmark less `lag` up to the server's clock less `margin`."""

    mode: Literal["modified_at"]
    column: str
    lag: Duration = dt.timedelta(minutes=5)
    margin: Duration = dt.timedelta(seconds=1)


class RowversionCapture(Entry):
    """New and changed rows by a rowversion column, below the lowest version of a transaction still open.

    `stuck_after`: a check warns when a transaction has held rows of this table back for as long.
    """

    mode: Literal["rowversion"]
    column: str
    stuck_after: Duration = dt.timedelta(minutes=15)


class ChangeTrackingCapture(Entry):
    """New, changed and deleted rows by SQL Server's change tracking, in a SNAPSHOT transaction."""

    mode: Literal["change_tracking"]


class CdcCapture(Entry):
    """Every change by SQL Server's change data capture. `instance`: the capture instance, if not found by the table."""

    mode: Literal["cdc"]
    instance: str | None = None


Capture = Annotated[
    SnapshotCapture | ModifiedAtCapture | RowversionCapture | ChangeTrackingCapture | CdcCapture,
    Field(discriminator="mode"),
]


class Partitions(Entry):
    """Daily or hourly partitions, for backfills by date range, in the system's time zone.

    By a date-time column of the table (default: the capture column). A table captured by `cdc` needs none: its
    partitions are then the times at which its changes were committed.
    """

    by: Literal["day", "hour"]
    start: dt.date
    column: str | None = None
