"""Progress of long work, as log lines: Dagster shows them in the run, `sv` on the terminal."""

import logging
import time

log = logging.getLogger("sv_assets.progress")
EVERY_SECONDS = 5.0


class Progress:
    """Counts, and says every few seconds how far it is and how fast it goes."""

    def __init__(self, what: str, unit: str, total: int | None = None) -> None:
        self._what, self._unit, self._total = what, unit, total
        self._started = self._said = time.monotonic()
        self.done = 0

    def advance(self, count: int) -> None:
        """Add `count` to what is done."""
        self.done += count
        now = time.monotonic()
        if now - self._said >= EVERY_SECONDS:
            self._said = now
            of_total = f" of {self._total:,}" if self._total else ""
            rate = self.done / (now - self._started)
            log.info("%s: %s%s %s, %s a second", self._what, f"{self.done:,}", of_total, self._unit, f"{rate:,.0f}")
