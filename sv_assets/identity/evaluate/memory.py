"""The most memory that this process and its children had at one time."""

import contextlib
import threading
from types import TracebackType
from typing import Self

import psutil

EVERY = 0.2
"""Seconds between two looks."""
_MB = 1024**2


class PeakMemory:
    """Watches while it is open; `mb` is the most that was seen: resident memory, shared pages counted for each process."""

    def __init__(self) -> None:
        self._peak = 0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._watcher.join()

    @property
    def mb(self) -> float:
        self._look()
        return round(self._peak / _MB, 1)

    def _watch(self) -> None:
        while not self._done.wait(EVERY):
            self._look()

    def _look(self) -> None:
        total = 0
        this = psutil.Process()
        for process in (this, *this.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        self._peak = max(self._peak, total)
