"""Resolution: the station that decides who is who, from the party records that changed or from all of them.

A run looks at the records on its work list only, and at what they touch (`incremental`); where most records are on it, and
where a new model is applied, at all of them at once (`full`). Both end with the same people, since every step is a pure
function of the records, the applied settings and model, and the decisions of humans.

What is applied (settings and model) is kept in `identity.state`: new settings or a new model count from the full run that
applies them, whose differences can be seen before (`sv identity rerun`).
"""

import datetime as dt
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pymongo import IndexModel

from sv_assets.errors import ConfigurationError
from sv_assets.identity import households
from sv_assets.identity.customer_ids import STATION, ensure_id_indexes
from sv_assets.identity.decisions import tell
from sv_assets.identity.model import Model, built_in
from sv_assets.identity.party import StationReport
from sv_assets.identity.settings import IdentitySettings, load_settings
from sv_assets.lease import lease
from sv_assets.mongo import Store, ensure_indexes, insert_missing

log = logging.getLogger(__name__)
FULL_FROM = 5_000
"""With fewer pending records a run is always incremental."""
FULL_SHARE = 0.1
"""With more, it is if they are no more than this share of all."""
LINK_INDEXES = [IndexModel([("ends", 1)])]


@dataclass
class IdentityReport(StationReport):
    """What a run of identity did, and what its pictures show."""

    mode: str = "incremental"
    model: str = ""
    weights: dict[int, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    capped: list[tuple[str, int, int]] = field(default_factory=list)

    def add_link(self, link: Mapping[str, Any]) -> None:
        """Count a link that was found."""
        for rule in link["rules"]:
            self.rules[rule] = self.rules.get(rule, 0) + 1

    def add_weights(self, counts: Iterable[tuple[int, int]]) -> None:
        """Count pairs by the whole bits that they weigh."""
        for bits, pairs in counts:
            self.weights[bits] = self.weights.get(bits, 0) + pairs


@dataclass(frozen=True)
class Applied:
    """The settings and the model that decide now."""

    settings: IdentitySettings
    model: Model


def refresh_identities(store: Store, settings: IdentitySettings | None = None, *, full: bool = False) -> IdentityReport:
    """Bring links, clusters and ids up to the party records that changed (or all: `full`)."""
    from sv_assets.identity.full import run_full
    from sv_assets.identity.incremental import run_incremental

    report = IdentityReport()
    records = store.identity["party_records"]
    ensure_indexes(store.identity["links"], LINK_INDEXES)
    ensure_id_indexes(store)
    with lease(store, "identity"):
        tell(store)
        applied = applied_now(store)
        full = full or _is_half_applied(store)
        households.refresh_due(store, report)
        pending = records.count_documents({"_sv.pending": STATION})
        if pending == 0 and not full:
            return report
        may_be_many = applied is None or applied.model.created_at is None or pending > FULL_FROM
        total = records.estimated_document_count() if may_be_many else 0  # not fast everywhere
        wants_training = applied is None or _outgrown(applied, total, settings or load_settings())
        if full or (pending > FULL_FROM and pending > FULL_SHARE * total) or (wants_training and pending == total):
            run_full(store, report, applied, settings or load_settings(), train=wants_training)
        else:
            if applied is None:
                applied = apply(store, settings or load_settings(), built_in(identifiers(store)), to_new_only=True)
            run_incremental(store, report, applied)
    return report


def _outgrown(applied: Applied, total: int, settings: IdentitySettings) -> bool:
    """True if the estate is matched by the built-in model, and has become large enough for one of its own."""
    return (
        applied.model.created_at is None and settings.model.version == "latest" and total >= settings.model.train_from
    )


def _is_half_applied(store: Store) -> bool:
    """True if the full run that should have carried out what is applied did not come to its end."""
    return store.identity["state"].find_one({"_id": "applied", "carried_out": False}) is not None


def applied_now(store: Store) -> Applied | None:
    """What decides now; None before the first run.

    In place of a model from when records were compared otherwise comes the built-in one, until the next full run trains
    its successor: all records are then made anew, so that run is at hand.
    """
    state = store.identity["state"].find_one({"_id": "applied"})
    if state is None:
        return None
    found = store.identity["models"].find_one({"_id": state["model"]})
    model = Model.from_document(found) if found else None
    settings = IdentitySettings.model_validate(state["settings"])
    return Applied(settings, model if model and model.fits else built_in(identifiers(store)))


def apply(store: Store, settings: IdentitySettings, model: Model, *, to_new_only: bool = False) -> Applied:
    """Let settings and a model decide from now on: about everybody, in a full run that follows, or `to_new_only`.

    Until that run is through they are not `carried_out`: where it was killed, the next run is a full one.
    """
    store_model(store, model)
    now = dt.datetime.now(dt.timezone.utc)
    state = {"settings": settings.model_dump(), "model": model.version, "at": now, "carried_out": to_new_only}
    store.identity["state"].replace_one({"_id": "applied"}, state, upsert=True)
    return Applied(settings, model)


def identifiers(store: Store) -> list[str]:
    """The names of the strong identifiers that the sources feed, and of those that a stored model was trained with."""
    made = store.identity["state"].find_one({"_id": "normalisation"})
    names = set(made["identifiers"] if made else ())
    return sorted(
        names.union(*(model["identifiers"] for model in store.identity["models"].find({}, {"identifiers": 1})))
    )


def store_model(store: Store, model: Model) -> None:
    """Keep a model under its version; there it never changes."""
    insert_missing(store.identity["models"], [{"_id": model.version, **model.as_document()}])


def stored_model(store: Store, version: str) -> Model:
    """The model with this version, or the newest one that fits (`latest`). Raises ConfigurationError where there is none."""
    models = store.identity["models"]
    if version == "latest":
        newest = models.find({"created_at": {"$ne": None}}).sort("created_at", -1)
        found = next((model for document in newest if (model := Model.from_document(document)).fits), None)
    else:
        document = models.find_one({"_id": version})
        found = Model.from_document(document) if document else None
    if found is None:
        raise ConfigurationError(f"There is no model {version}. `sv identity models` lists those that are stored.")
    if not found.fits:
        raise ConfigurationError(
            f"The model {version} was trained when records were compared otherwise. Train another: `sv identity train`."
        )
    return found
