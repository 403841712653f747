"""The queue of searches: searches that wait together are answered together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import TypeAlias

from retrieval.errors import AttendexError, EncoderUnavailable, Overloaded, ShardUnavailable
from retrieval.results import SearchResult
from retrieval.search.request import checked
from retrieval.search.request_limits import depth_of
from retrieval.search.searcher import EncodedRequest, Searcher
from retrieval.types import Mode, Partial, SearchRequest
from retrieval.util.cores import cores
from service.config.settings import Settings
from service.observability.metrics import Metrics
from service.processes.peers import Peers
from service.processes.shared_numbers import Column, QueueNumbers
from service.queues.degraded_search import degraded_search, may_degrade, search_or_degrade
from service.queues.dynamic_batching import SHEDDING_SHARE, Answers, Batcher, BatchLimits, LoadShedding
from service.queues.search_limits import (
    check_limits,
    check_total,
    count_examples,
    passages_to_encode,
    scores_all_documents,
)
from service.queues.thread_pool import BoundedThreadPool
from service.runtime.open_collections import JOIN, OpenCollections
from service.runtime.recall_watch import RecallWatch
from service.runtime.reranker_registry import RerankerRegistry

MIN_BATCH = 4  # queries: in a smaller batch, a pass over the encoder's weights costs each query a third more
FEW_PASSAGES = 50  # to explain or highlight in the queue: a page of the search page has fewer
FEW_EXAMPLES = 4  # documents whose words the queue reads; each takes up to 5 ms
MIN_LEXICAL_BATCH = 12  # lexical searches: for fewer, one thread uses the interpreter as well as two threads do


@dataclass(frozen=True, slots=True)
class QueuedSearch:
    """A search and the name of its collection."""

    collection: str
    request: SearchRequest


Step: TypeAlias = Callable[[], SearchResult]


class SearchQueue:
    """Two bounded queues: one for searches with the encoder, one for lexical searches.

    Searches that rerank, explain or highlight many passages, or have many examples, take long; they run on the threads
    for long calls.
    """

    def __init__(
        self,
        collections: OpenCollections,
        rerankers: RerankerRegistry,
        slow: BoundedThreadPool,
        settings: Settings,
        metrics: Metrics,
        recall: RecallWatch,
        peers: Peers,
    ) -> None:
        self._collections = collections
        self._rerankers = rerankers
        self._rerank_ms = settings.rerank_ms
        self._slow = slow
        self._recall = recall
        self._limits = settings.limits
        self._degrade = settings.degrade
        self._partial = Partial(settings.partial)
        self._metrics = metrics
        self._queue = settings.queue
        searchers = settings.queue.searchers
        if cores() == 1 and not peers.is_alone:
            searchers = 0  # with one core, further threads only take turns
        self._items = peers.count(Column.SEARCH)
        self._encoded = self._batcher("search", peers.queue(Column.SEARCH), MIN_BATCH, finishing=searchers)
        self._lexical = self._batcher("lexical", peers.queue(Column.LEXICAL), MIN_LEXICAL_BATCH, finishing=0)
        self._remote: dict[str, Batcher[QueuedSearch, SearchResult]] = {}  # by the name of the encoder

    def _batcher(
        self, name: str, numbers: QueueNumbers | None, min_batch: int, *, finishing: int
    ) -> Batcher[QueuedSearch, SearchResult]:
        items = self._queue.batch_searches
        limits = BatchLimits.on_all_cores(items=items, cost=items, min_batch=min_batch, finishing=finishing)
        shedding = LoadShedding(self._queue.length, numbers=numbers)
        return Batcher(self._answers, limits, shedding, name=name, observe=self._metrics.batch(name))

    def close(self) -> None:
        """Wait for the searches that run."""
        for queue in (self._encoded, self._lexical, *self._remote.values()):
            queue.close()

    def waiting_for_remote(self) -> int:
        """Return the searches of this process that wait for a remote encoder."""
        return sum(map(len, self._remote.values()))

    @property
    def max_concurrent(self) -> int:
        """The number of searches of one list that may run together."""
        return max(1, min(self._queue.batch_searches, self._queue.length // SHEDDING_SHARE))

    @property
    def full(self) -> bool:
        """Whether the queue refuses a search that needs the encoder."""
        return self._encoded.full and not self._degrade

    def record_refusal(self) -> None:
        """Count a search that another layer refused because the queue is full."""
        self._encoded.record_refusal()
        self._metrics.refused("search_queue")

    async def search(self, collection: str, request: SearchRequest, *, admitted: bool = False) -> SearchResult:
        """Return the result of a search.

        Raises Overloaded at once if the queue is full, NotFound for an unknown reranker, or the searcher's errors. An
        `admitted` search belongs to a list whose first search was accepted: the queue does not refuse it.
        """
        if request.partial is None:
            request = replace(request, partial=self._partial)
        search = QueuedSearch(collection, check_limits(checked(request), self._limits))
        if request.rerank is not None:
            self._rerankers.get(request.rerank.model)  # an unknown one fails now
        if scores_all_documents(request):
            self.check_total(collection, [request])
        try:
            result = await self._enqueue(search, admitted)
        except Overloaded:
            self._metrics.refused("search_queue")
            raise
        except ShardUnavailable as error:
            self._metrics.shard_failed(collection, error.shard)
            raise
        self._metrics.search(result)
        sampled = not (search.request.exact or search.request.lists_all or search.request.has_examples)
        if result.mode is not Mode.LEXICAL and sampled and JOIN not in collection:
            self._recall.sample(collection, search.request.query)
        return result

    def check_total(self, collection: str, requests: Sequence[SearchRequest]) -> None:
        """Raise TooLarge if searches of one HTTP request cost more than it may."""
        with self._collections.lease(collection) as searcher:
            check_total(requests, searcher.reader.manifest.documents, self._limits)

    async def _enqueue(self, search: QueuedSearch, admitted: bool) -> SearchResult:
        if search.request.offset < depth_of(search.request.rerank):
            return await self._slow.run(self._answer_reranked, search, perf_counter())
        if passages_to_encode(search.request) > FEW_PASSAGES or count_examples(search.request) > FEW_EXAMPLES:
            return await self._slow.run(self._answer, search)
        if search.request.mode is Mode.LEXICAL:
            return await self._lexical.submit(search, admitted=admitted)
        if self._encoded.full and self._degrade and self._may_degrade(search):
            self._encoded.record_refusal()
            lexical = replace(search, request=replace(search.request, mode=Mode.LEXICAL))
            return replace(await self._lexical.submit(lexical, admitted=admitted), degraded=("dense",))
        remote = self._collections.remote_encoder(search.collection)
        queue = self._remote_queue(remote) if remote else self._encoded
        return await queue.submit(search, admitted=admitted)

    def _remote_queue(self, encoder: str) -> Batcher[QueuedSearch, SearchResult]:
        """Return the queue of a remote encoder: it delays no other collection."""
        if encoder not in self._remote:
            self._remote[encoder] = self._batcher("remote", None, 1, finishing=0)
        return self._remote[encoder]

    def _answer(self, search: QueuedSearch) -> SearchResult:
        with self._collections.lease(search.collection) as searcher:
            return search_or_degrade(searcher, search.request)

    def _answer_reranked(self, search: QueuedSearch, queued_at: float) -> SearchResult:
        """Answer within the time for reranking, of which waiting took a part."""
        waited_ms = (perf_counter() - queued_at) * 1000
        with self._collections.lease(search.collection) as searcher:
            return search_or_degrade(searcher, search.request, rerank_ms=max(0.0, self._rerank_ms - waited_ms))

    def _may_degrade(self, search: QueuedSearch) -> bool:
        with self._collections.lease(search.collection) as searcher:
            return may_degrade(searcher, search.request)

    def _answers(self, searches: Sequence[QueuedSearch]) -> Answers[SearchResult]:
        """Encode the queries together; return an iterator over the results.

        Each step of the iterator searches for one query. Both parts run on threads and use the same open generations. A
        request with an error fails alone.
        """
        steps: dict[int, Step] = {}
        several = len(searches) > 1 or self._items.others() > 0  # then other cores have searches to do meanwhile
        with ExitStack() as leases:
            for name in {search.collection for search in searches}:
                positions = [position for position, search in enumerate(searches) if search.collection == name]
                try:
                    searcher = leases.enter_context(self._collections.lease(name))
                    encoded = searcher.encoded([searches[position].request for position in positions], save_cpu=several)
                except EncoderUnavailable as error:
                    for position in positions:
                        steps[position] = _without_vectors(searcher, searches[position].request, error)
                except AttendexError as error:  # the collection was dropped meanwhile
                    steps.update(dict.fromkeys(positions, partial(_fail, error)))
                else:
                    self._observe(encoded)
                    own_steps = (partial(searcher.answer, query) for query in encoded)
                    steps.update(zip(positions, own_steps, strict=True))
            return _run_steps(leases.pop_all(), [steps[position] for position in range(len(searches))])

    def _observe(self, encoded: Sequence[EncodedRequest]) -> None:
        if any(query.vector is not None for query in encoded):
            self._metrics.encoded(encoded[0].encode_ms / 1000)


def _run_steps(leases: ExitStack, steps: Sequence[Step]) -> Answers[SearchResult]:
    with leases:
        yield from map(_try, steps)


def _without_vectors(searcher: Searcher, request: SearchRequest, error: AttendexError) -> Step:
    """Return the step of a request whose query a remote encoder could not encode."""
    return partial(degraded_search, searcher, request) if may_degrade(searcher, request) else partial(_fail, error)


def _try(step: Step) -> SearchResult | Exception:
    try:
        return step()
    except Exception as error:  # only the caller of this search gets it
        return error


def _fail(error: AttendexError) -> SearchResult:
    raise error
