"""Quarantined messages are opened again, as the present declaration understands them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError, DataError
from sv_assets.landing.land_queue import land_again, payloads_of
from sv_assets.landing.quarantine import Chosen, entries
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Document, Store, explained_mongo_errors, in_bounded_batches
from sv_assets.sources.messages import Message, PayloadStore, message_of, open_message
from sv_assets.sources.records import Rejected

BATCH_MESSAGES = 500


@dataclass
class RetryReport:
    """What a retry did, or would do, to the entries of one queue."""

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
    """Land the chosen open entries of a queue that can land now; the others stay, with the reason of today.

    Newest wins, as ever: a newer version that has landed stays. A body that lies in S3 is read from there, and stays
    there. Raises ConfigurationError for a table, and TransientError where S3 or MongoDB is away.
    """
    if not source.is_queue:
        raise ConfigurationError(
            f"{source.key} is a table: its rows are read again and not retried. Mend them at the source, in {source.system}; "
            "the next run lands them and closes their entries."
        )
    report = RetryReport(source.key)
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
