"""Fraud is watched itself: nothing waits, the model still fits, and planted fraud is found where the truth is known."""

from pathlib import Path

import dagster as dg

from sv_assets import settings as environment
from sv_assets.components.recording import station_check
from sv_assets.fraud.drift import drift
from sv_assets.fraud.evaluate import TRUTH, quality_of_store, read_truth
from sv_assets.fraud.evaluating import waiting
from sv_assets.fraud.gathering import of_waiting_customers, without_facts
from sv_assets.fraud.model import applied
from sv_assets.fraud.settings import load_settings
from sv_assets.mongo import Store
from sv_assets.quality.result import Result


@station_check(
    dg.AssetKey(["fraud", "signals"]),
    "There are signals of every order that says when it was placed, and of no other; none of who restricted the use of their data.",
)
def every_order_has_signals(store: Store) -> Result:
    left = waiting(store)
    orders = store.single_view["orders"].count_documents({})
    left_out, timeless = without_facts(store)
    signals = store.fraud["signals"].count_documents({})
    wanted, may_differ = orders - timeless - left_out, left.orders + left.gone + left.facts
    if abs(wanted - signals) > may_differ and left.customers:
        may_differ += of_waiting_customers(store)  # one may have restricted their data just now, or taken that back
    return Result(
        "every_order_has_signals",
        "fraud/signals",
        passed=abs(wanted - signals) <= may_differ,
        severity="WARN",
        sentence=f"{signals:,} orders have signals, of {wanted:,} that say when they were placed "
        f"({timeless:,} do not, and {left_out:,} are not looked at: their customers restricted that); {may_differ:,} wait.",
        figures={
            "orders": orders,
            "with_signals": signals,
            "timeless": timeless,
            "left_out": left_out,
            "waiting": may_differ,
        },
    )


@station_check(
    dg.AssetKey(["fraud", "model"]),
    "Orders are still like those that the model was trained on (population stability index of each signal).",
)
def orders_are_as_in_training(store: Store) -> Result:
    declared = load_settings().drift
    model = applied(store)
    found = drift(store, model, declared) if model else None
    if found is None or not found.by_signal:
        compared = found.orders if found else 0
        return Result(
            "orders_are_as_in_training",
            "fraud/model",
            passed=True,
            sentence=f"{compared:,} orders of the last {declared.days} days are too few to tell."
            if model
            else "There is no model yet: 0 orders are compared.",
        )
    beyond = found.beyond(declared.warn_at)
    worst = max(found.by_signal, key=lambda name: found.by_signal[name])
    told = ", ".join(f"{name} {value:.2f}" for name, value in sorted(beyond.items(), key=lambda one: -one[1]))
    return Result(
        "orders_are_as_in_training",
        "fraud/model",
        passed=not beyond,
        severity="WARN",
        sentence=f"{len(beyond)} signals drifted beyond {declared.warn_at}: {told}. `sv fraud train` trains a new model."
        if beyond
        else f"No signal drifted beyond {declared.warn_at} over {found.orders:,} orders; the most is {worst} "
        f"({found.by_signal[worst]:.2f}).",
        figures={"orders": found.orders, "drifted": len(beyond), "largest": found.by_signal[worst]},
    )


@station_check(
    dg.AssetKey(["fraud", "scores"]),
    "Of the fraud that the embedded estate's generator planted, how much is flagged, and how much of what is flagged is fraud.",
)
def planted_fraud_is_found(store: Store) -> Result:
    least_precision, least_recall = 0.5, 0.5
    file = environment.variable(TRUTH)
    if file is None or not Path(file).exists():
        return Result(
            "planted_fraud_is_found",
            "fraud/scores",
            passed=True,
            sentence="The truth is known of 0 orders here; embedded estates know it of all.",
        )
    found = quality_of_store(store, read_truth(Path(file)), load_settings().precision_at)
    precision, recall = found["precision"] or 0.0, found["recall"] or 0.0
    return Result(
        "planted_fraud_is_found",
        "fraud/scores",
        passed=not found["fraud"] or (precision >= least_precision and recall >= least_recall),
        severity="WARN",
        sentence=f"Of {found['fraud']:,} planted orders {recall:.1%} are flagged, in {found['incidents_found']:,} of "
        f"{found['incidents']:,} incidents; of {found['flagged']:,} flagged orders {precision:.1%} are fraud.",
        figures={
            "precision": precision,
            "recall": recall,
            "incidents": found["incidents"],
            "found": found["incidents_found"],
        },
    )
