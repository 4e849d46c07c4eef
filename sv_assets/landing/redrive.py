"""Dead letters: looked at where they lie, and moved back to the queue that gave them up.

SQS shows a message only by giving it out, so that a look counts as a receive of the dead letter; it is given back at the
end, and no later than `HOLD_SECONDS` after a kill. Of a FIFO queue it gives out nothing behind what of a group it has given
out already: a look shows the first of each group (ten at most, and fewer where groups are mixed), and moving reaches the
rest as those before them go.
"""

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from types import TracebackType
from typing import Self

from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError, SvError, TransientError
from sv_assets.landing.land_queue import payloads_of
from sv_assets.mongo import in_batches
from sv_assets.sources.messages import Message
from sv_assets.sources.messages.convert import is_unicode
from sv_assets.sources.messages.open import open_message
from sv_assets.sources.records import Rejected
from sv_assets.sources.sqs.queue import SQS_BATCH, Queue, Received
from sv_assets.stopping import asked_to_stop

log = logging.getLogger(__name__)
HOLD_SECONDS = 300
"""How long SQS keeps from others what we have looked at, if we do not give it back."""
MAX_REPEATS = 10
"""After so many receives in a row that brought only what we hold already, nothing new is expected."""
MAX_REQUEST_BYTES = 1024**2
"""How much the messages of one request may hold (Amazon SQS, SendMessageBatch)."""
DELETE_ATTEMPTS = 5
ONCE = "redrive"
"""A dead letter of a FIFO queue that is moved twice within five minutes, because nobody could delete it in between, is the
same message to SQS: it has the same de-duplication id."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was received too often. `reason` says why it would not land now; it is empty where it would."""

    received: Received
    event: str | None
    reason: str

    @property
    def message(self) -> Message:
        return self.received.message


@dataclass(frozen=True)
class Wanted:
    """Which dead letters to move: those that meet every condition. Times are by the clock of SQS, from inclusive."""

    messages: frozenset[str] = frozenset()
    event: str | None = None
    sent_after: dt.datetime | None = None
    sent_before: dt.datetime | None = None
    only_landable: bool = False

    @property
    def looks_inside(self) -> bool:
        """Whether messages must be opened to tell."""
        return self.only_landable or self.event is not None

    def is_met_outside(self, message: Message) -> bool:
        """By what stands on the message."""
        return (
            (not self.messages or message.message_id in self.messages)
            and (self.sent_after is None or message.sent_at >= self.sent_after)
            and (self.sent_before is None or message.sent_at < self.sent_before)
        )

    def is_met_inside(self, letter: DeadLetter) -> bool:
        """By what the message says."""
        return (self.event is None or letter.event == self.event) and not (self.only_landable and letter.reason)


@dataclass
class RedriveReport:
    """What a redrive did, or would do. `refused`: SQS did not take them, or one before them in their group."""

    source_key: str
    dead_letters: str
    """The name of the dead-letter queue."""
    there: int = 0
    """How many dead letters there were, as SQS approximates it."""
    seen: int = 0
    matched: int = 0
    moved: int = 0
    refused: int = 0
    undeleted: int = 0
    """Moved, but SQS would not delete them: they are moved again next time, and change nothing."""
    landable: int = 0
    """Of those that matched and were opened, how many would land now."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the others would not."""
    stopped: str = ""
    """Why not all dead letters were looked at."""

    @property
    def unseen(self) -> int:
        """How many were not looked at: of a FIFO queue, those behind others of their group that stay."""
        return max(0, self.there - self.seen)


class DeadLetters:
    """The dead letters of a queue, which come into our hands batch by batch; a context manager that gives them back.

    Raises ConfigurationError where the queue has no dead-letter queue, or one of the two is not there.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.queue = Queue(source)
        self.queue.check_place()
        self.dead = Queue(source, dead_letters_of(self.queue))
        self.stopped = ""
        self._payloads = payloads_of(source)
        self._held: dict[str, Received] = {}
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()

    def batches(self) -> Iterator[list[Received]]:
        """Each dead letter once, up to ten together. They stay in our hands until they are deleted or given back.

        A FIFO queue is gone through again while that shows more: what comes back at the head of a group may come with
        what lies behind it.
        """
        is_new = True
        while is_new and not self.stopped:
            is_new = False
            for batch in self._gone_through():
                is_new = True
                yield batch
            if not self.source.queue.is_fifo:
                return
            self._give_back()

    def opened(self, received: Received) -> DeadLetter:
        """A dead letter, as landing would understand it now."""
        try:
            opened = open_message(self.source.queue, received.message, self._payloads)
        except SvError as error:
            return DeadLetter(received, None, str(error))
        reason = opened.content.reason if isinstance(opened.content, Rejected) else ""
        return DeadLetter(received, opened.event, reason)

    def delete(self, messages: Sequence[Received]) -> int:
        """Delete up to ten. Returns how many SQS would not delete."""
        waiting, lost = list(messages), 0
        for attempt in range(DELETE_ATTEMPTS):
            try:
                again, expired = self.dead.delete(waiting)
            except TransientError as error:
                log.warning("%s: dead letters are not deleted yet: %s", self.source.key, error)
                again, expired = waiting, []
            lost += len(expired)
            gone = {m.message.message_id for m in waiting} - {m.message.message_id for m in [*again, *expired]}
            for message_id in gone:
                self._held.pop(message_id, None)
                self._seen.discard(message_id)
            if not again:
                return lost
            waiting = again
            time.sleep(0.1 * 2**attempt)
        return lost + len(waiting)

    def _gone_through(self) -> Iterator[list[Received]]:
        """What the queue gives out until it has nothing more, without what was seen before."""
        guard, repeats = self.source.queue.in_flight_guard, 0
        while repeats < MAX_REPEATS:
            if len(self._held) + SQS_BATCH > guard:
                self.stopped = f"{len(self._held):,} that stay are held, and SQS gives out little more"
                return
            batch = self.dead.receive(visibility=HOLD_SECONDS)
            if not batch:
                return
            repeats = repeats + 1 if all(m.message.message_id in self._held for m in batch) else 0
            new = [m for m in batch if m.message.message_id not in self._seen and self._is_ours(m)]
            for received in batch:
                self._hold(received)
            if new:
                yield new

    def _is_ours(self, received: Received) -> bool:
        """Whether this queue gave it up, and not another that shares its dead letters; so also where SQS does not say."""
        return received.given_up_by in (None, self.queue.name)

    def _hold(self, received: Received) -> None:
        """Remember how to give it back, and not what it says."""
        message = Message(received.message.message_id, "", received.message.sent_at)
        self._held[message.message_id] = replace(received, message=message)
        self._seen.add(message.message_id)

    def _give_back(self) -> None:
        for batch in in_batches([*self._held.values()], SQS_BATCH):
            try:
                self.dead.hide(batch, 0)
            except SvError as error:
                log.warning("%s: dead letters come back later: %s", self.source.key, error)
        self._held.clear()


def dead_letters_of(queue: Queue) -> str:
    """The name of the dead-letter queue: as declared, else as SQS says. Raises ConfigurationError where there is none."""
    declared = queue.source.queue.dead_letters or (queue.redrive.dead_letters if queue.redrive else None)
    if declared is None:
        raise ConfigurationError(
            f"{queue.source.key} has no dead-letter queue: SQS keeps its messages until they are too old. "
            "If there is one, declare it as `dead_letters` in its defs.yaml."
        )
    return declared


def look(source: Source, at_most: int) -> list[DeadLetter]:
    """Some dead letters, and whether each would land now. They stay where they are."""
    with DeadLetters(source) as letters:
        found = (letters.opened(received) for batch in letters.batches() for received in batch)
        return list(islice(found, at_most))


def redrive(
    source: Source,
    wanted: Wanted,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    advance: Callable[[RedriveReport], None] = lambda report: None,
) -> RedriveReport:
    """Move the wanted dead letters back to their queue: each is sent there, and only then deleted here.

    What ends in between comes twice, which landing takes. What becomes a dead letter anew meanwhile is left for the next
    time. A dry run opens those that it would move, and moves none. Raises TransientError where SQS was away in the middle,
    ConfigurationError where we may not send.
    """
    now = dt.datetime.now(dt.timezone.utc)
    wanted = replace(wanted, sent_before=min(wanted.sent_before or now, now))
    with DeadLetters(source) as letters, asked_to_stop() as stop:
        report = RedriveReport(source.key, letters.dead.name, there=letters.dead.depth().total)
        moving = _Moving(letters, report)
        try:
            for batch in letters.batches():
                report.seen += len(batch)
                matched = _matched(letters, batch, wanted, report, limit, opens=dry_run or wanted.looks_inside)
                if not dry_run:
                    moving.move(matched)
                advance(report)
                if report.matched in (limit, len(wanted.messages) or None):
                    return report
                if stop():
                    report.stopped = "it was asked to stop"
                    return report
        except TransientError as error:
            raise TransientError(
                f"{error} {report.moved:,} dead letters of {source.key} had been moved. Run the command again for the rest."
            ) from None
        report.stopped = letters.stopped
    return report


def _matched(
    letters: DeadLetters, batch: list[Received], wanted: Wanted, report: RedriveReport, limit: int | None, opens: bool
) -> list[Received]:
    """Those of a batch that are wanted, up to the limit, counted."""
    matched: list[Received] = []
    for received in batch:
        if report.matched == limit:
            break
        if not wanted.is_met_outside(received.message):
            continue
        if opens:
            letter = letters.opened(received)
            if not wanted.is_met_inside(letter):
                continue
            report.landable += not letter.reason
            if letter.reason:
                report.reasons[letter.reason] += 1
        report.matched += 1
        matched.append(received)
    return matched


@dataclass
class _Moving:
    """Dead letters on their way back. A group of a FIFO queue ends where one of it was refused."""

    letters: DeadLetters
    report: RedriveReport
    ended_groups: set[str] = field(default_factory=set)

    def move(self, messages: list[Received]) -> None:
        """Send and delete up to ten."""
        for request in _requests(messages, self.letters.source.queue.is_fifo):
            sendable = [m for m in request if _is_sendable(m.message) and m.message.group not in self.ended_groups]
            sent = self._sent(sendable) if sendable else []
            self.report.moved += len(sent)
            self.report.undeleted += self.letters.delete(sent) if sent else 0
            for left in (m for m in request if m not in sent):
                self.report.refused += 1
                if self.letters.source.queue.is_fifo and left.message.group is not None:
                    self.ended_groups.add(left.message.group)

    def _sent(self, messages: list[Received]) -> list[Received]:
        try:
            refused = {m.message.message_id for m in self.letters.queue.send(messages, ONCE)}
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{error} To move dead letters, our role needs sqs:SendMessage on {self.letters.queue.name}; "
                f"{self.report.moved:,} had been moved."
            ) from None
        return [m for m in messages if m.message.message_id not in refused]


def _requests(messages: list[Received], is_fifo: bool) -> Iterator[list[Received]]:
    """The messages in requests that SQS takes. Of a group of a FIFO queue one in each: SQS takes or refuses every message
    of a request for itself, and one that follows a refused one would overtake it."""
    while messages:
        request: list[Received] = []
        rest: list[Received] = []
        groups: set[str | None] = set()
        size = 0
        for received in messages:
            message = received.message
            fits = not request or size + _size(message) <= MAX_REQUEST_BYTES
            if fits and not (is_fifo and message.group in groups):
                request.append(received)
                size += _size(message)
            else:
                rest.append(received)
            groups.add(message.group)
        yield request
        messages = rest


def _is_sendable(message: Message) -> bool:
    """Whether SQS would take it as it is; one message that it cannot take would fail its whole request."""
    texts = [value for value in message.attributes.values() if isinstance(value, str)]
    return bool(message.body) and all(is_unicode(text) for text in [message.body, *texts])


def _size(message: Message) -> int:
    """The bytes that count towards the limit of a request: of the body, and of names, types and values of attributes."""
    attributes = sum(
        len(name.encode()) + len("Binary") + (len(value) if isinstance(value, bytes) else _bytes(value))
        for name, value in message.attributes.items()
    )
    return _bytes(message.body) + attributes


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
