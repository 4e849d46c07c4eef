"""The receive loop: several receivers at once, and every message that they hold accounted for until it is deleted or given back.

What becomes of a received message:

- it is opened and handed over in a batch (`batches`); when the caller says that the batch has landed, it is deleted;
- where opening it fails in a way that passes, it stays hidden for a while, longer each time, and comes again;
- of a FIFO queue, those behind a message of their group that failed are given back, so that they keep their order;
- what is neither landed nor hidden when the loop ends is given back at once.

A process that is killed gives nothing back: its messages come again when their visibility time is over.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from sv_assets.errors import SvError, TransientError
from sv_assets.mongo import in_batches
from sv_assets.sources.messages import Message, Opened, PayloadStore
from sv_assets.sources.records import Rejected
from sv_assets.sources.sqs.queue import LONGEST_HOLD, SQS_BATCH, Queue, Received

log = logging.getLogger(__name__)
BATCH_MESSAGES = 1000
BATCH_BYTES = 16 * 1024**2
LINGER, LINGER_FIFO = 0.25, 0.02
"""Seconds that a batch waits for company. A FIFO queue gives out no more of a group before what it gave is deleted."""
PATIENCE = 60.0
"""Seconds for which SQS may be ill in the middle of a run before the run fails."""
LONGEST_PAUSE = 15.0
EMPTY_PAUSE, LONGEST_EMPTY_PAUSE = 0.05, 1.0
"""Seconds until a queue that had nothing to give is asked again while messages of it are in hand; doubled each time."""
DELETE_ATTEMPTS = 8
LAST_MINUTE = 60.0
"""A hold is not extended into the last minute of the twelve hours that SQS allows."""


@dataclass(frozen=True)
class Bounds:
    """What ends a run before the queue is empty: seconds, messages. `receivers` ask at once; as declared, if None."""

    seconds: float = 600.0
    messages: int | None = None
    receivers: int | None = None


@dataclass
class Tally:
    """What became of the messages of a run."""

    received: int = 0
    deleted: int = 0
    undeleted: int = 0
    """Landed, but SQS would not delete them: they come again, and change nothing."""
    given_back: int = 0
    deferred: int = 0
    payloads_left: int = 0
    """Landed, but what they pointed to in S3 could not be deleted."""
    most_receives: int = 0
    near_dead_letters: int = 0
    """How many had been received so often that one or two more receives make them dead letters."""
    oldest_sent: float = math.inf
    """When the oldest message was sent, in seconds since the epoch, by the clock of SQS."""


@dataclass(slots=True, eq=False)
class Delivery:
    """A received message, opened."""

    received: Received
    opened: Opened
    delete_attempts: int = 0
    delete_at: float = 0.0


@dataclass
class _State:
    """What the receivers share; every access holds the lock."""

    held: set[Received] = field(default_factory=set)
    bytes_held: int = 0
    waiting: deque[Delivery] = field(default_factory=deque)
    waiting_since: float = 0.0
    landed: deque[Delivery] = field(default_factory=deque)
    asking: int = 0
    """How many receive requests are under way."""
    is_shallow: bool = False
    """The last answer could have held more messages than it did."""
    empty_pause: float = EMPTY_PAUSE
    ask_again_at: float = 0.0
    ended: str = ""
    """Why nothing more is received."""
    giving_back: bool = False
    closing: bool = False
    failure: BaseException | None = None
    ill_since: float | None = None
    pause: float = 0.0
    resume_at: float = 0.0


class Receiver:
    """Receives from `queue` until it is empty or a bound is reached; a context manager, within which to land `batches`.

    `open_message` makes sense of a message, in the thread that received it; it raises TransientError where that cannot
    be done now. `should_stop` is asked several times a second.
    """

    def __init__(
        self,
        queue: Queue,
        open_message: Callable[[Message], Opened],
        bounds: Bounds,
        *,
        payloads: PayloadStore | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.tally = Tally()
        self._queue = queue
        self._declared = queue.source.queue
        self._open = open_message
        self._payloads = payloads
        self._should_stop = should_stop
        self._bounds = bounds
        self._deadline = time.monotonic() + bounds.seconds
        self._limit = queue.redrive.limit if queue.redrive else None
        self._state = _State()
        self._lock = threading.Condition()
        self._changing_holds = threading.Lock()
        self._linger = LINGER_FIFO if self._declared.is_fifo else LINGER
        receivers = bounds.receivers or self._declared.receivers
        names = [f"sqs-{queue.name}-{n}" for n in range(receivers)]
        self._receivers = [threading.Thread(target=self._receive_and_delete, name=name, daemon=True) for name in names]
        self._closed = threading.Event()
        self._extender = threading.Thread(target=self._extend, name=f"sqs-{queue.name}-extend", daemon=True)

    @property
    def stopped(self) -> str:
        """Why messages may be left in the queue; empty where it was drained."""
        return "" if self._state.ended == DRAINED else self._state.ended

    def __enter__(self) -> Self:
        for thread in (*self._receivers, self._extender):
            thread.start()
        return self

    def batches(self) -> Iterator[list[Delivery]]:
        """What has been received since the last batch, opened. Raises what ended the loop, once all is handed over."""
        while batch := self._next_batch():
            yield batch
        if self._state.failure:
            raise self._state.failure

    def landed(self, batch: Sequence[Delivery]) -> None:
        """These are safe: delete them."""
        with self._lock:
            self._state.landed.extend(batch)
            self._lock.notify_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete what has landed and give back the rest: at once, or after a pause where a server was away."""
        with self._lock:
            self._end("it was stopped")
            self._state.closing = self._state.giving_back = True
            landed = {delivery.received for delivery in self._state.landed}
            rest = [message for message in self._state.held if message not in landed]
            self._state.waiting.clear()
            self._lock.notify_all()
        if isinstance(error, TransientError):
            self._defer(rest)
        else:
            self._give_back(rest)
        for thread in self._receivers:
            thread.join()
        self._closed.set()
        self._extender.join()
        self.tally.undeleted += len(self._state.landed)
        if error is None and self._state.failure:
            raise self._state.failure

    # What the caller's thread does.

    def _next_batch(self) -> list[Delivery]:
        state = self._state
        with self._lock:
            while True:
                if self._should_stop():
                    self._end("it was asked to stop")
                    return []
                if state.waiting and (self._is_full() or self._no_more() or self._lingered()):
                    return self._taken()
                if not state.waiting and self._no_more():
                    return []
                self._lock.wait(self._linger if state.waiting else 0.5)

    def _taken(self) -> list[Delivery]:
        batch: list[Delivery] = []
        size = 0
        while self._state.waiting and len(batch) < BATCH_MESSAGES and size < BATCH_BYTES:
            batch.append(self._state.waiting.popleft())
            size += _size(batch[-1].opened.message)
        self._state.waiting_since = time.monotonic()
        return batch

    def _is_full(self) -> bool:
        return len(self._state.waiting) >= BATCH_MESSAGES or self._state.bytes_held >= BATCH_BYTES

    def _lingered(self) -> bool:
        return time.monotonic() - self._state.waiting_since >= self._linger

    def _no_more(self) -> bool:
        """Nothing more will be received."""
        return bool(self._state.ended) and not self._state.asking

    # What each receiver does.

    def _receive_and_delete(self) -> None:
        while work := self._next_work():
            try:
                if isinstance(work, int):
                    self._receive(work)
                else:
                    self._delete(work)
            except Exception as error:
                with self._lock:
                    self._fail(error)

    def _next_work(self) -> int | list[Delivery] | None:
        """How many messages to receive, or which to delete; None when there is nothing more to do."""
        state = self._state
        with self._lock:
            while True:
                now = time.monotonic()
                self._look_at_bounds(now)
                may_ask = now >= state.resume_at
                if may_ask and (due := self._due(now)):
                    return due
                if state.closing and not state.landed:
                    return None
                if may_ask and (room := self._room()):
                    state.asking += 1
                    return room
                self._lock.wait(0.5 if may_ask and not state.held else EMPTY_PAUSE)

    def _due(self, now: float) -> list[Delivery]:
        """Up to ten landed messages that may be tried now."""
        landed = self._state.landed
        found: list[Delivery] = []
        for _ in range(len(landed)):
            delivery = landed.popleft()
            if delivery.delete_at <= now:
                found.append(delivery)
                if len(found) == SQS_BATCH:
                    break
            else:
                landed.append(delivery)
        return found

    def _room(self) -> int:
        """How many messages may be received now; 0 where the bounds of this run or of the queue are reached."""
        state = self._state
        if state.ended or (state.held and time.monotonic() < state.ask_again_at):
            return 0
        promised = len(state.held) + SQS_BATCH * state.asking
        room = min(SQS_BATCH, self._declared.in_flight_guard - promised)
        if self._bounds.messages is not None:
            room = min(room, self._bounds.messages - self.tally.received - SQS_BATCH * state.asking)
            if self.tally.received >= self._bounds.messages:
                self._end(f"it had received {self._bounds.messages:,} messages")
                return 0
        return max(0, room) if state.bytes_held < self._declared.max_bytes_in_flight else 0

    def _look_at_bounds(self, now: float) -> None:
        if now >= self._deadline:
            self._end(f"its {self._bounds.seconds:,.0f} seconds were over")

    def _receive(self, at_most: int) -> None:
        """Ask for messages. Who holds some does not wait where the queue may have none to give: landed ones are to be
        deleted meanwhile, and of a FIFO queue that is what it waits for."""
        with self._lock:
            nothing_held = not self._state.held
            waits = nothing_held or not (self._state.is_shallow or self._declared.is_fifo)
        messages: list[Received] = []
        opened: list[Delivery] = []
        deferred: list[Received] = []
        given_back: list[Received] = []
        try:
            messages = self._queue.receive(at_most, waits=waits)
            self._take_hold(messages)
            opened, deferred, given_back = self._opened(messages)
        except TransientError as error:
            with self._lock:
                self._is_ill(error)
        finally:
            with self._lock:
                self._state.asking -= 1
                self._note_depth(at_most, len(messages))
                if not messages and nothing_held and not self._state.held and not self._state.ill_since:
                    self._end(DRAINED)
                given_back += self._handed_over(opened)
                self._lock.notify_all()
        self._defer(deferred)
        self._give_back(given_back)

    def _note_depth(self, asked: int, received: int) -> None:
        state = self._state
        state.is_shallow = received < asked
        if received:
            state.empty_pause, state.ask_again_at = EMPTY_PAUSE, 0.0
        else:
            state.ask_again_at = time.monotonic() + state.empty_pause
            state.empty_pause = min(2 * state.empty_pause, LONGEST_EMPTY_PAUSE)

    def _take_hold(self, messages: list[Received]) -> None:
        with self._lock:
            self._is_well()
            self._count(messages)
            self._state.held.update(messages)
            self._state.bytes_held += sum(_size(m.message) for m in messages)

    def _handed_over(self, opened: list[Delivery]) -> list[Received]:
        """Let the caller have these; once the loop is being left they are returned, to be given back."""
        state = self._state
        if state.giving_back:
            return [delivery.received for delivery in opened]
        if opened and not state.waiting:
            state.waiting_since = time.monotonic()
        state.bytes_held += sum(_payload_size(delivery.opened.message) for delivery in opened)
        state.waiting.extend(opened)
        return []

    def _opened(self, messages: list[Received]) -> tuple[list[Delivery], list[Received], list[Received]]:
        """(opened, to be tried later, to be given back), in the order of the queue.

        In a FIFO queue a message that fails stops its group. Behind one that goes to quarantine, those that are near
        their redrive limit go on: giving them back again and again would make dead letters of them.
        """
        opened: list[Delivery] = []
        deferred: list[Received] = []
        given_back: list[Received] = []
        stopped_by: dict[str, str] = {}
        for received in messages:
            group = received.message.group or ""
            stop = stopped_by.get(group)
            if stop and not (stop == _QUARANTINE and self._is_near_dead_letters(received)):
                given_back.append(received)
                continue
            try:
                delivery = Delivery(received, self._open(received.message))
            except TransientError as error:
                log.warning("%s: a message is left for later: %s", self._queue.source.key, error)
                deferred.append(received)
                failed = _LATER
            else:
                opened.append(delivery)
                failed = _QUARANTINE if isinstance(delivery.opened.content, Rejected) else ""
            if group and failed:
                stopped_by[group] = failed
        return opened, deferred, given_back

    def _delete(self, deliveries: list[Delivery]) -> None:
        try:
            again, lost = self._queue.delete([delivery.received for delivery in deliveries])
            with self._lock:
                self._is_well()
        except TransientError as error:
            again, lost = [delivery.received for delivery in deliveries], []
            with self._lock:
                self._is_ill(error)
        except BaseException:
            self._done_with(deliveries, deleted=0)
            raise
        retried = [d for d in deliveries if d.received in again and d.delete_attempts + 1 < DELETE_ATTEMPTS]
        for delivery in retried:
            delivery.delete_attempts += 1
            delivery.delete_at = time.monotonic() + 0.1 * 2**delivery.delete_attempts
        done = [delivery for delivery in deliveries if delivery not in retried]
        deleted = [d for d in done if d.received not in again and d.received not in lost]
        payloads_left = self._delete_payloads(deleted)
        with self._lock:
            self._state.landed.extend(retried)
            self.tally.payloads_left += payloads_left
        self._done_with(done, len(deleted))

    def _done_with(self, deliveries: list[Delivery], deleted: int) -> None:
        with self._lock:
            self._let_go([d.received for d in deliveries], [d.opened.message for d in deliveries])
            self._state.empty_pause, self._state.ask_again_at = (
                EMPTY_PAUSE,
                0.0,
            )  # of a FIFO queue, groups are free again
            self.tally.deleted += deleted
            self.tally.undeleted += len(deliveries) - deleted

    def _delete_payloads(self, deliveries: list[Delivery]) -> int:
        """Delete what these messages pointed to in S3. Returns how many could not be deleted."""
        left = 0
        for pointer in [d.opened.pointer for d in deliveries if d.opened.pointer]:
            if self._payloads is None or not self._declared.payloads or not self._declared.payloads.delete:
                continue
            try:
                self._payloads.delete(pointer)
            except SvError as error:
                left += 1
                log.warning("%s: the payload of a deleted message stays in S3: %s", self._queue.source.key, error)
        return left

    # Holds: extended while they last, and let go.

    def _extend(self) -> None:
        """While messages are in work, keep them hidden; up to the twelve hours that SQS allows."""
        visibility = self._declared.visibility_seconds
        while not self._closed.wait(min(visibility / 6, 10)):
            with self._changing_holds:
                now = time.monotonic()
                with self._lock:
                    ending = [m for m in self._state.held if m.hidden_until - now < visibility / 2]
                by_seconds: dict[int, list[Received]] = {}
                for message in ending:
                    left = message.received_at + LONGEST_HOLD - LAST_MINUTE - now
                    by_seconds.setdefault(int(min(visibility, left)), []).append(message)
                for seconds, messages in by_seconds.items():
                    if seconds > 0:
                        self._hide(messages, seconds)

    def _hide(self, messages: Sequence[Received], seconds: int) -> None:
        """Hide messages for `seconds` from now. Holds that turn out to be lost are not extended again."""
        for batch in in_batches(messages, SQS_BATCH):
            try:
                for lost in self._queue.hide(batch, seconds):
                    lost.hidden_until = math.inf
            except SvError as error:
                log.warning("%s: visibility could not be changed: %s", self._queue.source.key, error)

    def _give_back(self, messages: Sequence[Received]) -> None:
        """Let others have them at once."""
        self._drop(messages)
        self._hide(messages, 0)
        with self._lock:
            self.tally.given_back += len(messages)

    def _defer(self, messages: Sequence[Received]) -> None:
        """Leave them in the queue, hidden for longer each time they come."""
        self._drop(messages)
        by_pause: dict[int, list[Received]] = {}
        for message in messages:
            by_pause.setdefault(min(5 * 2 ** min(message.times_received, 10), 900), []).append(message)
        for pause, some in by_pause.items():
            self._hide(some, pause)
        with self._lock:
            self.tally.deferred += len(messages)

    def _drop(self, messages: Sequence[Received]) -> None:
        """Hold them no longer, so that nobody extends what is given back."""
        if messages:
            with self._changing_holds, self._lock:
                self._let_go(messages, [message.message for message in messages])

    def _let_go(self, held: Sequence[Received], messages: Sequence[Message]) -> None:
        self._state.held.difference_update(held)
        self._state.bytes_held -= sum(_size(message) for message in messages)
        self._lock.notify_all()

    def _count(self, messages: list[Received]) -> None:
        tally = self.tally
        tally.received += len(messages)
        for message in messages:
            tally.most_receives = max(tally.most_receives, message.times_received)
            tally.near_dead_letters += self._is_near_dead_letters(message)
            tally.oldest_sent = min(tally.oldest_sent, message.message.sent_at.timestamp())

    def _is_near_dead_letters(self, message: Received) -> bool:
        return self._limit is not None and 1 < message.times_received >= self._limit - 1

    # Ends and illnesses.

    def _end(self, reason: str) -> None:
        if not self._state.ended:
            self._state.ended = reason
            self._lock.notify_all()

    def _fail(self, error: BaseException) -> None:
        self._state.failure = self._state.failure or error
        self._end("it failed")

    def _is_ill(self, error: SvError) -> None:
        """Everybody pauses, longer each time; an illness that lasts ends the run."""
        state = self._state
        now = time.monotonic()
        if state.ill_since is None:
            state.ill_since = now
            log.warning("%s: %s Going on trying for %d seconds.", self._queue.source.key, error, PATIENCE)
        elif now - state.ill_since > PATIENCE:
            self._fail(error)
        if now >= state.resume_at:
            state.pause = min(max(0.25, 2 * state.pause), LONGEST_PAUSE)
            state.resume_at = now + state.pause
        self._lock.notify_all()

    def _is_well(self) -> None:
        self._state.ill_since = None
        self._state.pause = 0.0


DRAINED = "the queue was empty"
_QUARANTINE, _LATER = "quarantine", "later"


def _size(message: Message) -> int:
    """Roughly the bytes that a message takes."""
    return len(message.body) + _payload_size(message)


def _payload_size(message: Message) -> int:
    return len(message.payload) if message.payload else 0
