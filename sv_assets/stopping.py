"""Ending in good order when the system asks for it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yields what says whether SIGTERM has come. The work that looks at it ends in its own time; the process then ends.

    Where somebody else handles SIGTERM (Dagster raises in the middle of the work), or outside the main thread, it never
    says so.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield asked.is_set
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if asked.is_set():
            signal.raise_signal(signal.SIGTERM)
