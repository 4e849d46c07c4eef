"""What the fraud team declares in `defs/fraud/settings.yaml`: rules over signals, when a case opens, the model, drift."""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from sv_assets.catalogue.entry import Entry, load_entry
from sv_assets.fraud.signals import FORM, SIGNALS
from sv_assets.mongo import content_hash

ANOMALY = "anomaly"
"""The name under which the model stands beside the rules."""
MOST_LEAVES = 250_000
"""So many leaves a forest has at most: two nodes of 26 bytes for each, and MongoDB takes documents up to 16 MiB."""
DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "fraud" / "settings.yaml"


class Bounds(Entry):
    """From where to where a signal must lie; both ends count."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Bounds":
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"nothing is at least {self.at_least} and at most {self.at_most}")
        return self

    def hold(self, value: float) -> bool:
        """True if the value lies between them."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


class Rule(Entry):
    """A rule: it fires where every signal of `when` lies within its bounds, and then counts `points`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    says: Annotated[str, Field(min_length=1)]
    points: Annotated[int, Field(gt=0, le=1000)]
    when: Annotated[dict[str, Bounds], Field(min_length=1)]

    @model_validator(mode="after")
    def _signals_are_known(self) -> "Rule":
        for name in self.when:
            if name not in SIGNALS:
                raise ValueError(f"rule {self.name}: there is no signal {name}; known are {', '.join(SIGNALS)}")
        return self


class Anomaly(Entry):
    """From which share of ordinary orders on, that are less unusual, an order counts how many points."""

    above: Annotated[float, Field(gt=0, lt=1)]
    points: Annotated[int, Field(gt=0, le=1000)]


class CaseSettings(Entry):
    """A case opens at `open_from` points. One decided otherwise than as fraud is taken up again when a rule fires that
    had not when it was decided, or when it has `reopen_points` more."""

    open_from: Annotated[int, Field(gt=0)]
    reopen_points: Annotated[int, Field(gt=0)]


class ModelSettings(Entry):
    """The isolation forest: trained from so many orders on, on at most `orders` of them, again after so many days."""

    trees: Annotated[int, Field(ge=10, le=1000)] = 100
    sample: Annotated[int, Field(ge=32, le=4096)] = 256
    seed: int = 20260101
    train_from: Annotated[int, Field(ge=50)] = 500
    orders: Annotated[int, Field(ge=500)] = 20_000
    again_after_days: Annotated[int, Field(ge=1)] = 28

    @model_validator(mode="after")
    def _can_be_trained(self) -> "ModelSettings":
        if self.trees * self.sample > MOST_LEAVES:
            raise ValueError(
                f"{self.trees} trees over {self.sample} orders each are more than one document holds; "
                f"trees times sample is at most {MOST_LEAVES:,}"
            )
        if self.train_from > self.orders:
            raise ValueError(
                f"train_from ({self.train_from}) is more than orders ({self.orders}), so that no model would ever be trained"
            )
        return self


class DriftSettings(Entry):
    """The population stability index of each signal, over the orders of the last `days`, at which we warn."""

    warn_at: Annotated[float, Field(gt=0)] = 0.25
    days: Annotated[int, Field(ge=1)] = 60
    at_least: Annotated[int, Field(ge=50)] = 300


class FraudSettings(Entry):
    """All of it. `cancelled`, `declined` and `chargebacks` are the systems' words for such orders, payments and refunds,
    `unknown` those for a card or device that they do not know."""

    unknown: list[str] = []
    cancelled: list[str] = []
    declined: list[str] = []
    chargebacks: list[str] = []
    rules: Annotated[list[Rule], Field(min_length=1)]
    anomaly: list[Anomaly] = []
    cases: CaseSettings
    model: ModelSettings = ModelSettings()
    drift: DriftSettings = DriftSettings()
    precision_at: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [10, 50, 100]

    @model_validator(mode="after")
    def _names_are_one_each(self) -> "FraudSettings":
        if len({rule.name for rule in self.rules}) < len(self.rules):
            raise ValueError("two rules have the same name")
        if any(rule.name == ANOMALY for rule in self.rules):
            raise ValueError(f"{ANOMALY} is the name of the model's own points; give the rule another one")
        return self

    @cached_property
    def words_of_unknown(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in self.unknown)

    @cached_property
    def words_of_cancelled(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in self.cancelled)

    @cached_property
    def words_of_declined(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in self.declined)

    @cached_property
    def words_of_chargebacks(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in self.chargebacks)

    @cached_property
    def reading(self) -> str:
        """Changes with whatever makes other facts or signals of the same orders."""
        declared = {
            "form": FORM,
            "unknown": sorted(self.words_of_unknown),
            "cancelled": sorted(self.words_of_cancelled),
            "declined": sorted(self.words_of_declined),
            "back": sorted(self.words_of_chargebacks),
        }
        return content_hash(declared)[:12]

    @cached_property
    def judging(self) -> str:
        """Changes with whatever makes other scores of the same signals."""
        rules = [rule.model_dump() for rule in self.rules]
        return content_hash(
            {"rules": rules, "anomaly": [a.model_dump() for a in self.anomaly], "open": self.cases.open_from}
        )[:12]

    @cached_property
    def deciding(self) -> str:
        """Changes with whatever makes other cases of the same scores."""
        return content_hash(self.cases.model_dump())[:12]


@lru_cache
def load_settings(path: Path = DEFAULT) -> FraudSettings:
    """Read the settings. Raises ConfigurationError with file, place and allowed values."""
    return load_entry(FraudSettings, path)
