"""Landing one source: read, write, and only then move the bookmark or delete the messages."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pymongo.collection import Collection

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.landing.bookmarks import Bookmark, shown
from sv_assets.landing.documents import Origin, tombstone
from sv_assets.landing.reconcile import MissingKeys
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Document, Store, bulk_write, explained_mongo_errors, in_batches
from sv_assets.progress import Progress
from sv_assets.sources.capture import CaptureReader, ModifiedAtReader, open_reader
from sv_assets.sources.database import LegacyDatabase, TableShape, count_rows, describe, open_database
from sv_assets.sources.messages import convert_message
from sv_assets.sources.queue import Queue
from sv_assets.sources.records import Batch, Record, Rejected, Window
from sv_assets.write_behind import write_behind

log = logging.getLogger(__name__)
MESSAGES_A_BATCH = 500


@dataclass
class LandingReport:
    """What one landing run did. `deletes_refused` rows are gone from the source, but too many to believe it."""

    source_key: str
    outcome: Outcome = field(default_factory=Outcome)
    bookmark_before: str = ""
    bookmark_after: str = ""
    scanned: bool = False
    """True if the whole table was read, not only what is new."""
    deletes_refused: int = 0
    rows_without_value: int = 0
    undeleted_messages: int = 0
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
    """Land what is new in a table: from the bookmark, from the start (`full`), or the days of `window`.

    A window moves no bookmark. Deleted rows are looked for after reading, unless a window was asked for. Raises
    ConfigurationError for a declaration that does not fit the table, TransientError where a server is away.
    """
    started = time.monotonic()
    report = LandingReport(source.key)
    database = open_database(source.sql_system)
    try:
        with explained_mongo_errors():
            shape = describe(database, source)
            report.columns = [(column.name, column.type_name) for column in shape.columns]
            reader = open_reader(database, shape)
            writer = LandingWriter(store, catalogue, source, run_id)
            bookmark = Bookmark(store, source.key, reader.mode)
            position = bookmark.read()
            report.bookmark_before = shown(position)
            report.scanned = window is None and (full or position is None or "scan_after" in position)
            batches = reader.read_window(window) if window else reader.read(None if full else position)
            progress = Progress(f"landing {source.key}", "rows")

            def write(batch: Batch) -> None:
                writer.write(batch, report.outcome)
                if batch.position:
                    bookmark.move(batch.position, run_id)
                progress.advance(batch.read)

            write_behind(batches, write)
            if window is None:
                _land_deletes(writer, database, shape, reader, report, full=full, allow_deletes=allow_deletes)
            if isinstance(reader, ModifiedAtReader):
                report.rows_without_value = reader.rows_without_value()
            report.bookmark_after = shown(bookmark.read())
    finally:
        database.close()
    report.seconds = time.monotonic() - started
    return report


def land_queue(
    store: Store,
    catalogue: Catalogue,
    source: Source,
    run_id: str,
    *,
    stop_after: float = 600.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> LandingReport:
    """Drain a queue: receive, land, and only then delete, until it is empty or `stop_after` seconds have passed."""
    started = time.monotonic()
    report = LandingReport(source.key)
    queue = Queue(source)
    with explained_mongo_errors():
        writer = LandingWriter(store, catalogue, source, run_id)
        bookmark = Bookmark(store, source.key, "queue")
        progress = Progress(f"landing {source.key}", "messages")
        while time.monotonic() - started < stop_after and not should_stop():
            messages = queue.receive(MESSAGES_A_BATCH)
            if not messages:
                break
            receipts = [message.receipt for message in messages]
            try:
                writer.write(_message_batch(source, ((m.receipt.message_id, m.body) for m in messages)), report.outcome)
            except BaseException:
                queue.release(receipts)
                raise
            # A message that had landed before is not written again. This write is acknowledged by a majority only
            # after everything that the server had then, so what is deleted next cannot be rolled back with it.
            bookmark.move({"received": report.outcome.read}, run_id)
            report.undeleted_messages += queue.delete(receipts)
            progress.advance(len(messages))
    report.bookmark_before = report.bookmark_after = "none (a queue)"
    report.seconds = time.monotonic() - started
    return report


def _message_batch(source: Source, messages: Iterator[tuple[str, str]]) -> Batch:
    extracted_at = dt.datetime.now(dt.timezone.utc)
    records: list[Record] = []
    rejected: list[Rejected] = []
    for message_id, body in messages:
        converted = convert_message(source.queue, message_id, body)
        if isinstance(converted, Rejected):
            rejected.append(converted)
        else:
            records.append(converted)
    return Batch(records, rejected, {}, extracted_at)


def _land_deletes(
    writer: LandingWriter,
    database: LegacyDatabase,
    shape: TableShape,
    reader: CaptureReader,
    report: LandingReport,
    *,
    full: bool,
    allow_deletes: bool,
) -> None:
    """Tombstones for landed rows that the source has no more: looked for where more rows have landed than it has.

    Rows that never landed can hide as many deleted ones from this count, so a full run looks in any case.
    """
    source = shape.source
    if source.table.deletes == "ignore":
        return
    live = live_count(writer.collection)
    in_source = count_rows(database, shape, reader.believable())
    if not full and live + writer.quarantine.count() <= in_source:
        return
    version = reader.deletion_version()
    origin = Origin(source, writer.run_id, dt.datetime.now(dt.timezone.utc))
    landed = (d["_id"] for d in writer.collection.find({}, {"_sv.deleted": 1}) if not d["_sv"]["deleted"])
    with MissingKeys(landed, reader.keys(), live) as missing:
        gone = sum(1 for _ in missing)
        if gone > live * source.table.max_delete_share and not allow_deletes:
            report.deletes_refused = gone
            log.warning("%s: %d of %d landed rows are gone from the source; none was deleted", source.key, gone, live)
            return
        for keys in in_batches(missing):
            _, deleted = bulk_write(writer.collection, [tombstone(origin, key, version) for key in keys])
            report.outcome.deleted += deleted


def live_count(collection: Collection[Document]) -> int:
    """How many landed rows are not tombstones."""
    return collection.count_documents({}) - collection.count_documents({"_sv.deleted": True})
