"""Fraud is watched itself: nothing waits, the model still fits, and planted fraud is found where the truth is known."""

from pathlib import Path

import dagster as dg

from sv_assets import settings as environment
from sv_assets.components.station import explained_failures
from sv_assets.fraud.drift import drift
from sv_assets.fraud.evaluate import TRUTH, quality_of_store, read_truth
from sv_assets.fraud.evaluating import waiting
from sv_assets.fraud.model import applied
from sv_assets.fraud.settings import load_settings
from sv_assets.resources import MongoResource


@dg.asset_check(
    asset=dg.AssetKey(["fraud", "signals"]),
    description="There are signals of every order that says when it was placed, and of no other.",
)
def every_order_has_signals(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        left = waiting(store)
        orders = store.single_view["orders"].count_documents({})
        timeless = store.single_view["orders"].count_documents({"placed_at": None})
        signals = store.fraud["signals"].count_documents({})
    wanted, may_differ = orders - timeless, left.orders + left.gone + left.facts
    return dg.AssetCheckResult(
        passed=abs(wanted - signals) <= may_differ,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{signals:,} orders have signals, of {wanted:,} that say when they were placed "
        f"({timeless:,} do not); {may_differ:,} wait.",
        metadata={"orders": orders, "with_signals": signals, "timeless": timeless, "waiting": may_differ},
    )


@dg.asset_check(
    asset=dg.AssetKey(["fraud", "model"]),
    description="Orders are still like those that the model was trained on (population stability index of each signal).",
)
def orders_are_as_in_training(mongo: MongoResource) -> dg.AssetCheckResult:
    declared = load_settings().drift
    with explained_failures(), mongo.store() as store:
        model = applied(store)
        found = drift(store, model, declared) if model else None
    if found is None or not found.by_signal:
        compared = found.orders if found else 0
        return dg.AssetCheckResult(
            passed=True,
            description=f"{compared:,} orders of the last {declared.days} days are too few to tell."
            if model
            else "There is no model yet: 0 orders are compared.",
        )
    beyond = found.beyond(declared.warn_at)
    worst = max(found.by_signal, key=lambda name: found.by_signal[name])
    told = ", ".join(f"{name} {value:.2f}" for name, value in sorted(beyond.items(), key=lambda one: -one[1]))
    return dg.AssetCheckResult(
        passed=not beyond,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(beyond)} signals drifted beyond {declared.warn_at}: {told}. `sv fraud train` trains a new model."
        if beyond
        else f"No signal drifted beyond {declared.warn_at} over {found.orders:,} orders; the most is {worst} "
        f"({found.by_signal[worst]:.2f}).",
        metadata={"orders": found.orders, "drifted": len(beyond), "largest": found.by_signal[worst]},
    )


@dg.asset_check(
    asset=dg.AssetKey(["fraud", "scores"]),
    description="Of the fraud that the embedded estate's generator planted, how much is flagged, and how much of what is flagged is fraud.",
)
def planted_fraud_is_found(mongo: MongoResource) -> dg.AssetCheckResult:
    least_precision, least_recall = 0.5, 0.5
    file = environment.variable(TRUTH)
    if file is None or not Path(file).exists():
        return dg.AssetCheckResult(
            passed=True, description="The truth is known of 0 orders here; embedded estates know it of all."
        )
    with explained_failures(), mongo.store() as store:
        found = quality_of_store(store, read_truth(Path(file)), load_settings().precision_at)
    precision, recall = found["precision"] or 0.0, found["recall"] or 0.0
    return dg.AssetCheckResult(
        passed=not found["fraud"] or (precision >= least_precision and recall >= least_recall),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Of {found['fraud']:,} planted orders {recall:.1%} are flagged, in {found['incidents_found']:,} of "
        f"{found['incidents']:,} incidents; of {found['flagged']:,} flagged orders {precision:.1%} are fraud.",
        metadata={
            "precision": precision,
            "recall": recall,
            "incidents": found["incidents"],
            "found": found["incidents_found"],
        },
    )
