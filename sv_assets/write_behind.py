"""Reading ahead while the last batch is written: one writing thread, in order."""

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
WAITING = 2
SWITCH_SECONDS = 0.0002
GARBAGE_THRESHOLD = 50_000


def write_behind(batches: Iterable[T], write: Callable[[T], None]) -> None:
    """Call `write` for each batch, in order and in one thread, while further batches are made.

    At most `WAITING` batches wait. An error of either side ends the work and is raised here: what was begun to be written
    is finished first, and nothing is written after a batch that failed.
    """
    failed = threading.Event()

    def write_next(batch: T) -> None:
        if failed.is_set():
            return
        try:
            write(batch)
        except BaseException:
            failed.set()
            raise

    pending: deque[Future[None]] = deque()
    with tuned_interpreter(), ThreadPoolExecutor(1, thread_name_prefix="write-behind") as writer:
        try:
            for batch in batches:
                if len(pending) > WAITING:
                    pending.popleft().result()
                pending.append(writer.submit(write_next, batch))
        finally:
            while pending:
                pending.popleft().result()


@contextmanager
def tuned_interpreter() -> Iterator[None]:
    """Two settings of CPython that cost such work dearly, changed while it lasts.

    The writing thread waits for its turn behind the one that makes batches, by default up to 5 ms each time a server has
    answered, in which that server has nothing to do. And a batch is many thousand small objects without cycles, in which
    the garbage collector looks for cycles again and again: half of the time it takes to convert a row (measured by
    `sv bench landing`).
    """
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(min(interval, SWITCH_SECONDS))
    tune_collector()
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)


def tune_collector() -> None:
    """Let the garbage collector look for cycles less often."""
    first, *rest = gc.get_threshold()
    gc.set_threshold(max(first, GARBAGE_THRESHOLD), *rest)
