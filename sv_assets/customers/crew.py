"""Composing very many customers in several processes: Python composes on one core only."""

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor

from sv_assets.customers.compose import Rules
from sv_assets.customers.customers import Composer
from sv_assets.identity.party import StationReport
from sv_assets.mongo import Document, Store, open_store
from sv_assets.write_behind import tune_collector

_composer: Composer | None = None
"""In a process of the crew: what it composes with."""


def compose_all(
    store: Store,
    rules: Rules,
    batches: Iterable[list[Document]],
    processes: int,
    done: Callable[[StationReport, int], None],
) -> None:
    """Compose and write the customers of these clusters. `done` is called with what became of each batch, and its size.

    A few batches are on their way at a time, so that memory stays flat. What a process raises is raised here; what the
    others have written is safe, and the rest is still on the work list.
    """
    context = multiprocessing.get_context("spawn")  # a fork would share the sockets and locks of the driver
    waiting: deque[tuple[Future[StationReport], int]] = deque()
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(store.url, store.prefix, rules)) as pool:
        try:
            for batch in batches:
                waiting.append((pool.submit(_compose, batch), len(batch)))
                if len(waiting) > 2 * processes:
                    _take(waiting, done)
            while waiting:
                _take(waiting, done)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _take(waiting: deque[tuple[Future[StationReport], int]], done: Callable[[StationReport, int], None]) -> None:
    future, size = waiting.popleft()
    done(future.result(), size)


def _begin(url: str, prefix: str, rules: Rules) -> None:
    global _composer
    tune_collector()
    _composer = Composer(open_store(url, prefix), rules)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """A process whose parent was killed would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _compose(clusters: list[Document]) -> StationReport:
    assert _composer is not None
    _composer.report = StationReport()
    _composer.write(_composer.compose(clusters))
    return _composer.report
