"""Preparation: rows of a file become tables for the workbench, in as many processes as the engine may use.

The main process only reads; it keeps a few chunks in flight for each worker, so that memory is flat.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from itertools import chain
from multiprocessing import get_context

import pyarrow as pa

from sv_assets.identity.compared import Description, compared_form
from sv_assets.identity.evaluate.records import RecordFile, Row, describer, in_chunks
from sv_assets.identity.settings import IdentitySettings
from sv_assets.identity.workbench import as_table, prepare

CHUNK = 5_000
"""So many records are prepared at a time."""
ALONE = 2
"""So many chunks are prepared before it is worth to start processes."""
IN_FLIGHT = 2
"""So many chunks wait or are worked on, for each worker."""


def prepared(file: RecordFile, settings: IdentitySettings) -> Iterator[pa.Table]:
    """The records of a file as tables for `Workbench.add_table`, numbered from 0 in order of the file."""
    chunks = in_chunks(file.rows(), CHUNK)
    first = list(zip(range(ALONE + 1), chunks, strict=False))
    workers = settings.engine.threads
    if len(first) <= ALONE or workers < 2:
        preparer = _Preparer(settings, file)
        for number, chunk in enumerate(chain((chunk for _, chunk in first), chunks)):
            yield preparer.table(number * CHUNK, chunk)
        return
    with ExitStack() as stack:
        pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (settings, file))
        stack.callback(pool.shutdown, cancel_futures=True)
        waiting: deque[Future[pa.Table]] = deque()
        for number, chunk in enumerate(chain((chunk for _, chunk in first), chunks)):
            waiting.append(pool.submit(_prepare, number * CHUNK, chunk))
            if len(waiting) >= workers * IN_FLIGHT:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Preparer:
    """What a process needs to prepare chunks of one file."""

    def __init__(self, settings: IdentitySettings, file: RecordFile) -> None:
        self.settings = settings
        self.identifiers = file.identifiers
        self.described: Callable[[Row], Description] = describer(file.columns)

    def table(self, first_number: int, rows: list[Row]) -> pa.Table:
        settings, placeholders = self.settings, self.settings.values_of_nobody
        records = (prepare(row[0], compared_form(self.described(row), placeholders), settings) for row in rows)
        return as_table(records, first_number, self.identifiers)


_preparer: _Preparer


def _start(settings: IdentitySettings, file: RecordFile) -> None:
    global _preparer
    _preparer = _Preparer(settings, file)


def _prepare(first_number: int, rows: list[Row]) -> pa.Table:
    return _preparer.table(first_number, rows)
