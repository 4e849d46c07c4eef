"""The evidence of one pair, as plain data: what the page about it is made from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record comes from."""

    system: str
    table: str
    key: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one comparison says. `bits` are those of the level, to which `rarity` adds (rare value) or from which it takes.

    `left` and `right` are the compared values; None where there is none, or it is not to be shown.
    """

    comparison: str
    level: str
    bits: float
    rarity: float = 0.0
    left: str | None = None
    right: str | None = None

    @property
    def weight(self) -> float:
        return self.bits + self.rarity


@dataclass(frozen=True, slots=True)
class Weighing:
    """A weight and how it comes about: the bits that every pair starts from, and what each comparison adds."""

    start: float
    steps: Sequence[Step]

    @property
    def total(self) -> float:
        return self.sums[-1]

    @property
    def sums(self) -> list[float]:
        """The weight at the start and after each step."""
        sums = [self.start]
        for step in self.steps:
            sums.append(sums[-1] + step.weight)
        return sums


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two records are, or are not, one person.

    `verdict` is one sentence. `weight` is what the link counts with, None where there is no link; `caution` is
    `household_caution` of the settings. `rules`, `conflicts`: names of those that hold; `decision`: what a human decided.
    """

    left: Record
    right: Record
    verdict: str
    weight: float | None
    threshold: float
    strangers: Weighing
    household: Weighing | None = None
    caution: float = 0.0
    rules: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    decision: str | None = None
    model: str = ""
    notes: Sequence[str] = ()

    @property
    def weight_by_model(self) -> float:
        """What is left when both doubts are weighed together, as `scoring.score` does it; without household the first alone."""
        if self.household is None:
            return self.strangers.total
        low, high = sorted((self.strangers.total, self.household.total - self.caution))
        return low - math.log2(1 + 2.0 ** (low - high))
