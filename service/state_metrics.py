"""Numbers about the service's state, read when the metrics are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from retrieval.errors import CollectionNotFound
from service.dependencies import Services
from service.observability.metrics import Family
from service.runtime.encoder_registry import shown_name

BOUNDS = ("recall", "low", "high")


def show_state(services: Services, version: str) -> None:
    """Add the gauges to the metrics of `services`."""
    services.metrics.families(lambda: _families(services, version))


def _families(services: Services, version: str) -> Iterator[Family]:
    generations: dict[tuple[str, ...], float] = {}
    documents: dict[tuple[str, ...], float] = {}
    passages: dict[tuple[str, ...], float] = {}
    builds: dict[tuple[str, ...], float] = {}
    for name in services.collections.names():
        with suppress(CollectionNotFound), services.collections.lease(name) as searcher:
            manifest = searcher.reader.manifest
            generations[name,] = manifest.generation
            documents[name,] = manifest.documents
            passages[name,] = manifest.passages
            encoder = manifest.encoder
            builds[version, shown_name(encoder.name), encoder.weights_sha256[:12]] = 1
    failed: dict[tuple[str, ...], float] = {(name,): 1 for name in services.collections.failures()}
    estimates = {name: services.recall.estimate(name) for name in services.collections.names()}
    recalls: dict[tuple[str, ...], float] = {
        (name, bound): getattr(found, bound) for name, found in estimates.items() if found for bound in BOUNDS
    }
    queues: dict[tuple[str, ...], float] = {
        ("search",): services.searches.waiting(),
        ("embedding",): services.embeddings.waiting(),
        ("changes",): services.changes.waiting(),
    }
    yield Family("attendex_queue_length", "Requests that wait.", ("queue",), queues)
    yield Family("attendex_index_generation", "Generation that is served.", ("collection",), generations)
    yield Family("attendex_index_documents", "Live documents.", ("collection",), documents)
    yield Family("attendex_index_passages", "Live passages.", ("collection",), passages)
    yield Family("attendex_index_failed", "1 where the newest generation cannot be opened.", ("collection",), failed)
    yield Family(
        "attendex_ann_recall_ratio",
        "Recall@10 of approximate search on sampled live queries, with its 95 % interval.",
        ("collection", "bound"),
        recalls,
    )
    yield Family("attendex_build_info", "What is running.", ("version", "model", "fingerprint"), builds)
