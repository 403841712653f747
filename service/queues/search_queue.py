"""Searches of concurrent callers, answered together where they wait together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from retrieval.errors import AttendexError, BadQuery, Overloaded
from retrieval.search.request import checked
from retrieval.search.searcher import EncodedRequest
from retrieval.types import Mode, SearchRequest, SearchResult
from service.config.settings import RequestLimits, Settings
from service.observability.metrics import Metrics
from service.queues.dynamic_batching import SHEDDING_SHARE, Answers, Batcher, BatchLimits
from service.runtime.open_collections import OpenCollections
from service.runtime.recall_watch import RecallWatch

MIN_BATCH = 4  # queries: with fewer, a pass over the encoder's weights costs a third more for each
MIN_LEXICAL_BATCH = 12  # searches by words alone: for fewer, one thread has as much of the interpreter as two


@dataclass(frozen=True, slots=True)
class QueuedSearch:
    """A search and the collection it is for."""

    collection: str
    request: SearchRequest


Step: TypeAlias = Callable[[], SearchResult]


class SearchQueue:
    """Two bounded queues: one for searches that need the encoder, one for searches by words alone."""

    def __init__(
        self,
        collections: OpenCollections,
        settings: Settings,
        metrics: Metrics,
        recall: RecallWatch,
    ) -> None:
        self._collections = collections
        self._recall = recall
        self._limits = settings.limits
        self._degrade = settings.degrade
        self._metrics = metrics
        self._queue = queue = settings.queue
        items = queue.batch_searches
        searching = BatchLimits.on_all_cores(
            items=items, cost=items, capacity=queue.length, min_batch=MIN_BATCH, finishing=queue.searchers
        )
        self._encoded = self._batcher(searching, "search")
        by_words = BatchLimits.on_all_cores(items=items, cost=items, capacity=queue.length, min_batch=MIN_LEXICAL_BATCH)
        self._lexical = self._batcher(by_words, "lexical")

    def _batcher(self, limits: BatchLimits, name: str) -> Batcher[QueuedSearch, SearchResult]:
        return Batcher(self._answers, limits, name=name, observe=self._metrics.batch(name))

    def close(self) -> None:
        """Wait for what is being answered."""
        self._encoded.close()
        self._lexical.close()

    def waiting(self) -> int:
        """Searches that wait."""
        return len(self._encoded) + len(self._lexical)

    @property
    def at_once(self) -> int:
        """Searches of one list that may be on their way together: a share that leaves room for others."""
        return max(1, min(self._queue.batch_searches, self._queue.length // SHEDDING_SHARE))

    @property
    def full(self) -> bool:
        """Whether a search that needs the encoder would be refused."""
        return self._encoded.full and not self._degrade

    def refused(self) -> None:
        """Note that a search was turned away because of that."""
        self._encoded.refused()
        self._metrics.refused("search_queue")

    async def search(self, collection: str, request: SearchRequest, *, admitted: bool = False) -> SearchResult:
        """One answer.  Raises Overloaded at once where too many wait, or the searcher's errors.

        `begun`: it belongs to a list that was let in already, and is not refused.
        """
        asked = QueuedSearch(collection, check_limits(checked(request), self._limits))
        try:
            result = await self._enqueue(asked, admitted)
        except Overloaded:
            self._metrics.refused("search_queue")
            raise
        self._metrics.search(result)
        if result.mode is not Mode.LEXICAL and not asked.request.exact:
            self._recall.sample(collection, asked.request.query)
        return result

    async def _enqueue(self, asked: QueuedSearch, admitted: bool) -> SearchResult:
        if asked.request.mode is Mode.LEXICAL:
            return await self._lexical.submit(asked, admitted=admitted)
        if self._encoded.full and self._degrade and self._may_degrade(asked):
            self._encoded.refused()
            lexical = replace(asked, request=replace(asked.request, mode=Mode.LEXICAL))
            return replace(await self._lexical.submit(lexical, admitted=admitted), degraded=("dense",))
        return await self._encoded.submit(asked, admitted=admitted)

    def _may_degrade(self, asked: QueuedSearch) -> bool:
        with self._collections.lease(asked.collection) as searcher:
            return asked.request.mode is not Mode.DENSE and searcher.reader.lexical is not None

    def _answers(self, asked: Sequence[QueuedSearch]) -> Answers[SearchResult]:
        """Encode the queries together, and return what searches with them, one by one, in the same open generations.

        Both run on threads.  A request that is at fault fails alone.
        """
        begun: dict[int, Step] = {}
        several = len(asked) > 1  # so that there is searching to be done on the other cores
        with ExitStack() as leases:
            for name in {each.collection for each in asked}:
                places = [place for place, each in enumerate(asked) if each.collection == name]
                try:
                    searcher = leases.enter_context(self._collections.lease(name))
                    encoded = searcher.encoded([asked[place].request for place in places], save_cpu=several)
                except AttendexError as error:  # the collection went away meanwhile
                    begun.update(dict.fromkeys(places, partial(_failed, error)))
                else:
                    self._observe(encoded)
                    steps = (partial(searcher.answer, each) for each in encoded)
                    begun.update(zip(places, steps, strict=True))
            return _finished(leases.pop_all(), [begun[place] for place in range(len(asked))])

    def _observe(self, encoded: Sequence[EncodedRequest]) -> None:
        if any(each.vector is not None for each in encoded):
            self._metrics.encoded(encoded[0].encode_ms / 1000)


def _finished(leases: ExitStack, steps: Sequence[Step]) -> Answers[SearchResult]:
    with leases:
        yield from map(_tried, steps)


def _tried(step: Step) -> SearchResult | Exception:
    try:
        return step()
    except Exception as error:  # its caller gets it; those beside it their answers
        return error


def _failed(error: AttendexError) -> SearchResult:
    raise error


def _highlighted(request: SearchRequest) -> int:
    return request.k * request.passages_per_document if request.highlight else 0


def check_limits(request: SearchRequest, limits: RequestLimits) -> SearchRequest:
    """The request; BadQuery where it goes beyond a limit of the service."""
    for name, value, most in (
        ("the query's characters", len(request.query), limits.query_characters),
        ("k", request.k, limits.k),
        ("offset + k", request.offset + request.k, limits.depth),
        ("the filter's characters", len(request.filter), limits.filter_characters),
        ("the number of facets", len(request.facets), limits.facets),
        ("k with explain", request.k * request.explain, limits.explained),
        ("k · passages_per_document with highlight", _highlighted(request), limits.explained),
    ):
        check_maximum(name, value, most)
    return request


def check_maximum(name: str, value: int, most: int) -> None:
    """Raise BadQuery where the value is more than `most`."""
    if value > most:
        raise BadQuery(f"{name}: {value:,} is more than this service allows ({most:,})")
