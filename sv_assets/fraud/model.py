"""The model of ordinary orders: its forest, what its scores mean, and what the signals were when it was trained.

Every model is kept, under a version that is a hash of what it is; `state` says which one counts. Training is repeatable: the
sample is chosen by the ids of the orders alone, so the same signals give the same model.
"""

import datetime as dt
import heapq
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sv_assets.errors import SvError
from sv_assets.fraud.collections import MODELS, SIGNALS, STATE
from sv_assets.fraud.forest import Floats, Forest, grow, read_forest
from sv_assets.fraud.keys import digest
from sv_assets.fraud.settings import FraudSettings
from sv_assets.fraud.signals import FORM, NAMES
from sv_assets.mongo import Document, Store, content_hash

log = logging.getLogger(__name__)
APPLIED = "model"
_GRID = np.concatenate([np.linspace(0, 0.99, 100), np.linspace(0.991, 1.0, 100)])
_BINS = 10


@dataclass(frozen=True)
class Model:
    """`names` are the signals in their order; `typical` a typical value of each; `levels` the scores at `shares` of ordinary orders."""

    version: str
    names: tuple[str, ...]
    forest: Forest
    typical: Floats
    levels: Floats
    shares: Floats
    bins: Mapping[str, Document]
    trained_at: dt.datetime
    orders: int
    made_with: str = ""
    """By which settings, of signals made in which way."""

    def rows(self, signals: Iterable[Mapping[str, float]]) -> Floats:
        """Signals as rows; what a document lacks has its typical value."""
        usual = dict(zip(self.names, self.typical.tolist(), strict=True))
        rows = [[float(one.get(name, usual[name])) for name in self.names] for one in signals]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.names))

    def rarity(self, scores: Floats) -> Floats:
        """Which share of ordinary orders is less unusual, for each score. What many of them have is above none of those."""
        levels, first = np.unique(self.levels, return_index=True)
        found: Floats = np.interp(scores, levels, self.shares[first], right=1.0)
        return found


def train(store: Store, settings: FraudSettings, now: dt.datetime) -> Model | None:
    """Train on the orders that are not known to be fraud, and store the model. None where they are too few.

    Known to be fraud are those that a human decided to be, and those that a bank charged back.
    """
    sample = sorted(_sample(store, settings.model.orders), key=lambda one: str(one["_id"]))
    if len(sample) < settings.model.train_from:
        return None
    rows = np.array([[float(one["signals"].get(name, 0.0)) for name in NAMES] for one in sample])
    declared = settings.model
    forest = grow(rows, trees=declared.trees, sample=declared.sample, seed=declared.seed)
    levels = np.maximum.accumulate(np.quantile(forest.scores(rows), _GRID))
    content: Document = {
        "names": list(NAMES),
        "made_with": made_with(settings),
        "forest": forest.stored(),
        "typical": np.median(rows, axis=0).tolist(),
        "levels": levels.tolist(),
        "shares": _GRID.tolist(),
        "bins": {name: _bins_of(rows[:, n]) for n, name in enumerate(NAMES)},
        "orders": len(rows),
    }
    version = f"m-{content_hash(content)[:10]}"
    # One of this version that is there already is the same, or was damaged.
    change = {"$set": content, "$setOnInsert": {"trained_at": now}}
    store.fraud[MODELS].update_one({"_id": version}, change, upsert=True)
    return load(store, version)


def apply(store: Store, version: str, now: dt.datetime) -> None:
    """Let a model count: all orders are scored by it in the next run. Raises SvError where there is none of that version."""
    load(store, version)
    store.fraud[STATE].replace_one({"_id": APPLIED}, {"version": version, "applied_at": now}, upsert=True)


def applied(store: Store) -> Model | None:
    """The model that counts; None before the first."""
    state = store.fraud[STATE].find_one({"_id": APPLIED})
    return load(store, state["version"]) if state else None


def load(store: Store, version: str) -> Model:
    """A stored model. Raises SvError where there is none, or it cannot be read."""
    found = store.fraud[MODELS].find_one({"_id": version})
    if found is None:
        raise SvError(f"There is no fraud model {version}. `sv fraud train` trains one, and lets it count.")
    return Model(
        version,
        tuple(found["names"]),
        read_forest(found["forest"]),
        np.array(found["typical"]),
        np.array(found["levels"]),
        np.array(found["shares"]),
        found["bins"],
        found["trained_at"],
        found["orders"],
        found.get("made_with", ""),
    )


def refresh_model(
    store: Store, settings: FraudSettings, now: dt.datetime, *, again: bool = False
) -> tuple[Model | None, bool]:
    """The model that counts, and whether it was trained now: the first time, when asked (`again`), when it is old, when it
    cannot be read, or when the settings or the making of signals have changed since."""
    try:
        known = applied(store)
    except SvError:
        log.warning("the fraud model that counts cannot be read; a new one is trained")
        known = None
    state = store.fraud[STATE].find_one({"_id": APPLIED}) or {}
    # The same orders give the same model, which stays as it is: when that was found out is kept beside it.
    last = None if known is None else max(known.trained_at, state.get("trained_again_at", known.trained_at))
    due = last is None or now - last >= dt.timedelta(days=settings.model.again_after_days)
    due = due or (known is not None and (known.names, known.made_with) != (NAMES, made_with(settings)))
    if not (due or again):
        return known, False
    trained = train(store, settings, now)
    if trained is None:
        return known, False
    if known is None or known.version != trained.version:
        apply(store, trained.version, now)
    store.fraud[STATE].update_one({"_id": APPLIED}, {"$set": {"trained_again_at": now}})
    return trained, True


def made_with(settings: FraudSettings) -> str:
    """Changes with whatever makes another model of the same orders."""
    declared = settings.model.model_dump(include={"trees", "sample", "seed", "orders"})
    return content_hash({"form": FORM, **declared})[:12]


def models(store: Store) -> list[Document]:
    """All models, the newest first: `{version, trained_at, orders}`."""
    found = store.fraud[MODELS].find({}, {"trained_at": 1, "orders": 1})
    listed = sorted(found, key=lambda m: (m["trained_at"], str(m["_id"])), reverse=True)
    return [{"version": m["_id"], "trained_at": m["trained_at"], "orders": m["orders"]} for m in listed]


def share_in(values: Floats, edges: Floats) -> Floats:
    """Which share of the values lies in each bin: below the first edge, between two, from the last on."""
    counted = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    shares: Floats = counted / max(len(values), 1)
    return shares


def _sample(store: Store, most: int) -> Iterable[Document]:
    """At most so many orders that are not known to be fraud: those whose ids have the lowest hashes."""
    ordinary = (
        document
        for document in store.fraud[SIGNALS].find({}, {"signals": 1, "fraud": 1, "charged_back": 1}).batch_size(5_000)
        if not document["fraud"] and not document["charged_back"]
    )
    return heapq.nsmallest(most, ordinary, key=lambda d: (digest(f"sample {d['_id']}"), str(d["_id"])))


def _bins_of(values: Floats) -> Document:
    """Edges between about equal parts of the values, and the share in each: of few distinct values, each is one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    edges = np.unique(np.concatenate([edges, np.nextafter(edges[-1:], np.inf)])) if len(edges) else edges
    return {"edges": edges.tolist(), "shares": share_in(values, edges).tolist()}
