"""The messages that a run has in its hands: kept from others while they are in work, and given back."""

import logging
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sv_assets.errors import SvError
from sv_assets.mongo import in_batches
from sv_assets.sources.sqs.queue import LONGEST_HOLD, SQS_BATCH, Queue, Received

log = logging.getLogger(__name__)
LAST_MINUTE = 60.0
"""A hold is not extended into the last minute of the twelve hours that SQS allows."""
FIRST_PAUSE, LONGEST_PAUSE, LAST_PAUSE = 10, 900, 3600
"""Seconds for which a message is left for later: doubled each time it comes. Before it becomes a dead letter, whoever
looks after the queue gets an hour."""
LANES = 4
"""How many requests give back at once."""
ATTEMPTS = 3
REFUSALS = 2
"""After so many requests in a row that SQS did not answer, the other messages are left to come back by themselves."""


class Holds:
    """What is held, with the bytes it takes; a thread of its own extends the holds. `lock` guards all of it."""

    def __init__(self, queue: Queue, lock: threading.Condition) -> None:
        self.bytes = 0
        self.given_back = 0
        self.deferred = 0
        self._queue = queue
        self._visibility = queue.source.queue.visibility_seconds
        self._lock = lock
        self._sizes: dict[Received, int] = {}
        self._changing = threading.Lock()
        self._closed = threading.Event()
        self._extender = threading.Thread(target=self._extend, name=f"sqs-{queue.name}-extend", daemon=True)

    def __len__(self) -> int:
        return len(self._sizes)

    def start(self) -> None:
        """Begin to extend."""
        self._extender.start()

    def close(self) -> None:
        """Extend no more."""
        self._closed.set()

    def join(self) -> None:
        """Wait for the end of extending."""
        if self._extender.ident is not None:
            self._extender.join()

    def take(self, received: Received, size: int) -> None:
        """Hold a message that takes `size` bytes; of one that is held already, the new size counts."""
        with self._lock:
            self.bytes += size - self._sizes.get(received, 0)
            self._sizes[received] = size

    def let_go(self, messages: Sequence[Received]) -> None:
        """Hold these no longer."""
        with self._lock:
            for received in messages:
                self.bytes -= self._sizes.pop(received, 0)
            self._lock.notify_all()

    def give_back(self, messages: Sequence[Received]) -> None:
        """Let others have these at once."""
        if messages:
            self._stop_extending(messages)
            self._hide(messages, 0)
            with self._lock:
                self.given_back += len(messages)

    def defer(self, messages: Sequence[Received]) -> None:
        """Leave these in the queue, hidden for longer each time they come."""
        if messages:
            self._stop_extending(messages)
            by_pause: dict[int, list[Received]] = {}
            for received in messages:
                doubled = min(FIRST_PAUSE * 2 ** min(received.times_received - 1, 10), LONGEST_PAUSE)
                pause = LAST_PAUSE if self._queue.is_last_chance(received) else doubled
                by_pause.setdefault(pause, []).append(received)
            for pause, some in by_pause.items():
                self._hide(some, pause)
            with self._lock:
                self.deferred += len(messages)

    def _stop_extending(self, messages: Sequence[Received]) -> None:
        """So that nobody hides again what is given back just now."""
        with self._changing:
            self.let_go(messages)

    def _extend(self) -> None:
        while not self._closed.wait(min(self._visibility / 6, 10)):
            for seconds, messages in self._ending().items():
                for batch in in_batches(messages, SQS_BATCH):
                    with self._changing:
                        held = [received for received in batch if received in self._sizes]
                        self._hide_lane(held, seconds, attempts=1)

    def _ending(self) -> dict[int, list[Received]]:
        """By the seconds for which they may be extended, the messages whose hold is half over."""
        now = time.monotonic()
        found: dict[int, list[Received]] = {}
        with self._lock:
            for received in self._sizes:
                left = received.received_at + LONGEST_HOLD - LAST_MINUTE - now
                if received.hidden_until - now < self._visibility / 2 and left >= 1:
                    found.setdefault(int(min(self._visibility, left)), []).append(received)
        return found

    def _hide(self, messages: Sequence[Received], seconds: int) -> None:
        """Hide messages for `seconds` from now, several requests at once."""
        if len(messages) <= LANES * SQS_BATCH:
            self._hide_lane(messages, seconds)
            return
        with ThreadPoolExecutor(LANES, thread_name_prefix=f"sqs-{self._queue.name}-hide") as pool:
            list(pool.map(lambda lane: self._hide_lane(messages[lane::LANES], seconds), range(LANES)))

    def _hide_lane(self, messages: Sequence[Received], seconds: int, attempts: int = ATTEMPTS) -> None:
        """Hide messages, one request after the other. What SQS does not answer for comes back when its time is over."""
        refusals = 0
        for batch in in_batches(messages, SQS_BATCH):
            for attempt in range(attempts):
                try:
                    again, lost = self._queue.hide(batch, seconds)
                    refusals = 0
                except Exception as error:
                    # Ours are said as they are; of any other not more than its kind, because it may quote a message.
                    reason = error if isinstance(error, SvError) else type(error).__name__
                    log.warning("%s: visibility could not be changed: %s", self._queue.source.key, reason)
                    refusals += 1
                    break
                for received in lost:
                    received.hidden_until = math.inf  # no longer ours: nothing to extend
                if not again:
                    break
                batch = again
                time.sleep(0.05 * 2**attempt)
            if refusals == REFUSALS:
                return
