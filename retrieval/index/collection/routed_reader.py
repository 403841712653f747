"""A sharded generation whose shards rank in other processes.

This process routes requests, and merges the answers.  It opens the files of all shards, and reads filters, facets, ids,
texts and statistics.  The shards compare vectors and sum the scores of postings.  Answers are those of `ShardedReader`,
bit by bit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import ShardedReader
from retrieval.index.collection.shards import Shard, ShardAction, ShardAnswer, ShardRequest, WeightedTerms
from retrieval.index.lexical.bm25 import CollectionStatistics
from retrieval.index.lexical.phrases import ParsedQuery
from retrieval.index.lexical.reader import LexicalReader
from retrieval.index.lexical.scorers import PostingsQuery, Scorer
from retrieval.index.lexical.sparse_reader import SparseReader
from retrieval.index.storage.settings import CollectionSettings
from retrieval.index.storage.sharded_manifest import ShardedManifest
from retrieval.index.vectors.vector_search import CombinedVectors
from retrieval.types import Bitmap, Ranking, Rows, Scores, TermWeights, Vectors
from retrieval.util.work_budget import checkpoint


class ShardRouter:
    """Sends requests to the shards of one generation, and merges their answers."""

    def __init__(self, shards: Sequence[Shard], sizes: Iterable[int], live: Bitmap) -> None:
        edges = pairwise(accumulate(sizes, initial=0))
        self._parts = [(shard, slice(*edge)) for shard, edge in zip(shards, edges, strict=True)]
        self._live = live

    def rank(self, request: ShardRequest) -> Ranking:
        """Return the k best rows of all shards; `request.allowed` counts all rows."""
        found = [(part.start, answer) for part, answer in self._ask_allowed(request)]
        if not found:
            return Ranking.empty()
        rows = np.concatenate([answer.rows + start for start, answer in found])
        return Ranking.top(rows, np.concatenate([answer.scores for _, answer in found]), request.k)

    def matches(self, request: ShardRequest) -> Bitmap:
        """Return the allowed rows with a term, (rows,)."""
        found = np.zeros(len(self._live), np.bool_)
        for part, answer in self._ask_allowed(request):
            found[part] = answer.matches
        return found

    def score(self, request: ShardRequest, rows: Rows) -> Scores:
        """Return the score of each of `rows`."""
        scores = np.zeros(len(rows), np.float32)
        for positions, answer in self._ask_rows(request, rows):
            scores[positions] = answer.scores
        return scores

    def vectors(self, rows: Rows, dimension: int) -> Vectors:
        """Return the stored vectors of `rows`, (n, dimension)."""
        vectors = np.empty((len(rows), dimension), np.float32)
        for positions, answer in self._ask_rows(ShardRequest(ShardAction.VECTORS), rows):
            vectors[positions] = answer.vectors
        return vectors

    def _ask_allowed(self, request: ShardRequest) -> Iterator[tuple[slice, ShardAnswer]]:
        """Ask the shards that have allowed rows, all at the same time."""
        waiting = []
        wanted = None if request.allowed is self._live else request.allowed
        for shard, part in self._parts:
            live = self._live[part]
            allowed = live if wanted is None else wanted[part] & live
            if allowed.any():
                given = None if wanted is None or np.array_equal(allowed, live) else allowed
                waiting.append((part, shard.ask(replace(request, allowed=given))))
        for part, wait in waiting:
            yield part, wait()
            checkpoint()

    def _ask_rows(self, request: ShardRequest, rows: Rows) -> Iterator[tuple[NDArray[np.int64], ShardAnswer]]:
        """Ask the shards of `rows`; yield the positions in `rows` with the answer."""
        waiting = []
        for shard, part in self._parts:
            positions = np.flatnonzero((rows >= part.start) & (rows < part.stop))
            if len(positions):
                waiting.append((positions, shard.ask(replace(request, rows=rows[positions] - part.start))))
        for positions, wait in waiting:
            yield positions, wait()
            checkpoint()


class RoutedVectors(CombinedVectors):
    """The vectors of all shards, which the shards compare with a query."""

    def __init__(self, router: ShardRouter, own: CombinedVectors, window_share: float = 0.0) -> None:
        super().__init__(own.segments, own.dimension)
        self._router = router
        self._request = ShardRequest(ShardAction.RANK, window_share=window_share)

    def search(self, queries: Vectors, k: int, *, allowed: Bitmap | None = None, exact: bool = False) -> list[Ranking]:
        queries = self._check(queries)
        return [
            self._router.rank(replace(self._request, vector=query, k=k, allowed=allowed, exact=exact))
            for query in queries
        ]

    def score(self, query: Vectors, rows: Rows) -> Scores:
        vector = self._check(query[np.newaxis])[0]
        return self._router.score(replace(self._request, action=ShardAction.SCORE, vector=vector), rows)

    def rows(self, rows: Rows) -> Vectors:
        return self._router.vectors(rows, self.dimension)


class RoutedScorer:
    """A `Scorer` whose postings the shards read."""

    def __init__(self, router: ShardRouter, terms: WeightedTerms) -> None:
        self._router = router
        self._request = ShardRequest(ShardAction.RANK, terms=terms)

    def best(self, k: int, allowed: Bitmap | None) -> Ranking:
        return self._router.rank(replace(self._request, k=k, allowed=allowed))

    def score(self, rows: Rows) -> Scores:
        return self._router.score(replace(self._request, action=ShardAction.SCORE), rows)

    def matches(self, allowed: Bitmap | None) -> Bitmap:
        """Return the allowed rows with a term, (rows,)."""
        return self._router.matches(replace(self._request, action=ShardAction.MATCHES, allowed=allowed))


class RoutedQuery(PostingsQuery):
    """A query whose postings the shards read."""

    def __init__(self, opened: PostingsQuery, scorer: RoutedScorer) -> None:
        super().__init__(opened.terms, opened.live_rows, opened.allowed)
        self._routed = scorer

    @property
    def _scorer(self) -> Scorer:
        return self._routed

    def matches(self) -> Bitmap:
        return self._routed.matches(self.allowed)


class RoutedLexicalReader(LexicalReader):
    """The lexical indexes of all shards, which score; terms are read here."""

    def __init__(self, joined: LexicalReader, settings: CollectionSettings, router: ShardRouter) -> None:
        super().__init__(joined.live_rows, joined.settings, settings.synonyms)
        self._router = router

    def query(
        self,
        query: ParsedQuery,
        allowed: Bitmap | None = None,
        document_of: Rows | None = None,
        statistics: CollectionStatistics | None = None,
    ) -> PostingsQuery:
        opened = super().query(query, allowed, document_of, statistics)
        average_length = (statistics or self.statistics(query)).average_length
        terms = WeightedTerms(_weights(opened), average_length, query.bm25)
        return RoutedQuery(opened, RoutedScorer(self._router, terms))


class RoutedSparseReader(SparseReader):
    """The sparse indexes of all shards, which score; terms are read here."""

    def __init__(self, joined: SparseReader, router: ShardRouter) -> None:
        super().__init__(joined.live_rows, joined.settings)
        self._router = router

    def query(self, weights: TermWeights, allowed: Bitmap | None = None) -> PostingsQuery:
        opened = super().query(weights, allowed)
        return RoutedQuery(opened, RoutedScorer(self._router, WeightedTerms(_weights(opened))))


def _weights(query: PostingsQuery) -> tuple[tuple[str, float], ...]:
    return tuple((term.text, term.weight) for term in query.terms)


class RoutedReader(ShardedReader):
    """The open generations of shards that rank elsewhere; `remote` has them in order."""

    def __init__(
        self, path: Path, manifest: ShardedManifest, shards: Sequence[IndexReader], remote: Sequence[Shard]
    ) -> None:
        super().__init__(path, manifest, shards)
        self.remote = tuple(remote)
        self.router = ShardRouter(remote, [shard.rows for shard in shards], self.live)
        self.vectors = RoutedVectors(self.router, self.vectors)
        if self.lexical is not None:
            self.lexical = RoutedLexicalReader(self.lexical, manifest.settings, self.router)
        if self.sparse is not None:
            self.sparse = RoutedSparseReader(self.sparse, self.router)

    def close(self) -> None:
        super().close()
        for shard in self.remote:
            shard.close()

    def dense_vectors(self, window_share: float) -> CombinedVectors:
        share = window_share if self.manifest.settings.vectors.windows else 0.0
        return RoutedVectors(self.router, self.vectors, share)

    def without(self, names: Collection[str]) -> RoutedReader:
        """Return a view that reads nothing of some shards, nor counts their documents."""
        remote = [shard for shard in self.remote if shard.name not in names]
        return RoutedReader(self.path, *self._kept(names), remote)
