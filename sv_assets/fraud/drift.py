"""Whether orders are still like those that the model was trained on: the population stability index of each signal.

PSI is the sum over bins of (now - then) · ln(now / then); 0.1 is little, from 0.25 on a model is usually trained again
(Siddiqi, Credit Risk Scorecards, 2006). Signals that grow with the age of the data alone are left out.
"""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from sv_assets.fraud.collections import SIGNALS
from sv_assets.fraud.forest import Floats
from sv_assets.fraud.model import Model, share_in
from sv_assets.fraud.settings import DriftSettings
from sv_assets.fraud.windows import earliest
from sv_assets.mongo import Store

GROWS_BY_ITSELF = frozenset({"known_days"})
_LEAST = 1e-4
"""A bin without orders counts as this share."""


@dataclass(frozen=True)
class Drift:
    """The index by signal, over how many orders; none where those are too few to tell."""

    orders: int
    by_signal: dict[str, float]

    def beyond(self, limit: float) -> dict[str, float]:
        """The signals whose index reaches the limit."""
        return {name: value for name, value in self.by_signal.items() if value >= limit}


def drift(store: Store, model: Model, settings: DriftSettings, now: dt.datetime | None = None) -> Drift:
    """How far the orders of the last days before the latest one are from those of the training.

    An order that says it was placed after `now` is a mistake, and not the latest one.
    """
    placed = {"at": {"$lte": now or dt.datetime.now(dt.timezone.utc)}}
    newest = next(iter(store.fraud[SIGNALS].find(placed, {"at": 1}).sort("at", -1).limit(1)), None)
    if newest is None:
        return Drift(0, {})
    since = earliest(newest["at"], dt.timedelta(days=settings.days))
    span = {"at": {"$gte": since, "$lte": newest["at"]}}
    recent = store.fraud[SIGNALS].find(span, {"signals": 1}).batch_size(5_000)
    rows = model.rows(one["signals"] for one in recent)
    if len(rows) < settings.at_least:
        return Drift(len(rows), {})
    found = {}
    for n, name in enumerate(model.names):
        if name not in GROWS_BY_ITSELF:
            edges = np.array(model.bins[name]["edges"], dtype=np.float64)
            found[name] = round(index(np.array(model.bins[name]["shares"]), share_in(rows[:, n], edges)), 4)
    return Drift(len(rows), found)


def index(then: Floats, now: Floats) -> float:
    """The population stability index between two distributions over the same bins."""
    then, now = np.maximum(then, _LEAST), np.maximum(now, _LEAST)
    return float(np.sum((now - then) * np.log(now / then)))
