"""Landing one table: read, write, and only then move the bookmark."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from pymongo.errors import PyMongoError

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.errors import ClosedError
from sv_assets.landing.bookmarks import Bookmark, shown
from sv_assets.landing.figures import add_figures
from sv_assets.landing.reconcile import compare
from sv_assets.landing.shapes import look, shape_of
from sv_assets.landing.skip import why_not_now
from sv_assets.landing.writer import LandingWriter, Outcome, Prepared
from sv_assets.mongo import Store, explained_mongo_errors
from sv_assets.progress import Progress
from sv_assets.sources.capture import CaptureReader, open_reader
from sv_assets.sources.database import open_database
from sv_assets.sources.records import Batch, Findings, Position, Window
from sv_assets.sources.table import describe
from sv_assets.write_behind import write_behind

log = logging.getLogger(__name__)


@dataclass
class LandingReport:
    """What one landing run did. `deletes_refused` rows are gone from the source, but too many to believe it."""

    source_key: str
    outcome: Outcome = field(default_factory=Outcome)
    bookmark_before: str = ""
    bookmark_after: str = ""
    scanned: bool = False
    """True if the whole table was read, not only what is new."""
    stopped: str = ""
    """Why reading did not begin, or did not come to its end; what is left is for the next run."""
    findings: Findings = field(default_factory=Findings)
    deletes_refused: int = 0
    undeleted_messages: int = 0
    days: dict[str, int] = field(default_factory=dict)
    """Of a queue: by day, how many messages are new in its archive."""
    seconds: float = 0.0
    columns: list[tuple[str, str]] = field(default_factory=list)


def land_table(
    store: Store,
    catalogue: Catalogue,
    source: Source,
    run_id: str,
    *,
    full: bool = False,
    window: Window | None = None,
    allow_deletes: bool = False,
) -> LandingReport:
    """Land what is new in a table: from the bookmark, from the start (`full`), or what belongs to `window`.

    A window moves no bookmark. Rows that a completed read of the whole table did not find get tombstones, where the
    capture mode promises that (`snapshot`, `change_tracking`, `cdc`). Raises ConfigurationError for a declaration that
    does not fit the table, TransientError where a server is away, ClosedError for a window at a time (or that lasts into
    one) at which its system may not be read: no bookmark would tell the next run what is left of it.
    """
    started = time.monotonic()
    report = LandingReport(source.key, stopped=why_not_now(source))
    if report.stopped:
        _refuse_window(window, report)
        return report
    database = open_database(source.sql_system, source)
    to_the_end = False
    try:
        with explained_mongo_errors():
            bookmark = Bookmark(store, source.key, source.table.capture.mode, source.table.key)
            position = bookmark.read()
            known = shape_of(store, source)
            landed_before = position is not None and not full
            shape = describe(database, source, landed_before=landed_before, seen=known.agreed if known else ())
            report.columns = [(column.name, column.declaration) for column in shape.columns]
            look(store, source, report.columns, shape.found.unique_keys if shape.found else None)
            reader = open_reader(database, shape)
            writer = LandingWriter(store, catalogue, source, run_id, goes_on=position is not None)
            report.bookmark_before = shown(position)
            batches = _read(reader, None if full else position, window, report)
            progress = Progress(f"landing {source.key}", "rows")

            def send(prepared: Prepared) -> None:
                writer.send(prepared, report.outcome)
                if prepared.position:
                    bookmark.move(prepared.position, run_id)
                progress.advance(prepared.read)

            write_behind(map(writer.prepare, batches), send)
            _refuse_window(window, report)
            report.scanned = reader.scanned
            if window is None and not report.stopped and _tells_deletes(source, reader):
                found = compare(
                    store, database, shape, reader, run_id,
                    compare_all=full or reader.sees_deletes, allow_deletes=allow_deletes,
                )  # fmt: skip
                report.outcome.deleted += found.deleted
                report.deletes_refused = found.refused
            report.findings = reader.findings()
            report.bookmark_after = shown(bookmark.read())
            to_the_end = window is None and not report.stopped
    finally:
        database.close()
        report.seconds = time.monotonic() - started
        count_landing(store, report, to_the_end=to_the_end)
    return report


def count_landing(store: Store, report: LandingReport, *, to_the_end: bool) -> None:
    """Add to the counters of the source, unless it could not even be read. Where MongoDB is away they are not worth another
    error."""
    if not to_the_end and not report.outcome.read:
        return
    try:
        add_figures(store, report.source_key, report.outcome, report.seconds, to_the_end=to_the_end)
    except PyMongoError as error:
        log.warning("%s: this landing could not be counted (%s)", report.source_key, type(error).__name__)


def _read(
    reader: CaptureReader, position: Position | None, window: Window | None, report: LandingReport
) -> Iterator[Batch]:
    """The batches to land, until the times end in which the system may be read."""
    for batch in reader.read_window(window) if window else reader.read(position):
        yield batch
        report.stopped = why_not_now(reader.source)
        if report.stopped:
            return


def _refuse_window(window: Window | None, report: LandingReport) -> None:
    if window and report.stopped:
        raise ClosedError(f"{report.source_key}: {report.stopped} Launch the backfill again then.")


def _tells_deletes(source: Source, reader: CaptureReader) -> bool:
    """Whether this read went over the whole table in a mode that has no reconciliation of its own."""
    by_itself = reader.sees_deletes or source.table.capture.mode == "snapshot"
    return by_itself and reader.scanned and source.table.deletes == "reconcile"
