"""The probabilistic model: how much each level of agreement says, and how it is learnt from data without labels.

It is Fellegi and Sunter's model, as Splink has it, with one class of pairs more. Beside pairs of one person and of two
strangers there are pairs of *two people of one household*, who share surname, address and landline, and now and then an
e-mail; two classes would take them for one person who changed the first name. So a pair has two weights:

- against strangers: log2 of P(agreement | one person) / P(agreement | strangers), by Splink;
- against the household: the same with P(agreement | household), where first names, titles, birth dates and strong
  identifiers agree as by chance, and the rest as the data say that households agree.

Both start from the odds of the classes. The weight of the pair is what is left when both doubts are weighed together,
the household one `household_caution` bits heavier.

Training is expectation-maximisation over the patterns of agreement of all candidate pairs. The frequencies of chance
agreement come from random pairs and, for equal values, from counting; what matches explain is taken off them. Pairs that
are no candidates are taken for strangers, so that the odds are those among all pairs and not among the blocked ones.
Every probability starts from a belief (see `comparisons`) that weighs as much as `PSEUDO_PAIRS` pairs.
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sv_assets.identity.comparisons import Comparison, comparisons
from sv_assets.mongo import Document, content_hash

Numbers = npt.NDArray[np.float64]
PSEUDO_PAIRS = 20.0
PSEUDO_CHANCE = 2_000.0
"""How many random pairs the belief in chance agreement weighs."""
ROUNDS = 100
NOT_ALL_ARE_MATCHES = 0.01
"""Of the pairs that agree in a rare value, at least so many are taken to do so by chance."""
BELIEVED = 0.1
"""Of the chance agreement that is believed in, at least this part stays: a random sample does not show what is rare."""
MAY_DIFFER = 0.15
"""No more of one person's pairs can wholly differ in what is personal: what is beyond that is two people."""
TELLS_APART = 0.02
"""How many household pairs there must be for each of one person, if there is more than names to tell them apart …"""
NAMES_ALONE = 0.25
"""… and if there are only names. Below that, mistyped first names and households cannot be told apart."""
POPULATION = 100_000
"""How many people the built-in model takes the customers to be drawn from."""


@dataclass(frozen=True)
class LevelModel:
    """P(level | class) of one level of one comparison."""

    same: float
    chance: float
    household: float

    @property
    def against_strangers(self) -> float:
        return math.log2(self.same / self.chance)

    @property
    def against_household(self) -> float:
        return math.log2(self.same / self.household)


@dataclass(frozen=True)
class Model:
    """What was learnt. `matches` and `households` are shares of all pairs; `households` is None where there are none to tell.

    `frequencies` holds, by column, the share of records with each frequent value.
    """

    levels: Mapping[str, tuple[LevelModel, ...]]
    matches: float
    households: float | None
    frequencies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    identifiers: tuple[str, ...] = ()
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    created_at: dt.datetime | None = None

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return comparisons(self.identifiers)

    @cached_property
    def version(self) -> str:
        """The id of the model: the same for the same content."""
        return f"m-{content_hash({**self.as_document(), 'created_at': None, 'trained_on': None})[:12]}"

    @property
    def fits(self) -> bool:
        """False if it was trained when records were compared otherwise than now."""
        asked = {comparison.name: len(comparison.observed) for comparison in self.comparisons}
        return {name: len(levels) for name, levels in self.levels.items()} == asked

    @property
    def start_against_strangers(self) -> float:
        """The weight that a pair starts from."""
        return math.log2(self.matches / (1 - self.matches - (self.households or 0)))

    @property
    def start_against_household(self) -> float | None:
        return math.log2(self.matches / self.households) if self.households else None

    def as_document(self) -> Document:
        return {
            "levels": {
                name: [[level.same, level.chance, level.household] for level in levels]
                for name, levels in self.levels.items()
            },
            "matches": self.matches,
            "households": self.households,
            "frequencies": {
                column: [[value, share] for value, share in sorted(shares.items())]
                for column, shares in self.frequencies.items()
            },
            "identifiers": list(self.identifiers),
            "trained_on": dict(self.trained_on),
            "created_at": self.created_at,
        }

    @classmethod
    def from_document(cls, document: Document) -> "Model":
        model = cls(
            levels={name: tuple(LevelModel(*p) for p in levels) for name, levels in document["levels"].items()},
            matches=document["matches"],
            households=document["households"],
            frequencies={column: dict(pairs) for column, pairs in document["frequencies"].items()},
            identifiers=tuple(document["identifiers"]),
            trained_on=document["trained_on"],
            created_at=document["created_at"],
        )
        if "_id" in document:  # it keeps its version, also where names of erased people were taken out of it
            model.__dict__["version"] = document["_id"]
        return model


def built_in(identifiers: Sequence[str] = ()) -> Model:
    """What is believed before any data is seen; good enough for a shop of any size, and what a small estate is matched by."""
    levels = {
        comparison.name: tuple(
            LevelModel(level.same, level.chance, level.household if comparison.shared else level.chance)
            for level in comparison.observed
        )
        for comparison in comparisons(identifiers)
    }
    odds = 1.0 / POPULATION
    return Model(levels, odds, odds, identifiers=tuple(sorted(identifiers)))


@dataclass(frozen=True)
class Patterns:
    """What training looks at.

    `levels`: one row a pattern of agreement, one column a comparison, -1 for nothing to compare; `pairs`: how many
    candidate pairs show it. `chance`: by comparison, how many of all pairs show each level. `all_pairs`: how many there are.
    """

    levels: npt.NDArray[np.int64]
    pairs: Numbers
    chance: list[Numbers]
    all_pairs: float


def learn(patterns: Patterns, identifiers: Sequence[str], **about: Any) -> Model:
    """The model that explains the patterns best. Drops the household class where the data do not show one."""
    compared = comparisons(identifiers)
    with_households = _maximise(patterns, compared, households=True)
    personal = [
        j
        for j, comparison in enumerate(compared)
        if not comparison.shared and comparison.name not in ("first_name", "title")
    ]
    weight = patterns.pairs.sum() or 1.0
    told_apart = any(patterns.pairs[patterns.levels[:, j] >= 0].sum() / weight > 0.02 for j in personal)
    ratio = with_households.households / with_households.matches
    found = ratio >= (TELLS_APART if told_apart else NAMES_ALONE)
    fitted = with_households if found else _maximise(patterns, compared, households=False)
    levels = {
        comparison.name: tuple(
            LevelModel(float(same), float(chance), float(household))
            for same, chance, household in zip(
                fitted.same[j],
                fitted.chance[j],
                fitted.household[j] if comparison.shared else fitted.chance[j],
                strict=True,
            )
        )
        for j, comparison in enumerate(compared)
    }
    return Model(
        levels=levels,
        matches=fitted.matches,
        households=fitted.households if found else None,
        identifiers=tuple(sorted(identifiers)),
        trained_on={"candidate_pairs": float(patterns.pairs.sum()), "households_per_match": ratio, **about},
        created_at=dt.datetime.now(dt.timezone.utc).replace(microsecond=0),
    )


@dataclass
class _Fit:
    same: list[Numbers]
    chance: list[Numbers]
    household: list[Numbers]
    matches: float
    households: float


def _maximise(patterns: Patterns, compared: Sequence[Comparison], *, households: bool) -> _Fit:
    belief = [np.array([level.same for level in c.observed]) for c in compared]
    belief_household = [
        np.array([level.household if c.shared else level.chance for level in c.observed]) for c in compared
    ]
    belief_chance = [np.array([level.chance for level in c.observed]) for c in compared]
    belief, belief_household, belief_chance = (
        [p / p.sum() for p in beliefs] for beliefs in (belief, belief_household, belief_chance)
    )
    everything = max(patterns.all_pairs, 1.0)
    chance_pairs = [
        np.maximum(seen + PSEUDO_CHANCE * b, 1e-9) for seen, b in zip(patterns.chance, belief_chance, strict=True)
    ]
    fit = _Fit(
        same=list(belief),
        chance=[pairs / pairs.sum() for pairs in chance_pairs],
        household=list(belief_household),
        matches=min(0.2, max(patterns.pairs.sum(), 1.0) / everything / 2),
        households=min(0.2, max(patterns.pairs.sum(), 1.0) / everything / 2) if households else 0.0,
    )
    for _ in range(ROUNDS):
        before = fit.matches
        matched, housed = _expect(patterns, compared, fit)
        fit.matches = min(max(matched.sum(), 0.5) / everything, 0.5)
        fit.households = min(max(housed.sum(), 0.5) / everything, 0.4) if households else 0.0
        for j, comparison in enumerate(compared):
            size = len(belief[j])
            pairs_same = _by_level(patterns.levels[:, j], matched, size)
            pairs_household = _by_level(patterns.levels[:, j], housed, size)
            fit.same[j] = _share(pairs_same, belief[j])
            if not comparison.shared and fit.same[j][-1] > MAY_DIFFER:
                fit.same[j][:-1] *= (1 - MAY_DIFFER) / fit.same[j][:-1].sum()
                fit.same[j][-1] = MAY_DIFFER
            fit.household[j] = _share(pairs_household, belief_household[j])
            explained = pairs_same + (pairs_household if comparison.shared else 0.0)
            least = np.maximum(BELIEVED * belief_chance[j] * everything, 0.5 + NOT_ALL_ARE_MATCHES * pairs_same)
            left = np.maximum(chance_pairs[j] - explained, least)
            fit.chance[j] = left / left.sum()
        if abs(fit.matches - before) <= 1e-7 * before:
            break
    return fit


def _expect(patterns: Patterns, compared: Sequence[Comparison], fit: _Fit) -> tuple[Numbers, Numbers]:
    """How many of the pairs of each pattern are of one person, and of one household."""

    def log_odds(start: float, tables: Sequence[Numbers]) -> Numbers:
        weights = np.full(len(patterns.pairs), math.log(start) if start > 0 else -np.inf)
        for j, table in enumerate(tables):
            weights += np.append(np.log(table), 0.0)[patterns.levels[:, j]]
        return weights

    within = [fit.household[j] if c.shared else fit.chance[j] for j, c in enumerate(compared)]
    classes = np.stack(
        [
            log_odds(fit.matches, fit.same),
            log_odds(fit.households, within),
            log_odds(1 - fit.matches - fit.households, fit.chance),
        ]
    )
    if not len(patterns.pairs):
        return patterns.pairs, patterns.pairs
    shares = np.exp(classes - classes.max(axis=0))
    shares /= shares.sum(axis=0)
    return shares[0] * patterns.pairs, shares[1] * patterns.pairs


def _by_level(levels: npt.NDArray[np.int64], weights: Numbers, size: int) -> Numbers:
    seen = levels >= 0
    return np.bincount(levels[seen], weights[seen], minlength=size).astype(np.float64)


def _share(pairs: Numbers, belief: Numbers) -> Numbers:
    return np.asarray((pairs + PSEUDO_PAIRS * belief) / (pairs.sum() + PSEUDO_PAIRS))
