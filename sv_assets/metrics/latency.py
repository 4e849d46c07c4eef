"""How long it takes from a landing until the customers are composed of it, told from the runs that ended.

A landing that changed something is covered by the first composition that began after it. Both are remembered for a while,
because the run of one may end before that of the other; folding a run in twice changes nothing.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sv_assets.alerts.runs import BUCKETS
from sv_assets.alerts.storage import ATTEMPTS, compare_and_set
from sv_assets.errors import TransientError
from sv_assets.mongo import Document, Store

LATENCIES, NAME = "latencies", "landed_to_customer"
REMEMBERED = 500
"""Landings, and compositions, that are remembered."""


@dataclass(frozen=True)
class Landed:
    """A landing that changed something; `id` names it for good."""

    id: str
    at: dt.datetime


@dataclass(frozen=True)
class Composition:
    """A run of the station of customers that ended well."""

    id: str
    started_at: dt.datetime
    ended_at: dt.datetime


def fold_latencies(store: Store, landed: Iterable[Landed], composed: Iterable[Composition]) -> None:
    """Remember these, and observe the latency of every landing that is covered now."""
    new_landed, new_composed = list(landed), list(composed)
    if not new_landed and not new_composed:
        return
    collection = store.control[LATENCIES]
    for _ in range(ATTEMPTS):
        before = collection.find_one({"_id": NAME})
        if compare_and_set(collection, before, _folded(before, new_landed, new_composed)):
            return
    raise TransientError("The latencies are being changed by others all the time. The next look tries again.")


def _folded(before: Document | None, landed: list[Landed], composed: list[Composition]) -> Document:
    known: Document = before or {
        "_id": NAME, "waiting": [], "covered": [], "compositions": [], "seconds": 0.0, "buckets": [0] * (len(BUCKETS) + 1),
    }  # fmt: skip
    seen = {*known["covered"], *(one["id"] for one in known["waiting"])}
    waiting = [*known["waiting"], *({"id": one.id, "at": one.at} for one in landed if one.id not in seen)]
    there = {one["id"] for one in known["compositions"]}
    compositions = known["compositions"] + [
        {"id": one.id, "started_at": one.started_at, "ended_at": one.ended_at}
        for one in composed
        if one.id not in there
    ]
    compositions = sorted(compositions, key=lambda one: one["started_at"])[-REMEMBERED:]
    after: Document = {
        **known, "compositions": compositions, "waiting": [], "covered": list(known["covered"]), "buckets": list(known["buckets"]),
    }  # fmt: skip
    for one in waiting:
        by = next((c for c in compositions if c["started_at"] >= one["at"]), None)
        if by is None:
            after["waiting"].append(one)
        else:
            _observe(after, (by["ended_at"] - one["at"]).total_seconds())
            after["covered"].append(one["id"])
    after["waiting"] = after["waiting"][-REMEMBERED:]
    after["covered"] = after["covered"][-4 * REMEMBERED :]
    return after


def _observe(document: dict[str, Any], seconds: float) -> None:
    at = next((n for n, limit in enumerate(BUCKETS) if seconds <= limit), len(BUCKETS))
    document["buckets"][at] += 1
    document["seconds"] += seconds


def quantile(counts: list[int], share: float) -> float | None:
    """The latency that `share` of all stayed below, in seconds, as Prometheus estimates it within a bucket; None without any."""
    total = sum(counts)
    if not total:
        return None
    wanted, below, lower = share * total, 0, 0.0
    for bound, count in zip(BUCKETS, counts, strict=False):
        if count and below + count >= wanted:
            return lower + (bound - lower) * (wanted - below) / count
        below, lower = below + count, bound
    return BUCKETS[-1]
