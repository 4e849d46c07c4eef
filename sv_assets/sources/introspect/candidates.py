"""A feed that a table may have, and how sure its names and types make us."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACTIVE_FROM = 0.8
"""A candidate of this confidence is declared; one below it is written as a comment, for a person to decide."""


@dataclass(frozen=True)
class Candidate:
    """`fields` is the feed as it would be declared. `missing` says what it cannot be declared without."""

    feed: str
    fields: Mapping[str, Any]
    confidence: float
    because: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return self.confidence >= ACTIVE_FROM and not self.missing


@dataclass
class Score:
    """Evidence, added up."""

    total: float = 0.0
    because: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, weight: float, reason: str) -> None:
        self.total += weight
        self.because.append(reason)

    def candidate(self, feed: str, fields: Mapping[str, Any], at_most: float = 0.99) -> Candidate:
        """The candidate, without the fields that nothing was found for. What lacks something is below the threshold."""
        limit = min(at_most, 0.75) if self.missing else at_most
        kept = {name: value for name, value in fields.items() if value not in (None, [], {})}
        return Candidate(feed, kept, round(min(self.total, limit), 2), tuple(self.because), tuple(self.missing))
