"""Fraud, on the customer collections: signals of every order, the model of ordinary ones, scores, cases, and how well it goes."""

import datetime as dt
import time
from collections import Counter
from typing import Any

import dagster as dg

from sv_assets.components.following import follows_its_sources
from sv_assets.components.lineage import COLUMN_LINEAGE, column_lineage, consumer_metadata
from sv_assets.components.station import RETRIES, WRITTEN, StationConfig, explained_failures, place_of, run_station
from sv_assets.customers.lineage import Lineage
from sv_assets.fraud import charts, lineage, metrics
from sv_assets.fraud.drift import drift
from sv_assets.fraud.evaluating import refresh_signals
from sv_assets.fraud.model import models, refresh_model
from sv_assets.fraud.review import refresh_cases
from sv_assets.fraud.scoring import refresh_scores
from sv_assets.fraud.settings import load_settings
from sv_assets.fraud.signals import SIGNALS
from sv_assets.mongo import Document, Store
from sv_assets.resources import MongoResource


def _key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["fraud", name])


_COMMON: dict[str, Any] = {
    "group_name": "fraud",
    "owners": ["team:fraud"],
    "kinds": {"python", "mongodb"},
    "automation_condition": follows_its_sources(*map(_key, ("signals", "model", "scores", "cases", "metrics"))),
}


def _lineage(found: Lineage) -> Document:
    return {COLUMN_LINEAGE: column_lineage(found)}


@dg.asset(
    key=_key("signals"),
    deps=[["single_view", "orders"], ["single_view", "customers"]],
    description="What of each order looks like fraud, as numbers over windows before it, each in words.",
    metadata=consumer_metadata(
        "fraud/signals", {name: signal.says for name, signal in SIGNALS.items()}, lineage.of_signals()
    ),
    retry_policy=RETRIES,
    **_COMMON,
)
def signals(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(
        mongo,
        "fraud",
        "signals",
        lambda store: refresh_signals(store, full=config.full),
        _lineage(lineage.of_signals()),
    )


class ModelConfig(dg.Config):
    """`again`: train a new model though the one there is not old yet."""

    again: bool = False


@dg.asset(
    key=_key("model"),
    deps=[_key("signals")],
    description="What ordinary orders are like: an isolation forest, trained the first time, when it is old, and by schedule.",
    metadata=consumer_metadata(
        "fraud/models",
        {
            "_id": "The version.",
            "names": "The signals that it looks at.",
            "orders": "How many orders it was trained on.",
            "trained_at": "When.",
            "forest": "Its trees, as plain numbers.",
            "bins": "How each signal was spread in training.",
        },
    ),
    retry_policy=RETRIES,
    **_COMMON,
)
def model(context: dg.AssetExecutionContext, config: ModelConfig, mongo: MongoResource) -> dg.MaterializeResult:
    settings, started = load_settings(), time.monotonic()
    with explained_failures(), mongo.store() as store:
        known, trained = refresh_model(store, settings, dt.datetime.now(dt.timezone.utc), again=config.again)
        metadata: Document = {**place_of(store, "fraud", "models"), WRITTEN: int(trained), "trained_now": trained}
        metadata |= {"model": "none yet: too few orders", "models": len(models(store))}
        if known is not None:
            found = drift(store, known, settings.drift)
            worst = sorted(found.by_signal.items(), key=lambda one: (-one[1], one[0]))
            picture = charts.bars("drift", "Drift of signals (PSI)", worst, limit=settings.drift.warn_at)
            metadata |= {
                "model": known.version,
                "trained_at": known.trained_at.isoformat(timespec="seconds"),
                "trained_on": known.orders,
                "orders_compared": found.orders,
                "drift": dg.MetadataValue.md(picture),
            }
        return dg.MaterializeResult(metadata={**metadata, "seconds": round(time.monotonic() - started, 3)})


@dg.asset(
    key=_key("scores"),
    deps=[_key("signals"), _key("model")],
    description="The points of each order by rules and model, and why.",
    metadata=consumer_metadata(
        "fraud/scores",
        {
            "_id": "The order.",
            "customer_id": "Whose it is.",
            "at": "When it was placed.",
            "points": "All points.",
            "rules": "Rules that fired.",
            "reasons": "Why, in words.",
            "anomaly": "How unusual it is, of 1.",
            "contributions": "Which signals make it so.",
            "model": "By which version.",
        },
        lineage.of_scores(load_settings()),
    ),
    retry_policy=RETRIES,
    **_COMMON,
)
def scores(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
    return run_station(
        mongo,
        "fraud",
        "scores",
        lambda store: refresh_scores(store, full=config.full),
        _lineage(lineage.of_scores(load_settings())),
    )


@dg.asset(
    key=_key("cases"),
    deps=[_key("scores")],
    description="Orders for a human to look at: open, decided (by whom, why), or withdrawn. `sv fraud cases`, `show`, `decide`.",
    metadata=consumer_metadata(
        "fraud/cases",
        {
            "_id": "The case.",
            "order": "The order.",
            "customer_id": "Whose it is.",
            "state": "Open, decided or withdrawn.",
            "points": "How risky.",
            "rules": "Rules that fired.",
            "opened_at": "Since when.",
        },
        lineage.of_cases(),
    ),
    retry_policy=RETRIES,
    **_COMMON,
)
def cases(context: dg.AssetExecutionContext, config: StationConfig, mongo: MongoResource) -> dg.MaterializeResult:
    result = run_station(
        mongo, "fraud", "cases", lambda store: refresh_cases(store, full=config.full), _lineage(lineage.of_cases())
    )
    with explained_failures(), mongo.store() as store:
        return dg.MaterializeResult(metadata={**(result.metadata or {}), **_of_queue(store)})


def _of_queue(store: Store) -> Document:
    found = list(store.fraud["cases"].find({}, {"state": 1, "rules": 1}))
    states = Counter(case["state"] for case in found)
    rules = Counter(rule for case in found if case["state"] == "open" for rule in case["rules"])
    return {
        **{state: states[state] for state in ("open", "decided", "withdrawn")},
        "open_by_rule": dg.MetadataValue.md(charts.bars("open-cases", "Open cases by rule", rules.most_common())),
    }


@dg.asset(
    key=_key("metrics"),
    deps=[_key("cases")],
    description="How well it goes, by day, rule and model version: lead time, rejections, false alarms, precision at k.",
    metadata=consumer_metadata(
        "fraud/metrics",
        {
            "day": "The day on which cases opened (UTC), or `all` for all of them together.",
            "by": "Of what: `total`, `rule` or `model`.",
            "name": "Of which one.",
            "opened": "Cases that opened.",
            "rejection_rate": "Of what was decided, the share that was fraud.",
            "false_positive_rate": "And that was innocent.",
            "lead_hours": "From order to case.",
            "precision_at": "Of the k riskiest, the share that was fraud.",
        },
    ),
    retry_policy=RETRIES,
    **_COMMON,
)
def figures(context: dg.AssetExecutionContext, mongo: MongoResource) -> dg.MaterializeResult:
    result = run_station(mongo, "fraud", "metrics", metrics.refresh_metrics)
    with explained_failures(), mongo.store() as store:
        return dg.MaterializeResult(metadata={**(result.metadata or {}), **_of_metrics(store)})


def _of_metrics(store: Store) -> Document:
    by_rule = metrics.figures(store, "rule")
    by_model = metrics.figures(store, "model")
    days = metrics.history(store)
    lines = [
        ("cases opened", "more", [(d["day"], float(d["opened"])) for d in days]),
        ("decided: fraud", "threshold", [(d["day"], float(d["fraud"])) for d in days]),
        ("decided: innocent", "below", [(d["day"], float(d["innocent"])) for d in days]),
    ]
    right = [(d["name"], d["rejection_rate"]) for d in by_rule if d["rejection_rate"] is not None]
    found: Document = {
        "by_day": dg.MetadataValue.md(charts.days("by-day", "Cases by the day on which they opened", lines)),
        "right_by_rule": dg.MetadataValue.md(charts.bars("right", "Of what was decided, fraud, by rule", right)),
        "rules": _table(by_rule),
        "by_model": _table(by_model),
    }
    for total in metrics.figures(store):
        shown = (
            "opened",
            "open",
            "decided",
            "fraud",
            "innocent",
            "rejection_rate",
            "false_positive_rate",
            "lead_hours",
        )
        found |= {name: total[name] for name in shown if total[name] is not None}
        found |= {f"precision_at_{k}": v for k, v in total["precision_at"].items() if v is not None}
    return {name: value for name, value in found.items() if value is not None}


def _table(rows: list[Document]) -> dg.TableMetadataValue | None:
    columns = ("name", "opened", "open", "decided", "fraud", "innocent", "rejection_rate", "lead_hours")
    records = [dg.TableRecord({c: "" if row[c] is None else row[c] for c in columns}) for row in rows]
    return dg.MetadataValue.table(records) if records else None
