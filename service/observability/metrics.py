"""Prometheus metrics: names, labels and buckets in one place.

Labels are kinds (a route's template, a stage, a collection's name), never what a caller sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from retrieval.types import SearchResult

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.03, 0.06, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "attendex_http_requests",
            "Requests ended; status 499 where they were given up without an answer.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "attendex_request_duration_seconds",
            "Time from a request's head to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._stages = Histogram(
            "attendex_search_duration_seconds",
            "Time spent on each stage of a search.",
            ("stage",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._encode = Histogram(
            "attendex_encode_duration_seconds",
            "Time spent on encoding one batch of texts.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "attendex_encode_batch_size",
            "Items answered as one batch.",
            ("queue",),
            buckets=SIZES,
            registry=self.registry,
        )
        self._waits = Histogram(
            "attendex_queue_wait_seconds",
            "Longest wait of a batch's items.",
            ("queue",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "attendex_refused",
            "Requests refused, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._degraded = Counter(
            "attendex_degraded_responses", "Answers given without a retriever.", ("reason",), registry=self.registry
        )
        self._in_progress = Gauge("attendex_requests_in_progress", "Requests being answered.", registry=self.registry)
        self._children: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}
        self._stage_children = {stage: self._stages.labels(stage) for stage in ("encode", "retrieve", "fetch")}

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (route, method if method in METHODS else "other", str(status))
        children = self._children.get(key)
        if children is None:
            children = self._requests.labels(*key), self._durations.labels(route)
            self._children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def search(self, result: SearchResult) -> None:
        """Count one search's stages."""
        timings = result.timings_ms
        for stage, child in self._stage_children.items():
            child.observe(getattr(timings, stage) / 1000)
        for retriever in result.degraded:
            self._degraded.labels(retriever).inc()

    def encoded(self, seconds: float) -> None:
        """Count one encoded batch."""
        self._encode.observe(seconds)

    def batch(self, queue: str) -> Callable[[int, float], None]:
        """What a queue tells about its batches: size, longest wait in seconds."""
        size, wait = self._batches.labels(queue), self._waits.labels(queue)

        def observe(items: int, seconds: float) -> None:
            size.observe(items)
            wait.observe(seconds)

        return observe

    def refused(self, reason: str) -> None:
        """Count one refusal."""
        self._refused.labels(reason).inc()

    def families(self, describe: Callable[[], Iterable[GaugeFamily]]) -> None:
        """Show labelled numbers that are read when the metrics are."""
        self.registry.register(_GaugeCollector(describe))

    def in_progress(self, change: int) -> None:
        """Note a request that begins (1) or ends (-1)."""
        self._in_progress.inc(change)

    def text(self) -> bytes:
        """The exposition in Prometheus's text format."""
        return generate_latest(self.registry)


@dataclass(frozen=True, slots=True)
class GaugeFamily:
    """A gauge with labels: `values` maps label values to numbers."""

    name: str
    help_text: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], float]


class _GaugeCollector(Collector):
    def __init__(self, describe: Callable[[], Iterable[GaugeFamily]]) -> None:
        self._describe = describe

    def collect(self) -> Iterable[Metric]:
        for family in self._describe():
            shown = GaugeMetricFamily(family.name, family.help_text, labels=family.labels)
            for labels, value in family.values.items():
                shown.add_metric(labels, value)
            yield shown
