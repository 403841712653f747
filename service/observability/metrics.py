"""Prometheus metrics: names, labels and buckets.

A label is a kind (a route's template, a stage, a collection's name), never a value that a caller sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.types import Scope

from retrieval.results import SearchResult

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the variable that the library reads
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


@dataclass(frozen=True, slots=True)
class ServiceProcess:
    """A process of the service."""

    name: str  # "parent", or the number of a worker
    pid: int


def share_metrics(folder: Path, row: int) -> None:
    """Keep the counters of this process in files, from which each process reads all.

    Call it before the first metric is made.  `row` names the files: the next process with this row goes on counting.
    """
    os.environ[SHARED_FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: row)  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()  # of the counters of this process
        self._described = CollectorRegistry()  # of what holds for the service
        self._folder = os.environ.get(SHARED_FOLDER)
        if self._folder is None:
            ProcessCollector(registry=self._described)
        self._make_request_metrics()
        self._make_search_metrics()
        self._children: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}
        self._stage_children = {stage: self._stages.labels(stage) for stage in ("encode", "retrieve", "fetch")}

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _histogram(self, name: str, help_text: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
        return Histogram(name, help_text, labels, buckets=buckets, registry=self.registry)

    def _make_request_metrics(self) -> None:
        self._requests = self._counter(
            "attendex_http_requests",
            "Requests that ended; status 499 if the client left before the answer.",
            "route",
            "method",
            "status",
        )
        self._durations = self._histogram(
            "attendex_request_duration_seconds", "Time from a request's head to the end of its answer.", "route"
        )
        self._refused = self._counter("attendex_refused", "Requests refused, by reason.", "reason")

    def _make_search_metrics(self) -> None:
        self._stages = self._histogram("attendex_search_duration_seconds", "Time of each stage of a search.", "stage")
        self._encode = self._histogram("attendex_encode_duration_seconds", "Time to encode one batch of texts.")
        self._batches = self._histogram("attendex_encode_batch_size", "Items of each batch.", "queue", buckets=SIZES)
        self._waits = self._histogram("attendex_queue_wait_seconds", "Longest wait of a batch's items.", "queue")
        self._degraded = self._counter("attendex_degraded_responses", "Answers without a retriever.", "reason")
        self._failed_shards = self._counter(
            "attendex_shard_failures", "Searches that a shard did not answer.", "collection", "shard"
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method if method in METHODS else "other", str(status))
        children = self._children.get(key)
        if children is None:
            children = self._requests.labels(*key), self._durations.labels(route)
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def search(self, result: SearchResult) -> None:
        timings = result.timings_ms
        for stage, child in self._stage_children.items():
            child.observe(getattr(timings, stage) / 1000)
        for retriever in result.degraded:
            self._degraded.labels(retriever).inc()
        for failed in result.shards.failed if result.shards else ():
            self.shard_failed(result.collection, failed.shard)

    def shard_failed(self, collection: str, shard: str) -> None:
        """Count a search that a shard did not answer."""
        self._failed_shards.labels(collection, shard).inc()

    def encoded(self, seconds: float) -> None:
        self._encode.observe(seconds)

    def batch(self, queue: str) -> Callable[[int, float], None]:
        """Return a function that records a batch's size and longest wait in seconds."""
        size, wait = self._batches.labels(queue), self._waits.labels(queue)

        def observe(items: int, seconds: float) -> None:
            size.observe(items)
            wait.observe(seconds)

        return observe

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def families(self, describe: Callable[[], Iterable[GaugeFamily]]) -> None:
        """Add gauges that `describe` reads at each scrape."""
        self._described.register(_GaugeCollector(describe))

    def processes(self, list_them: Callable[[], Iterable[ServiceProcess]]) -> None:
        """Add the memory, CPU time and files of several processes."""
        self._described.register(_ProcessesCollector(list_them))

    def text(self) -> bytes:
        """Return the metrics of all processes, in Prometheus's text format."""
        counters = self.registry
        if self._folder is not None:
            counters = CollectorRegistry()
            MultiProcessCollector(counters, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(self._described) + generate_latest(counters)


def route_label(scope: Scope) -> str:
    """Return the route's template, also of a request refused before routing."""
    if "route" not in scope:
        found = [(route.matches(scope)[0].value, route) for route in scope["app"].state.routes]
        rank, route = max(found, key=itemgetter(0))  # the first of the full matches, else of the partial ones
        return route.path if rank else "unmatched"
    return str(getattr(scope["route"], "path", "unmatched"))


@dataclass(frozen=True, slots=True)
class GaugeFamily:
    """A gauge, or a counter, with labels: `values` maps label values to numbers."""

    name: str
    help_text: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], float]
    counts: bool = False  # events since the start


class _GaugeCollector(Collector):
    def __init__(self, describe: Callable[[], Iterable[GaugeFamily]]) -> None:
        self._describe = describe

    def collect(self) -> Iterable[Metric]:
        for family in self._describe():
            kind = CounterMetricFamily if family.counts else GaugeMetricFamily
            shown = kind(family.name, family.help_text, labels=family.labels)
            for labels, value in family.values.items():
                shown.add_metric(labels, value)
            yield shown


class _ProcessesCollector(Collector):
    """The metrics of the library's ProcessCollector, with a label for each process."""

    def __init__(self, list_them: Callable[[], Iterable[ServiceProcess]]) -> None:
        self._list = list_them

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for process in self._list():
            for found in ProcessCollector(pid=lambda: process.pid, registry=None).collect():  # noqa: B023
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    family.add_sample(sample.name, {"process": process.name}, sample.value)
        return families.values()
