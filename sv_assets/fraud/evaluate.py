"""How much of the fraud is found, and how much of what is found is fraud: against a truth that is kept apart."""

import csv
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from sv_assets.errors import ConfigurationError
from sv_assets.fraud.collections import SCORES
from sv_assets.mongo import Document, Store

TRUTH = "SV_FRAUD_TRUTH"
"""Names the truth file: `source,key,pattern,incident,fraud`, one line an order that is fraud (1) or only looks like it (0)."""


_COLUMNS = {"source", "key", "pattern", "incident", "fraud"}


class Planted(NamedTuple):
    """What the truth says of an order."""

    pattern: str
    incident: str
    fraud: bool


@dataclass(frozen=True)
class Scored:
    """What the station says of an order."""

    at: dt.datetime
    flagged: bool
    risk: float
    rules: tuple[str, ...]


def read_truth(path: Path) -> dict[str, Planted]:
    """By order (`sales.orderheader:3000001`). Raises ConfigurationError for a file that is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not _COLUMNS.issubset(reader.fieldnames or ()):
                raise KeyError
            return {f"{row['source']}:{row['key']}": _planted(row) for row in reader}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"{path} cannot be read as a truth about fraud ({type(error).__name__}). "
            "It has the columns source, key, pattern, incident, fraud (1 or 0), and no line that is cut off."
        ) from None


def _planted(row: Mapping[str, str | None]) -> Planted:
    """What a line says. Raises KeyError for one that does not say all of it."""
    pattern, incident, fraud = row["pattern"], row["incident"], row["fraud"]
    if None in row or pattern is None or incident is None or fraud not in ("0", "1"):
        raise KeyError
    return Planted(pattern, incident, fraud == "1")


def quality_of_store(store: Store, truth: Mapping[str, Planted], precision_at: Sequence[int]) -> Document:
    """The quality of the scores in a store; see `quality`."""
    fields = {"at": 1, "flagged": 1, "risk": 1, "rules": 1, "gone": 1}
    found = store.fraud[SCORES].find({}, fields).batch_size(5_000)
    scores = {d["_id"]: Scored(d["at"], d["flagged"], d["risk"], tuple(d["rules"])) for d in found if not d.get("gone")}
    return quality(scores, truth, precision_at)


def quality(scores: Mapping[str, Scored], truth: Mapping[str, Planted], precision_at: Sequence[int]) -> Document:
    """`{orders, fraud, flagged, precision, recall, false_positive_rate, incidents, incidents_found,
    precision_at, patterns, look_alikes, rules}`.

    An incident is found when one of its orders is flagged; `minutes_to_flag` is the median time from its first order to the
    first flagged one. `rules` says of each how many of the orders that it fired on are fraud.
    """
    fraud = {order for order, planted in truth.items() if planted.fraud}
    flagged = {order for order, score in scores.items() if score.flagged}
    hits = flagged & fraud
    honest = len(scores.keys() - fraud)
    ranked = sorted(scores, key=lambda order: (-scores[order].risk, order))
    patterns = _patterns(scores, truth)
    return {
        "orders": len(scores),
        "fraud": len(fraud),
        "flagged": len(flagged),
        "precision": _share(len(hits), len(flagged)),
        "recall": _share(len(hits), len(fraud)),
        "false_positive_rate": _share(len(flagged - fraud), honest),
        "incidents": sum(p["incidents"] for p in patterns.values()),
        "incidents_found": sum(p["incidents_found"] for p in patterns.values()),
        "precision_at": {str(k): _share(len(fraud & set(ranked[:k])), min(k, len(ranked))) for k in precision_at},
        "patterns": patterns,
        "look_alikes": _look_alikes(scores, truth),
        "rules": _rules(scores, fraud),
    }


def _patterns(scores: Mapping[str, Scored], truth: Mapping[str, Planted]) -> dict[str, Document]:
    incidents: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for order, planted in truth.items():
        if planted.fraud:
            incidents[planted.pattern][planted.incident].append(order)
    found: dict[str, Document] = {}
    for pattern, by_incident in sorted(incidents.items()):
        orders = [order for members in by_incident.values() for order in members]
        delays = [_minutes_to_flag(scores, members) for members in by_incident.values()]
        flagged_after = [delay for delay in delays if delay is not None]
        hits = sum(order in scores and scores[order].flagged for order in orders)
        found[pattern] = {
            "orders": len(orders),
            "flagged": hits,
            "recall": _share(hits, len(orders)),
            "incidents": len(by_incident),
            "incidents_found": len(flagged_after),
            "minutes_to_flag": round(median(flagged_after), 1) if flagged_after else None,
        }
    return found


def _minutes_to_flag(scores: Mapping[str, Scored], orders: Sequence[str]) -> float | None:
    placed = [scores[order].at for order in orders if order in scores]
    flagged = [scores[order].at for order in orders if order in scores and scores[order].flagged]
    return (min(flagged) - min(placed)).total_seconds() / 60 if flagged else None


def _look_alikes(scores: Mapping[str, Scored], truth: Mapping[str, Planted]) -> dict[str, Document]:
    orders: dict[str, list[str]] = defaultdict(list)
    for order, planted in truth.items():
        if not planted.fraud:
            orders[planted.pattern].append(order)
    return {
        pattern: {"orders": len(found), "flagged": sum(o in scores and scores[o].flagged for o in found)}
        for pattern, found in sorted(orders.items())
    }


def _rules(scores: Mapping[str, Scored], fraud: set[str]) -> dict[str, Document]:
    fired: dict[str, list[str]] = defaultdict(list)
    for order, score in scores.items():
        for rule in score.rules:
            fired[rule].append(order)
    return {
        rule: {"fired": len(orders), "precision": _share(len(fraud.intersection(orders)), len(orders))}
        for rule, orders in sorted(fired.items())
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
