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

from sv_assets.errors import ConfigurationError, SvError, TransientError
from sv_assets.mongo import BATCH_BYTES
from sv_assets.sources.messages import Message, Opened, PayloadStore
from sv_assets.sources.records import Rejected
from sv_assets.sources.sqs.holds import Holds
from sv_assets.sources.sqs.queue import SQS_BATCH, Queue, Received

log = logging.getLogger(__name__)
BATCH_MESSAGES = 1000
LINGER, LINGER_FIFO = 0.25, 0.02
"""Seconds that a batch waits for company. A FIFO queue gives out no more of a group before what it gave is deleted."""
PATIENCE = 60.0
"""Seconds for which SQS may be ill in the middle of a run before the run fails."""
LONGEST_PAUSE = 15.0
EMPTY_PAUSE, LONGEST_EMPTY_PAUSE = 0.05, 1.0
"""Seconds until a queue that had nothing to give is asked again while messages of it are in hand; doubled each time."""
DELETE_ATTEMPTS = 8
MAX_RECEIVERS = 64
DRAINED = "the queue was empty"
_QUARANTINE, _LATER = "quarantine", "later"


@dataclass(frozen=True)
class Bounds:
    """What ends a run before the queue is empty: seconds, messages. `receivers` ask at once; as declared, if None.

    Raises ConfigurationError for a bound that lets nothing be received.
    """

    seconds: float = 600.0
    messages: int | None = None
    receivers: int | None = None

    def __post_init__(self) -> None:
        if not self.seconds > 0 or (self.messages is not None and self.messages < 1):
            raise ConfigurationError("A run of a queue needs more than 0 seconds and messages until it stops.")
        if self.receivers is not None and not 1 <= self.receivers <= MAX_RECEIVERS:
            raise ConfigurationError(f"A run of a queue has 1 to {MAX_RECEIVERS} receivers, not {self.receivers}.")


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
    """How many had been received so often that the next receive, or the one after it, makes them dead letters."""
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
class _Sorted:
    """What became of the messages of one answer, in the order of the queue."""

    opened: list[Delivery] = field(default_factory=list)
    deferred: list[Received] = field(default_factory=list)
    given_back: list[Received] = field(default_factory=list)


@dataclass
class _State:
    """What the receivers share; every access holds the lock."""

    waiting: deque[Delivery] = field(default_factory=deque)
    waiting_since: float = 0.0
    waiting_bytes: int = 0
    taken: set[Delivery] = field(default_factory=set)
    """With the caller, and not landed yet."""
    landed: deque[Delivery] = field(default_factory=deque)
    asking: int = 0
    """How many receive requests are under way, or their answers being opened."""
    is_dry: bool = False
    """A long poll, with nothing in our hands, has found nothing."""
    is_shallow: bool = False
    """The last answer could have held more messages than it did."""
    empty_pause: float = EMPTY_PAUSE
    ask_again_at: float = 0.0
    ended: str = ""
    """Why nothing more is received."""
    closing: bool = False
    """The caller is gone: what arrives now is given back."""
    failure: Exception | None = None
    gave_up: bool = False
    """SQS has been ill for too long: nothing more is asked of it."""
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
        self._linger = LINGER_FIFO if self._declared.is_fifo else LINGER
        self._lock = threading.Condition()
        self._state = _State()
        self._holds = Holds(queue, self._lock)
        names = [f"sqs-{queue.name}-{n}" for n in range(bounds.receivers or self._declared.receivers)]
        self._receivers = [threading.Thread(target=self._receive_and_delete, name=name, daemon=True) for name in names]

    @property
    def stopped(self) -> str:
        """Why messages may be left in the queue; empty where it was drained."""
        return "" if self._state.ended == DRAINED else self._state.ended

    def __enter__(self) -> Self:
        try:
            self._holds.start()
            for thread in self._receivers:
                thread.start()
        except BaseException:
            self._close()
            self._holds.close()
            raise
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
            self._state.taken.difference_update(batch)
            self._state.landed.extend(batch)
            self._lock.notify_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Delete what has landed and give back the rest: at once where the run was stopped, after a pause where it
        failed, so that a fault of ours does not make dead letters of what is sound."""
        rest = self._close()
        try:
            if isinstance(error or self._state.failure, Exception):  # an interrupt is none
                self._holds.defer(rest)
            else:
                self._holds.give_back(rest)
            for thread in self._receivers:
                thread.join()
        finally:
            self._holds.close()
        self._holds.join()
        self.tally.given_back, self.tally.deferred = self._holds.given_back, self._holds.deferred
        if error is None and self._state.failure:
            raise self._state.failure

    def _close(self) -> list[Received]:
        """From now on nothing is received, and what arrives is given back by its receiver. Returns what is to be given
        back of what had arrived; what is being opened or deleted is with its receiver."""
        state = self._state
        with self._lock:
            self._end("it was stopped")
            state.closing = True
            rest = [delivery.received for delivery in (*state.waiting, *state.taken)]
            state.waiting.clear()
            state.taken.clear()
            self._lock.notify_all()
        return rest

    # What the caller's thread does.

    def _next_batch(self) -> list[Delivery]:
        state = self._state
        with self._lock:
            while True:
                if self._should_stop():
                    self._end("it was asked to stop")
                    return []
                self._look_at_the_clock()
                no_more = bool(state.ended) and not state.asking
                if state.waiting and (no_more or self._is_full() or self._has_lingered()):
                    return self._next_taken()
                if no_more:
                    return []
                self._lock.wait(self._linger if state.waiting else 0.5)

    def _next_taken(self) -> list[Delivery]:
        state = self._state
        batch: list[Delivery] = []
        size = 0
        while state.waiting and len(batch) < BATCH_MESSAGES and size < BATCH_BYTES:
            batch.append(state.waiting.popleft())
            size += batch[-1].opened.message.memory
        state.waiting_bytes -= size
        state.taken.update(batch)
        state.waiting_since = time.monotonic()
        return batch

    def _is_full(self) -> bool:
        return len(self._state.waiting) >= BATCH_MESSAGES or self._state.waiting_bytes >= BATCH_BYTES

    def _has_lingered(self) -> bool:
        return time.monotonic() - self._state.waiting_since >= self._linger

    def _look_at_the_clock(self) -> float:
        now = time.monotonic()
        if now >= self._deadline:
            self._end(f"its {self._bounds.seconds:,.0f} seconds were over")
        return now

    # What each receiver does.

    def _receive_and_delete(self) -> None:
        while work := self._next_work():
            try:
                if isinstance(work, int):
                    self._receive(work)
                else:
                    self._delete(work)
            except Exception as error:
                self._fail(error)

    def _next_work(self) -> int | list[Delivery] | None:
        """How many messages to receive, or which to delete; None when there is nothing more to do."""
        state = self._state
        with self._lock:
            while True:
                now = self._look_at_the_clock()
                if state.gave_up:
                    self._done_with([*state.landed], deleted=0)
                    state.landed.clear()
                may_ask = now >= state.resume_at
                if may_ask and (due := self._due(now)):
                    return due
                if state.closing and not state.landed:
                    return None
                if may_ask and (room := self._room(now)):
                    state.asking += 1
                    return room
                self._lock.wait(0.5 if may_ask and not len(self._holds) else EMPTY_PAUSE)

    def _due(self, now: float) -> list[Delivery]:
        """Up to ten landed messages that may be tried now."""
        landed = self._state.landed
        found: list[Delivery] = []
        for _ in range(len(landed)):
            delivery = landed.popleft()
            if delivery.delete_at > now:
                landed.append(delivery)
                continue
            found.append(delivery)
            if len(found) == SQS_BATCH:
                break
        return found

    def _room(self, now: float) -> int:
        """How many messages may be received now; 0 where the bounds of this run or of the queue are reached.

        A queue that seems empty is asked again when what is in hand is less, or after a pause; and when all have seen it
        empty it is.
        """
        state = self._state
        held = len(self._holds)
        if state.ended or (state.is_dry and state.asking) or (held and now < state.ask_again_at):
            return 0
        room = min(SQS_BATCH, self._declared.in_flight_guard - held - SQS_BATCH * state.asking)
        if self._bounds.messages is not None:
            if self.tally.received >= self._bounds.messages:
                self._end(f"it had received {self._bounds.messages:,} messages")
                return 0
            room = min(room, self._bounds.messages - self.tally.received - SQS_BATCH * state.asking)
        return max(0, room) if self._holds.bytes < self._declared.max_bytes_in_flight else 0

    def _receive(self, at_most: int) -> None:
        """Ask for messages. Who holds some does not wait where the queue may have none to give: landed ones are to be
        deleted meanwhile, and of a FIFO queue that is what it waits for."""
        with self._lock:
            nothing_held = not len(self._holds)
            waits = nothing_held or not (self._state.is_shallow or self._declared.is_fifo)
        messages: list[Received] = []
        found = _Sorted()
        try:
            messages = self._queue.receive(at_most, waits=waits)
            self._count(messages)
            found = self._opened(messages)
        except TransientError as error:
            self._is_ill(error)
        except Exception as error:
            self._fail(error)  # before anybody can receive them again
            found.deferred = messages
        finally:
            with self._lock:
                self._state.asking -= 1
                self._note_depth(at_most, len(messages), nothing_held)
                self._hand_over(found)
                self._lock.notify_all()
            self._holds.defer(found.deferred)
            self._holds.give_back(found.given_back)

    def _count(self, messages: list[Received]) -> None:
        with self._lock:
            self._is_well()
            tally = self.tally
            tally.received += len(messages)
            for received in messages:
                self._holds.take(received, received.message.memory)
                tally.most_receives = max(tally.most_receives, received.times_received)
                tally.near_dead_letters += received.times_received > 1 and self._queue.is_last_chance(received)
                tally.oldest_sent = min(tally.oldest_sent, received.message.sent_at.timestamp())

    def _note_depth(self, asked: int, received: int, nothing_held: bool) -> None:
        state = self._state
        state.is_shallow = received < asked
        if received:
            state.is_dry = False
            state.empty_pause, state.ask_again_at = EMPTY_PAUSE, 0.0
            return
        state.ask_again_at = time.monotonic() + state.empty_pause
        state.empty_pause = min(2 * state.empty_pause, LONGEST_EMPTY_PAUSE)
        if nothing_held and not len(self._holds) and state.ill_since is None:
            state.is_dry = True
            if not state.asking:
                self._end(DRAINED)

    def _hand_over(self, found: _Sorted) -> None:
        """Let the caller have what is opened; once the caller is gone, it is to be given back."""
        state = self._state
        if state.closing:
            found.given_back += [delivery.received for delivery in found.opened]
            return
        if found.opened and not state.waiting:
            state.waiting_since = time.monotonic()
        state.waiting.extend(found.opened)
        state.waiting_bytes += sum(delivery.opened.message.memory for delivery in found.opened)

    def _opened(self, messages: list[Received]) -> _Sorted:
        """The messages of one answer, opened.

        In a FIFO queue a message that fails stops its group. Behind one that goes to quarantine, those that may not be
        received again go on: giving them back would make dead letters of them.
        """
        found = _Sorted()
        stopped_by: dict[str, str] = {}
        for received in messages:
            group = received.message.group or ""
            stop = stopped_by.get(group)
            if stop and not (stop == _QUARANTINE and self._queue.is_last_chance(received)):
                found.given_back.append(received)
                continue
            failed = ""
            try:
                delivery = Delivery(received, self._open(received.message))
            except TransientError as error:
                log.warning("%s: a message is left for later: %s", self._queue.source.key, error)
                found.deferred.append(received)
                failed = _LATER
            else:
                found.opened.append(delivery)
                self._holds.take(received, delivery.opened.message.memory)
                if isinstance(delivery.opened.content, Rejected):
                    failed = _QUARANTINE
            if self._declared.is_fifo and failed:
                stopped_by[group] = failed
        return found

    def _delete(self, deliveries: list[Delivery]) -> None:
        again: Sequence[Received] = []
        lost: Sequence[Received] = []
        try:
            again, lost = self._queue.delete([delivery.received for delivery in deliveries])
            with self._lock:
                self._is_well()
        except TransientError as error:
            again = [delivery.received for delivery in deliveries]
            self._is_ill(error)
        except Exception:
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
            self._holds.let_go([delivery.received for delivery in deliveries])
            # Of a FIFO queue, groups are free again.
            self._state.empty_pause, self._state.ask_again_at = EMPTY_PAUSE, 0.0
            self.tally.deleted += deleted
            self.tally.undeleted += len(deliveries) - deleted

    def _delete_payloads(self, deliveries: list[Delivery]) -> int:
        """Delete what these messages pointed to in S3. Returns how many could not be deleted."""
        left = 0
        for pointer in [d.opened.pointer for d in deliveries if d.opened.pointer]:
            if self._payloads is None:
                continue
            try:
                self._payloads.delete(pointer)
            except SvError as error:
                left += 1
                log.warning("%s: the payload of a deleted message stays in S3: %s", self._queue.source.key, error)
        return left

    # Ends and illnesses.

    def _end(self, reason: str) -> None:
        if not self._state.ended:
            self._state.ended = reason
            self._lock.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._state.failure = self._state.failure or error
            self._end("it failed")

    def _is_ill(self, error: TransientError) -> None:
        """Everybody pauses, longer each time; an illness that lasts ends the run."""
        state = self._state
        with self._lock:
            now = time.monotonic()
            if state.ill_since is None:
                state.ill_since = now
                log.warning("%s: %s Going on trying for %d seconds.", self._queue.source.key, error, PATIENCE)
            elif now - state.ill_since > PATIENCE:
                state.gave_up = True
                self._fail(error)
            if now >= state.resume_at:
                state.pause = min(max(0.25, 2 * state.pause), LONGEST_PAUSE)
                state.resume_at = now + state.pause
            self._lock.notify_all()

    def _is_well(self) -> None:
        self._state.ill_since = None
        self._state.pause = 0.0
