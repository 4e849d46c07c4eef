"""The endpoint that Prometheus scrapes: the figures, gathered when they are asked for and kept for some seconds."""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from pymongo.errors import PyMongoError

from sv_assets.catalogue.load import Catalogue
from sv_assets.errors import SvError
from sv_assets.metrics import names
from sv_assets.metrics.figures import Sample, read_figures
from sv_assets.metrics.names import METRICS, Metric
from sv_assets.mongo import Store, explained_mongo_errors

log = logging.getLogger(__name__)
KEPT_SECONDS = 10.0
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class Figures(Collector):
    """The collector. Scrapes within `kept_seconds` of each other, or at the same time, read MongoDB once."""

    def __init__(self, read: Callable[[], list[Sample]], kept_seconds: float = KEPT_SECONDS) -> None:
        self._read = read
        self._kept_seconds = kept_seconds
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._samples: list[Sample] = []

    def describe(self) -> Iterable[Family]:
        return []  # so that registering it reads nothing

    def collect(self) -> Iterator[Family]:
        with self._lock:
            if time.monotonic() - self._read_at > self._kept_seconds:
                self._samples = self._now()
                self._read_at = time.monotonic()
            samples = self._samples
        yield from families(samples)

    def _now(self) -> list[Sample]:
        try:
            with explained_mongo_errors():
                return self._read()
        except (SvError, PyMongoError) as error:
            log.warning("no metrics: %s", error if isinstance(error, SvError) else type(error).__name__)
            return [Sample(names.UP, (), 0)]


def figures_of(store: Store, catalogue: Catalogue) -> Figures:
    """The collector of a store."""
    return Figures(lambda: read_figures(store, catalogue, dt.datetime.now(dt.timezone.utc)))


def families(samples: Iterable[Sample]) -> Iterator[Family]:
    """The samples as Prometheus' client library wants them, in the order in which metrics are declared."""
    by_metric: dict[Metric, list[Sample]] = {}
    for sample in samples:
        by_metric.setdefault(sample.metric, []).append(sample)
    for metric in METRICS:
        if metric in by_metric:
            yield _family(metric, by_metric[metric])


def _family(metric: Metric, samples: list[Sample]) -> Family:
    if metric.type == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            histogram.add_metric(sample.labels, list(_added_up(sample)), sum_value=sample.value)
        return histogram
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        family.add_metric(sample.labels, sample.value)
    return family


def _added_up(sample: Sample) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in sample.buckets:
        total += count
        yield ("+Inf" if bound == float("inf") else str(bound)), total


def serve(figures: Figures, port: int, host: str = "127.0.0.1") -> tuple[WSGIServer, threading.Thread]:
    """Serve them under `/metrics` from a background thread. Raises SvError where the port is taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(figures)
    try:
        return start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SvError(f"Metrics cannot be served on {host}:{port} ({error.strerror}). Choose another --port.") from None
