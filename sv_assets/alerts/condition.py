"""A condition: something that is wrong at this moment, under a name that stays the same from look to look."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from sv_assets.settings import masked

Kind = Literal["run", "check", "freshness", "dead_letters", "review", "source", "channel"]
Severity = Literal["warning", "error"]
Figure = int | float
KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST = 600
"""Characters of a sentence; a chat message is no place for more."""
_PERSONAL = (
    re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+"),
    re.compile(r"(?<![\w-])(?:\+|00)?\d(?:[ ()-]{0,2}\d){9,18}(?![\w-])"),
)


@dataclass(frozen=True)
class Condition:
    """One thing that is wrong.

    `id` is its lasting name (`check landing/crm/customer/quarantine_empty`), `page` the path of its page in the UI, `mend`
    the command that mends it or shows more, `since` when it began where its source knows that.
    """

    id: str
    kind: Kind
    severity: Severity
    title: str
    sentence: str
    owners: tuple[str, ...] = ()
    page: str = ""
    mend: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    since: dt.datetime | None = None


@dataclass(frozen=True)
class Observed:
    """What one look found. Only conditions of the kinds in `looked_at` may be taken for mended: the rest was not seen."""

    conditions: tuple[Condition, ...]
    looked_at: frozenset[Kind]

    @staticmethod
    def together(parts: Iterable["Observed"]) -> "Observed":
        """Several looks as one; of two conditions with one id the first counts."""
        found: dict[str, Condition] = {}
        kinds: set[Kind] = set()
        for part in parts:
            kinds |= part.looked_at
            for condition in part.conditions:
                found.setdefault(condition.id, condition)
        return Observed(tuple(found.values()), frozenset(kinds))


def fit_to_send(condition: Condition) -> Condition:
    """The condition as it may leave the house: bounded, without secrets, and without what looks like an e-mail address
    or a telephone number. Sentences are written without values of rows; this holds where one slips through."""
    numbers = {name: value for name, value in condition.figures.items() if isinstance(value, (int, float))}
    return replace(
        condition, title=_clean(condition.title), sentence=_clean(condition.sentence), figures=numbers, mend=_clean(condition.mend)
    )  # fmt: skip


def _clean(text: str) -> str:
    text = masked(text)
    for pattern in _PERSONAL:
        text = pattern.sub("…", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
