"""The figures at this moment, read from MongoDB: counters and states that others keep, and counts that cost little."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sv_assets.alerts.alert import Alert
from sv_assets.alerts.backlogs import LOOKS
from sv_assets.alerts.channels import HEALTH
from sv_assets.alerts.checks import MARKS, STATES
from sv_assets.alerts.runs import BUCKETS, JOBS, OUTCOMES, is_failing
from sv_assets.alerts.storage import read_alerts
from sv_assets.catalogue.load import Catalogue
from sv_assets.landing.figures import COUNTED, FIGURES
from sv_assets.metrics import names
from sv_assets.metrics.latency import LATENCIES, NAME
from sv_assets.metrics.names import Metric
from sv_assets.mongo import Store

MOST_WAITING = 10_000
"""Documents of one work list that are counted in one collection; more only makes the count dear."""
MOST_CHECKS = 200
COLLECTIONS = (
    ("identity", "party_records"),
    ("identity", "links"),
    ("identity", "clusters"),
    ("single_view", "orders"),
    ("single_view", "interactions"),
    ("single_view", "consents"),
    ("single_view", "customers"),
)
WORK_LISTS = (("identity", "party_records", "match"), ("identity", "clusters", "customers"))
"""Work lists beside those of landing: database, collection, station."""


@dataclass(frozen=True)
class Sample:
    """One value of a metric; of a histogram `buckets` (upper bounds and how many fell into each, not added up) and `value`
    the sum of what was observed."""

    metric: Metric
    labels: tuple[str, ...]
    value: float
    buckets: tuple[tuple[float, int], ...] = ()


def read_figures(store: Store, catalogue: Catalogue, now: dt.datetime) -> list[Sample]:
    """All figures. Raises what the driver raises where MongoDB is away."""
    started = time.monotonic()
    parts: tuple[Callable[[], Iterator[Sample]], ...] = (
        lambda: _landing(store, catalogue, now),
        lambda: _quarantine(store),
        lambda: _queues(store),
        lambda: _runs(store),
        lambda: _checks(store),
        lambda: _stations(store, catalogue),
        lambda: _alerts(store, now),
    )
    samples = [sample for part in parts for sample in part()]
    samples.append(Sample(names.UP, (), 1))
    samples.append(Sample(names.SCRAPE_SECONDS, (), time.monotonic() - started))
    return samples


def _landing(store: Store, catalogue: Catalogue, now: dt.datetime) -> Iterator[Sample]:
    figures = {document["_id"]: document for document in store.control[FIGURES].find({})}
    bookmarks = {document["_id"]: document for document in store.control["bookmarks"].find({}, {"moved_at": 1})}
    for source in catalogue.sources:
        yield Sample(names.LANDED, (source.key,), store.landing[source.key].estimated_document_count())
        if moved := bookmarks.get(source.key, {}).get("moved_at"):
            yield Sample(names.BOOKMARK_AGE, (source.key,), _seconds(now - moved))
        known = figures.get(source.key)
        if known is None:
            continue
        for outcome in COUNTED[1:]:
            yield Sample(names.ROWS, (source.key, outcome), known.get(outcome, 0))
        yield Sample(names.READ, (source.key,), known.get("read", 0))
        yield Sample(names.LANDINGS, (source.key,), known["landings"])
        yield Sample(names.LANDING_SECONDS, (source.key,), known["seconds"])
        if "complete_at" in known:
            yield Sample(names.LAG, (source.key,), _seconds(now - known["complete_at"]))


def _quarantine(store: Store) -> Iterator[Sample]:
    groups = store.control["quarantine"].aggregate(
        [{"$match": {"status": "open"}}, {"$group": {"_id": "$source", "count": {"$sum": 1}}}]
    )
    for group in groups:
        yield Sample(names.QUARANTINE, (str(group["_id"]),), group["count"])


def _queues(store: Store) -> Iterator[Sample]:
    for look in store.control[LOOKS].find({}):
        queue = look["_id"]
        for state in ("waiting", "in_flight"):
            if state in look:
                yield Sample(names.QUEUE_MESSAGES, (queue, state), look[state])
        if "oldest_seconds" in look:
            yield Sample(names.QUEUE_AGE, (queue,), look["oldest_seconds"])
        if "dead_letters" in look:
            yield Sample(names.DEAD_LETTERS, (queue,), look["dead_letters"])
        if "at" in look:
            yield Sample(names.QUEUE_SEEN, (queue,), look["at"].timestamp())


def _runs(store: Store) -> Iterator[Sample]:
    for job in store.control[JOBS].find({}, {"seen": 0}):
        name = job["_id"]
        for status, count in sorted(job["runs"].items()):
            yield Sample(names.RUNS, (name, status.lower()), count)
        yield Sample(names.RUN_SECONDS, (name,), job["seconds"], _buckets(job["buckets"]))
        yield Sample(names.RUN_ENDED, (name,), job["last_ended_at"].timestamp())
    latency = store.control[LATENCIES].find_one({"_id": NAME})
    if latency is not None:
        yield Sample(names.LATENCY, (), latency["seconds"], _buckets(latency["buckets"]))
    failing = sum(is_failing(outcome) for outcome in store.control[OUTCOMES].find({}))
    yield Sample(names.FAILING_STEPS, (), failing)


def _buckets(counts: list[int]) -> tuple[tuple[float, int], ...]:
    return tuple(zip((*BUCKETS, float("inf")), counts, strict=True))


def _checks(store: Store) -> Iterator[Sample]:
    counts: Counter[tuple[str, str]] = Counter()
    failing: list[Any] = []
    for state in store.control[STATES].find(
        {}, {"asset": 1, "check": 1, "passed": 1, "severity": 1, "failing_since": 1}
    ):
        counts[state["asset"].split("/")[0], "passed" if state["passed"] else state["severity"]] += 1
        if not state["passed"]:
            failing.append(state)
    for station in sorted({station for station, _ in counts}):
        for result in ("passed", "warning", "error"):
            yield Sample(names.CHECKS, (station, result), counts[station, result])
    for state in sorted(failing, key=lambda s: (s["failing_since"], s["_id"]))[:MOST_CHECKS]:
        yield Sample(names.CHECK_FAILING, (state["asset"], state["check"], state["severity"]), 1)


def _stations(store: Store, catalogue: Catalogue) -> Iterator[Sample]:
    for database, collection in COLLECTIONS:
        count = getattr(store, database)[collection].estimated_document_count()
        yield Sample(names.DOCUMENTS, (database, collection), count)
    waiting: Counter[str] = Counter()
    for source in catalogue.sources:
        for station in source.stations:
            waiting[station] += _waiting(store.landing[source.key], station)
    for database, collection, station in WORK_LISTS:
        waiting[station] += _waiting(getattr(store, database)[collection], station)
    for station, count in sorted(waiting.items()):
        yield Sample(names.WORK, (station,), count)
    guards = store.identity["review"].aggregate([{"$group": {"_id": "$guard", "count": {"$sum": 1}}}])
    for group in guards:
        yield Sample(names.REVIEW, (str(group["_id"]),), group["count"])


def _waiting(collection: Any, station: str) -> int:
    return int(collection.count_documents({"_sv.pending": station}, limit=MOST_WAITING))


def _alerts(store: Store, now: dt.datetime) -> Iterator[Sample]:
    alerts: list[Alert] = [alert for alert in read_alerts(store) if alert.state == "open"]
    counts = Counter((alert.condition.kind, alert.condition.severity) for alert in alerts)
    for (kind, severity), count in sorted(counts.items()):
        yield Sample(names.ALERTS, (kind, severity), count)
    yield Sample(names.ALERTS_MUTED, (), sum(alert.is_muted(now) for alert in alerts))
    for channel in store.control[HEALTH].find({}):
        yield Sample(names.CHANNEL_UP, (channel["_id"],), 0 if channel.get("failing_since") else 1)
        yield Sample(names.CHANNEL_SENT, (channel["_id"], "sent"), channel.get("sent", 0))
        yield Sample(names.CHANNEL_SENT, (channel["_id"], "failed"), channel.get("failed", 0))
    mark = store.control[MARKS].find_one({"_id": "look"})
    if mark is not None:
        yield Sample(names.LOOKED, (), mark["at"].timestamp())


def _seconds(span: dt.timedelta) -> float:
    return max(0.0, span.total_seconds())
