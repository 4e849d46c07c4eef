"""Reading ahead while the last batch is written: one writing thread, in order."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def write_behind(batches: Iterable[T], write: Callable[[T], None]) -> None:
    """Call `write` for each batch, in order and in one thread, while the next batch is made.

    At most one batch waits. An error of either side ends the work and is raised here; what was begun to be written is
    finished first.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="write-behind") as writer:
        last: Future[None] | None = None
        for batch in batches:
            if last:
                last.result()
            last = writer.submit(write, batch)
        if last:
            last.result()
