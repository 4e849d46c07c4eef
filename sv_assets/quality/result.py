"""What one evaluation of one check found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["WARN", "ERROR"]


@dataclass(frozen=True)
class Result:
    """One sentence with figures. `asset` is its path, `landing/crm/customer`; `next_step` a command that helps.

    No value of a row stands in any of it: keys may be personal, too.
    """

    check: str
    asset: str
    passed: bool
    sentence: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "WARN"
    next_step: str = ""
    partition: str | None = None

    @property
    def description(self) -> str:
        """The sentence, and what to do where it did not pass."""
        return self.sentence if self.passed or not self.next_step else f"{self.sentence} Next: `{self.next_step}`."
