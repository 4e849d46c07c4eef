"""Landing a queue: receive, keep whole, land, and only then delete. And landing days of its archive again."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.errors import TransientError
from sv_assets.landing.archive import Archive
from sv_assets.landing.bookmarks import Bookmark
from sv_assets.landing.land import LandingReport, count_landing
from sv_assets.landing.skip import why_not_now
from sv_assets.landing.writer import LandingWriter, Outcome
from sv_assets.mongo import Store, explained_mongo_errors, in_bounded_batches
from sv_assets.progress import Progress
from sv_assets.sources.messages import Message, Opened, PayloadStore
from sv_assets.sources.messages.open import open_message
from sv_assets.sources.messages.payloads import S3Payloads
from sv_assets.sources.messages.schema import schemas_of
from sv_assets.sources.records import Batch, Findings, Record, Rejected, Window
from sv_assets.sources.sqs.queue import Queue
from sv_assets.sources.sqs.receive import Bounds, Receiver, Tally
from sv_assets.stopping import asked_to_stop
from sv_assets.write_behind import tuned_interpreter

log = logging.getLogger(__name__)
PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds between attempts to write while MongoDB is away; each attempt itself waits 10 s for a server."""
NO_BOOKMARK = "none (a queue)"


def land_queue(
    store: Store,
    catalogue: Catalogue,
    source: Source,
    run_id: str,
    *,
    bounds: Bounds | None = None,
    report: LandingReport | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> LandingReport:
    """Drain a queue until it is empty or a bound is reached.

    A message is deleted only after it stands in the archive, and its record in landing or itself in quarantine,
    acknowledged by a majority. While MongoDB is away, the run waits with what it holds, then leaves it in the queue and
    raises TransientError. On SIGTERM, what has landed is deleted and the rest given back. `report`, if given, also says
    what a run did that ends with an error. Raises ConfigurationError where the queue is not there, or not in the declared
    account and region. In the quiet hours of its system it is left alone.
    """
    started = time.monotonic()
    report = report or LandingReport(source.key)
    report.bookmark_before = report.bookmark_after = NO_BOOKMARK
    report.stopped = why_not_now(source)
    if report.stopped:
        return report
    bounds = bounds or Bounds()
    schemas_of(source.queue)  # raises for one that cannot be used
    queue = Queue(source, connections=(bounds.receivers or source.queue.receivers) + 4)
    queue.check_place()
    payloads = payloads_of(source)
    progress = Progress(f"landing {source.key}", "messages")
    with explained_mongo_errors(), asked_to_stop() as stop, tuned_interpreter():
        archive = Archive(store, source)
        archive.prepare()
        bookmark = Bookmark(store, source.key, "queue", [source.queue.key, source.queue.version])
        bookmark.read()  # raises where other paths were declared before
        landing = _Landing(LandingWriter(store, catalogue, source, run_id), archive, bookmark)

        def open_once_more_if_known(message: Message) -> Opened:
            """A message that comes again may point to a payload that was deleted when it landed: the archive has it."""
            opened = open_message(source.queue, message, payloads)
            if payloads is None or isinstance(opened.content, Record) or opened.message.payload is not None:
                return opened
            with explained_mongo_errors():
                known = archive.message(message.message_id)
            return open_message(source.queue, known, payloads) if known and known.payload is not None else opened

        def is_to_stop() -> bool:
            return stop() or should_stop() or bool(why_not_now(source))

        receiver = Receiver(queue, open_once_more_if_known, bounds, payloads=payloads, should_stop=is_to_stop)
        to_the_end = False
        try:
            with receiver:
                for deliveries in receiver.batches():
                    opened = [delivery.opened for delivery in deliveries]
                    if not _patiently(partial(landing.land, opened), source, is_to_stop):
                        break
                    receiver.landed(deliveries)
                    progress.advance(len(deliveries))
            to_the_end = not receiver.stopped
        finally:
            report.outcome, report.days = landing.outcome, landing.days
            report.stopped = why_not_now(source) or receiver.stopped
            report.undeleted_messages = receiver.tally.undeleted
            report.findings = _findings(queue, receiver.tally, sum(landing.days.values()))
            report.seconds = time.monotonic() - started
            count_landing(store, report, to_the_end=to_the_end)
    return report


def replay_queue(store: Store, catalogue: Catalogue, source: Source, run_id: str, window: Window) -> LandingReport:
    """Land again what was sent in a window of time, out of the archive, as the present declaration understands it.

    Changes nothing where nothing has changed: newer versions that have landed stay. What is rejected now goes to
    quarantine, and what no longer is leaves it.
    """
    started = time.monotonic()
    report = LandingReport(source.key, bookmark_before=NO_BOOKMARK, bookmark_after=NO_BOOKMARK)
    with explained_mongo_errors(), tuned_interpreter():
        archive = Archive(store, source)
        writer = LandingWriter(store, catalogue, source, run_id)
        progress = Progress(f"landing {source.key} from its archive", "messages", archive.count(window))
        payloads = payloads_of(source)
        for messages in in_bounded_batches(archive.read(window), lambda message: message.memory):
            land_again(writer, messages, payloads, report.outcome)
            progress.advance(len(messages))
    report.seconds = time.monotonic() - started
    count_landing(store, report, to_the_end=False)
    return report


def payloads_of(source: Source) -> S3Payloads | None:
    """Where the bodies of a queue lie that are too large for SQS; None where it declares none."""
    return S3Payloads(source.sqs_system, source.queue.payloads) if source.queue.payloads else None


def land_again(
    writer: LandingWriter, messages: Iterable[Message], payloads: PayloadStore | None, outcome: Outcome
) -> None:
    """Land messages that were received before, and add to `outcome`."""
    _write(writer, [open_message(writer.source.queue, message, payloads) for message in messages], outcome)


def _write(writer: LandingWriter, opened: Sequence[Opened], outcome: Outcome) -> None:
    """Landing and quarantine; the entries of messages that land are closed."""
    records = [o.content for o in opened if isinstance(o.content, Record)]
    rejected = [o.content for o in opened if isinstance(o.content, Rejected)]
    batch = Batch(records, rejected, {}, dt.datetime.now(dt.timezone.utc))
    refused = {item.key_text for item in writer.write(batch, outcome)}
    writer.quarantine.resolve({f"message {o.message.message_id}" for o in opened} - refused)


@dataclass
class _Landing:
    """Where the messages of one run go, and what became of them."""

    writer: LandingWriter
    archive: Archive
    bookmark: Bookmark
    outcome: Outcome = field(default_factory=Outcome)
    days: dict[str, int] = field(default_factory=dict)
    """By day, how many messages were new to the archive."""

    def land(self, opened: Sequence[Opened]) -> None:
        """Archive, then landing and quarantine. All of it is acknowledged by a majority when this returns; where it
        raises, nothing is counted as landed, and the same may be landed again."""
        now = dt.datetime.now(dt.timezone.utc)
        suppression = self.writer.suppression
        kept = suppression.open_messages(opened)
        asked = suppression.revision
        for day, count in self.archive.put(kept, now, self.writer.run_id).items():
            self.days[day] = self.days.get(day, 0) + count
        outcome = replace(self.outcome)
        _write(self.writer, opened, outcome)
        if suppression.changed_since(asked):  # somebody was erased meanwhile
            still = {one.message.message_id: one for one in suppression.open_messages(kept)}
            changed = [one for one in kept if still.get(one.message.message_id) != one]
            self.archive.remove([one.message.message_id for one in changed])
            self.archive.put(
                [still[i] for one in changed if (i := one.message.message_id) in still], now, self.writer.run_id
            )
        # A message that had landed before is not written again. This write is acknowledged by a majority only after
        # everything that the server had then, so what is deleted next cannot be rolled back with it.
        self.bookmark.move({"received": outcome.read}, self.writer.run_id)
        self.outcome = outcome


def _patiently(land: Callable[[], None], source: Source, should_stop: Callable[[], bool]) -> bool:
    """Land, again and again while MongoDB is away; every attempt writes the same. False where it was told to stop
    meanwhile; raises TransientError where MongoDB stays away."""
    for pause in (*PAUSES, None):
        try:
            with explained_mongo_errors():
                land()
            return True
        except TransientError as error:
            if pause is None:
                raise
            log.warning("%s: %s What was received is kept; trying again in %d s.", source.key, error, pause)
            _wait(pause, should_stop)
            if should_stop():
                return False
    raise AssertionError("the last attempt returns or raises")


def _wait(seconds: float, should_stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not should_stop():
        time.sleep(0.1)


def _findings(queue: Queue, tally: Tally, archived: int) -> Findings:
    """What receiving showed of the queue, without a word of what its messages say."""
    figures: dict[str, int | float | str] = {
        "messages_deleted": tally.deleted,
        "messages_given_back": tally.given_back,
        "messages_left_for_later": tally.deferred,
        "messages_archived": archived,
        "messages_not_deleted": tally.undeleted,
        "most_receives_of_a_message": tally.most_receives,
    }
    if tally.received:
        figures["oldest_message_seconds"] = round(max(0.0, time.time() - tally.oldest_sent), 1)
    if tally.payloads_left:
        figures["payloads_left_in_s3"] = tally.payloads_left
    warnings: list[str] = []
    if tally.near_dead_letters and queue.redrive:
        warnings.append(
            f"{tally.near_dead_letters:,} messages had been received {tally.most_receives} times at most, and SQS moves a "
            f"message to {queue.redrive.dead_letters} after {queue.redrive.limit}. Look at the failures of the runs before "
            "this one: what cannot be landed at all goes to quarantine at once, so something was away for long."
        )
    return Findings(figures, warnings)
