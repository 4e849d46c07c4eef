"""The declared rules over the signals of an order, and the points that they and the model give."""

from collections.abc import Mapping, Sequence

from sv_assets.fraud.settings import Anomaly, FraudSettings, Rule
from sv_assets.fraud.signals import in_words
from sv_assets.mongo import Document


def fired(settings: FraudSettings, signals: Mapping[str, float]) -> list[Rule]:
    """The rules of which every signal lies within its bounds. A signal that is not there fires nothing."""
    return [
        rule
        for rule in settings.rules
        if all(name in signals and bounds.hold(signals[name]) for name, bounds in rule.when.items())
    ]


def because(rule: Rule, signals: Mapping[str, float]) -> Document:
    """Why a rule fired, in words."""
    values = [in_words(name, signals[name]) for name, bounds in rule.when.items() if bounds.at_least is not None]
    return {"rule": rule.name, "points": rule.points, "says": rule.says, "because": values}


def anomaly_points(levels: Sequence[Anomaly], rarity: float | None) -> int:
    """The points of the highest level that the order is above; none without a model."""
    return max((level.points for level in levels if rarity is not None and rarity > level.above), default=0)
