"""Recall of approximate search, measured on a sample of live queries.

A sampled query is repeated exactly on a thread of low priority, beside the requests. While too many repetitions wait,
further samples are skipped.  The processes of a service write their samples to files, from which each of them estimates
the recall.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from retrieval.errors import CollectionError, CollectionNotFound
from retrieval.index.vectors.recall import RecallEstimate, RecallMonitor, estimate
from service.observability.logs import LOGGER
from service.processes.peers import Peers
from service.runtime.open_collections import OpenCollections
from service.runtime.process import lower_priority

NEIGHBOURS = 10  # the ANN indexes are tuned for recall@10
BACKLOG = 4
GONE = (CollectionNotFound, CollectionError)


class RecallWatch:
    """A recall monitor for each collection with approximate vector search."""

    def __init__(self, collections: OpenCollections, share: float, peers: Peers) -> None:
        self._collections = collections
        self._folder = peers.folder
        self._file = f"recall-{peers.row}.json"
        self._share = share
        self._monitors: dict[str, RecallMonitor] = {}
        self._below: set[str] = set()
        self._pending = 0
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "attendex-recall", initializer=lower_priority)

    def close(self) -> None:
        """End the thread; drop the repetitions that wait."""
        self._thread.shutdown(cancel_futures=True)

    def sample(self, collection: str, query: str) -> None:
        """Repeat an answered query exactly if it is in the sample."""
        if self._share:
            with suppress(*GONE):  # the collection was dropped meanwhile
                self._sample(collection, query)

    def _sample(self, collection: str, query: str) -> None:
        with self._collections.lease(collection) as searcher:
            if searcher.reader.vectors.is_exact:
                return
            target = searcher.reader.manifest.settings.vectors.recall
            monitor = self._monitors.setdefault(collection, RecallMonitor(target, self._share))
        with self._lock:
            if self._pending >= BACKLOG or not monitor.wants():
                return
            self._pending += 1
        self._thread.submit(self._repeat, collection, query, monitor)

    def forget(self, collection: str) -> None:
        self._monitors.pop(collection, None)
        self._below.discard(collection)

    def estimate(self, collection: str) -> RecallEstimate | None:
        """Return the recall over the last sampled queries; None before the first."""
        monitor = self._monitors.get(collection)
        recalls = [*(monitor.recalls if monitor else ()), *self._of_others(collection)]
        return estimate(recalls) if recalls else None

    def _of_others(self, collection: str) -> Iterator[float]:
        """Yield the recalls that the other processes have measured."""
        if self._folder is not None:
            for file in self._folder.glob("recall-*.json"):
                if file.name != self._file:
                    with suppress(OSError, ValueError):
                        yield from json.loads(file.read_bytes()).get(collection, ())

    def _tell_others(self) -> None:
        """Let the other processes read the recalls of this one."""
        if self._folder is not None:
            recalls = {name: monitor.recalls for name, monitor in list(self._monitors.items())}
            new = self._folder / f"{self._file}.new"
            new.write_text(json.dumps(recalls), encoding="utf-8")
            new.replace(self._folder / self._file)

    def _repeat(self, collection: str, query: str, monitor: RecallMonitor) -> None:
        try:
            self._observe(collection, query, monitor)
        except GONE:
            pass  # the collection was dropped meanwhile
        except Exception:
            logging.getLogger(LOGGER).exception("a sampled query could not be repeated exactly")
        finally:
            with self._lock:
                self._pending -= 1

    def _observe(self, collection: str, query: str, monitor: RecallMonitor) -> None:
        with self._collections.lease(collection) as searcher:
            reader = searcher.reader
            vectors = searcher.encoder.encode_queries([query])
            found = reader.vectors.search(vectors, NEIGHBOURS, allowed=reader.live)[0]
            exact = reader.vectors.search(vectors, NEIGHBOURS, allowed=reader.live, exact=True)[0]
        monitor.observe(found, exact)
        self._tell_others()
        self._warn(collection, monitor)

    def _warn(self, collection: str, monitor: RecallMonitor) -> None:
        """Log a warning each time that the recall falls below its target."""
        if not monitor.below_target:
            self._below.discard(collection)
        elif collection not in self._below:
            self._below.add(collection)
            fields = {"collection": collection, "recall": str(monitor.estimate()), "target": monitor.target}
            logging.getLogger(LOGGER).warning("recall is below its target", extra={"fields": fields})
