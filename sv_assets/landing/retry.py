"""What is in quarantine gets another try: messages are opened again, and rows read again, as the declaration is now."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.errors import DataError, TransientError
from sv_assets.landing.land_queue import land_again, payloads_of
from sv_assets.landing.quarantine import Chosen, entries
from sv_assets.landing.skip import why_not_now
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Document, Store, explained_mongo_errors, in_batches, in_bounded_batches
from sv_assets.sources.capture import CaptureReader, open_reader
from sv_assets.sources.database import open_database
from sv_assets.sources.messages import Message, PayloadStore, message_of
from sv_assets.sources.messages.open import open_message
from sv_assets.sources.records import Rejected
from sv_assets.sources.table import describe

BATCH_MESSAGES = 500
BATCH_ROWS = 200
GONE = "the row is no longer in the source; what was read of it is kept here"
NO_KEY = "the row has no key by which it could be read again"


@dataclass
class RetryReport:
    """What a retry did, or would do, to the entries of one source."""

    source_key: str
    tried: int = 0
    landable: int = 0
    """Entries that are records now. They are resolved, whether or not a newer version had landed."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the others stay."""
    outlines: int = 0
    """Entries that do not hold their message, only its outline: they stay as they are, and the archive has the message."""
    outcome: Outcome = field(default_factory=Outcome)
    """What became of the records; `quarantined` ones were refused at the last moment, and have an entry anew."""


def retry_quarantined(
    store: Store,
    catalogue: Catalogue,
    source: Source,
    chosen: Chosen,
    run_id: str,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    advance: Callable[[RetryReport], None] = lambda report: None,
) -> RetryReport:
    """Land the chosen open entries of a source that can land now; the others stay, with the reason of today.

    Messages are opened again. The rows of a table are read again by their keys, for they may have been mended there: a row
    that is gone stays in quarantine, which alone still has it. Newest wins, as ever: a newer version that has landed
    stays. A body that lies in S3 is read from there, and stays there. Raises ConfigurationError for a declaration that
    does not fit the table, and TransientError where a server is away, or the system may not be read at this time.
    """
    report = RetryReport(source.key)
    if not source.is_queue:
        _retry_rows(store, catalogue, source, chosen, run_id, report, limit, dry_run, advance)
        return report
    payloads = payloads_of(source)
    with explained_mongo_errors():
        writer = None if dry_run else LandingWriter(store, catalogue, source, run_id)
        found = entries(store, replace(chosen, sources=(source.key,), status="open"), with_raw=True)
        for batch in in_bounded_batches(islice(found, limit), _bytes, BATCH_MESSAGES):
            messages, reasons = _opened(source, batch, payloads)
            if writer is not None:
                land_again(writer, messages, payloads, report.outcome)
                writer.quarantine.explain(reasons)
            report.tried += len(batch)
            report.landable += len(messages)
            report.reasons.update(reasons.values())
            report.outlines += len(batch) - len(messages) - len(reasons)
            advance(report)
    return report


def _retry_rows(
    store: Store,
    catalogue: Catalogue,
    source: Source,
    chosen: Chosen,
    run_id: str,
    report: RetryReport,
    limit: int | None,
    dry_run: bool,
    advance: Callable[[RetryReport], None],
) -> None:
    if reason := why_not_now(source):
        raise TransientError(reason)
    with closing(open_database(source.sql_system, source)) as database, explained_mongo_errors():
        reader = open_reader(database, describe(database, source))
        writer = None if dry_run else LandingWriter(store, catalogue, source, run_id, goes_on=True)
        found = entries(store, replace(chosen, sources=(source.key,), status="open"), with_raw=True)
        for batch in in_batches(islice(found, limit), BATCH_ROWS):
            reasons = _read_again(reader, batch, writer, report)
            if writer is not None:
                writer.quarantine.explain(reasons)
            report.tried += len(batch)
            report.reasons.update(reasons.values())
            advance(report)


def _read_again(
    reader: CaptureReader, batch: list[Document], writer: LandingWriter | None, report: RetryReport
) -> dict[str, str]:
    """Reads the rows of these entries and lands what can land; by entry, why the others stay."""
    keys = {entry["_id"]: _raw_key(reader.source, entry) for entry in batch}
    landable: set[str] = set()
    rejected: dict[str, str] = {}
    for rows in reader.read_rows(key for key in keys.values() if key is not None):
        landable.update(record.key_text for record in rows.records)
        rejected.update((item.key_text, item.reason) for item in rows.rejected)
        if writer is not None:
            clean = writer.suppression.clean(rows)  # somebody may have been erased since the entries were read
            writer.quarantine.put(clean.rejected, writer.run_id)  # as it is read now
            writer.send(writer.prepare(replace(rows, rejected=[])), report.outcome)
    reasons = {}
    for entry in batch:
        if keys[entry["_id"]] is None:
            reasons[entry["_id"]] = NO_KEY
        elif entry["key"] not in landable:
            reasons[entry["_id"]] = rejected.get(entry["key"], GONE)
    report.landable += len(batch) - len(reasons)
    return reasons


def _raw_key(source: Source, entry: Document) -> Sequence[object] | None:
    """The key of a quarantined row as the driver gave it; None where a part of it is missing."""
    parts = [entry["raw"].get(name) for name in source.table.key]
    if any(part is None for part in parts):
        return None
    return [part.replace(tzinfo=None) if isinstance(part, dt.datetime) else part for part in parts]


def _opened(
    source: Source, batch: list[Document], payloads: PayloadStore | None
) -> tuple[list[Message], dict[str, str]]:
    """The messages that are records now, with what S3 held of them; and why other entries are not, by their `_id`.

    Entries that do not hold their message are in neither.
    """
    messages: list[Message] = []
    reasons: dict[str, str] = {}
    for entry in batch:
        try:
            message = message_of(entry["raw"])
        except DataError:
            continue
        opened = open_message(source.queue, message, payloads)
        if isinstance(opened.content, Rejected):
            reasons[entry["_id"]] = opened.content.reason
        else:
            messages.append(opened.message)
    return messages, reasons


def _bytes(entry: Document) -> int:
    return sum(len(value) for value in entry["raw"].values() if isinstance(value, (str, bytes)))
