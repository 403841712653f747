"""Searcher: a collection and its encoder, put together to answer queries.

A search takes these steps: encode → plan → rank → count facets → rerank → fetch hits → highlight → explain.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.collapsed import Collapsed
from retrieval.encoder.loading import load_recorded_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.encoder.sparse import SparseEncoder, load_sparse_encoder
from retrieval.errors import BadQuery
from retrieval.explanations import Explanation, Replacement
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.collection.sharded_reader import JoinShards, ShardedReader, open_reader
from retrieval.results import Hit, SearchResult, Timings, Total, TotalRelation
from retrieval.search.answer_size import fit_answer
from retrieval.search.boosts import BoostedRanker, match_set_rows, total_of_boosted_page, with_boost_parts, with_boosts
from retrieval.search.collapse import rank_collapsed, with_collapsed
from retrieval.search.diversity import depth_of_diversity, diversified
from retrieval.search.encoder_check import check_fingerprint, checked_encoder
from retrieval.search.examples import VectorPart, joined_vector, with_example_parts
from retrieval.search.explain.attribution import TextAttention
from retrieval.search.explain.highlight import Highlighter
from retrieval.search.explain.hit_explanation import HitExplainer
from retrieval.search.facet_counts import CountedFacets, count_facets
from retrieval.search.feedback import Feedback, with_feedback_parts
from retrieval.search.fusion import PassageRanker
from retrieval.search.hits import fetch_hits
from retrieval.search.late_explanation import with_late_words
from retrieval.search.match_set import confidence, matches_from, relevance_cut, total_of_page
from retrieval.search.near_duplicates import depth_of_near, in_match_set, join_near
from retrieval.search.partial import answer_of_shards
from retrieval.search.pins import NOTHING_PINNED, PinnedDocuments, Pins, with_pin_marks, with_pins
from retrieval.search.plan import (
    Plan,
    default_mode,
    example_parts,
    make_plan,
    open_ranker,
    parsed,
    query_text,
    text_to_encode,
    text_to_weigh,
)
from retrieval.search.ranking import (
    DocumentRanking,
    documents_of,
    matching_passages,
    rank_by_field,
    rank_by_score,
    rank_passages,
    unranked,
    unranked_passages,
)
from retrieval.search.readability import Readability
from retrieval.search.request import checked
from retrieval.search.request_limits import depth_of
from retrieval.search.rerank import DocumentReranker
from retrieval.search.rerankers import RerankerFolders, Rerankers
from retrieval.search.retrievers import RETRIEVERS, RetrieverType
from retrieval.search.suggestions import Suggestions, suggest
from retrieval.types import Bitmap, Document, GroupBy, Mode, Prefix, Rows, SearchRequest, Syntax, TermWeights
from retrieval.util.remote_names import is_remote
from retrieval.util.work_budget import checkpoint


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A checked request and the embedding of its query."""

    request: SearchRequest
    vector: NDArray[np.float32] | None  # (dimension,); None in lexical and sparse mode
    weights: TermWeights | None  # by the sparse encoder; None if the mode needs none
    encode_ms: float  # the time that encoding took, batch included


@dataclass(frozen=True, slots=True)
class Matched:
    """The documents of a search: ranked, and counted."""

    ranked: DocumentRanking
    total: Total
    facets: CountedFacets = field(default_factory=CountedFacets)
    cut: float | None = None  # lowest score of the match set, if `rows` is None; None for no limit
    rows: Rows | None = None  # passages of the match set, if all were scored
    collapsed: Mapping[int, Collapsed] = field(default_factory=dict)  # by `DocumentRanking.units`
    pinned: PinnedDocuments = NOTHING_PINNED


class Searcher:
    """Answers searches over one open generation.  Safe to call from several threads."""

    def __init__(
        self,
        reader: IndexReader,
        encoder: SentenceEncoder,
        *,
        retrievers: Sequence[RetrieverType] = RETRIEVERS,
        rerankers: Rerankers | None = None,
        sparse_encoder: SparseEncoder | None = None,
    ) -> None:
        self.reader = reader
        self.encoder = encoder
        self.sparse_encoder = sparse_encoder  # of a collection with a sparse index
        self._retrievers = retrievers  # that hybrid mode fuses
        self._explainer = HitExplainer(reader, encoder)
        self._readability = Readability(encoder.tokenizer)
        self._pins = Pins(reader.manifest.settings.pins)
        self.rerankers = RerankerFolders() if rerankers is None else rerankers  # an empty registry has none
        self._reranker = DocumentReranker(reader, self.rerankers)

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.reader.close()

    def search(self, request: SearchRequest, *, rerank_ms: float = math.inf) -> SearchResult:
        """Answer one request, with a time budget for reranking.

        Raises BadQuery and FilterError.
        """
        return self.answer(self.encoded([checked(request)])[0], rerank_ms=rerank_ms)

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """Answer requests in their order; the encoder reads their queries together."""
        return [self.answer(each) for each in self.encoded([checked(request) for request in requests])]

    def encoded(self, requests: Sequence[SearchRequest], *, save_cpu: bool = False) -> list[EncodedRequest]:
        """Encode the queries of checked requests together; `save_cpu` is slower."""
        started = time.perf_counter()
        texts = [text_to_encode(request, self.reader) for request in requests]
        nonempty = [text for text in texts if text]
        vectors = iter(self.encoder.encode_queries(nonempty, save_cpu=save_cpu) if nonempty else ())
        weights = self._weighed([text_to_weigh(request, self.reader) for request in requests])
        encode_ms = _ms_since(started)
        return [
            EncodedRequest(request, next(vectors) if text else None, terms, encode_ms)
            for request, text, terms in zip(requests, texts, weights, strict=True)
        ]

    def _weighed(self, texts: Sequence[str]) -> list[TermWeights | None]:
        """Return the terms of each text by the sparse encoder; None for an empty text."""
        nonempty = [text for text in texts if text]
        if self.sparse_encoder is None or not nonempty:
            return [None] * len(texts)
        found = iter(self.sparse_encoder.weigh_queries(nonempty))
        return [next(found) if text else None for text in texts]

    def answer(self, encoded: EncodedRequest, *, rerank_ms: float = math.inf) -> SearchResult:
        """Rank, rerank, count, fetch.  Raises BadQuery, FilterError, ShardUnavailable."""
        if not isinstance(self.reader, ShardedReader):
            return self._answer(encoded, rerank_ms)
        partial = encoded.request.partial
        return answer_of_shards(self.reader, partial, lambda view: self._over(view)._answer(encoded, rerank_ms))

    def _over(self, view: IndexReader) -> Searcher:
        """Return the searcher of a view of this generation."""
        if view is self.reader:
            return self
        sparse, rerankers = self.sparse_encoder, self.rerankers
        return Searcher(view, self.encoder, retrievers=self._retrievers, rerankers=rerankers, sparse_encoder=sparse)

    def _answer(self, encoded: EncodedRequest, rerank_ms: float) -> SearchResult:
        checkpoint()
        request, vector, weights, encode_ms = encoded.request, encoded.vector, encoded.weights, encoded.encode_ms
        started = time.perf_counter()
        plan = make_plan(request, self.reader, self._readability, self._retrievers)
        parts = example_parts(plan, vector)
        vector = joined_vector(parts) if parts else vector
        plain, feedback = open_ranker(plan, self.reader, vector, weights)
        ranker = with_boosts(plan, plain, self.reader)
        matched = self._matched(plan, ranker, vector, weights)
        ranked = diversified(matched.ranked, request, plan.mode, ranker, self.reader)
        retrieve_ms = _ms_since(started)
        reranking = self._reranker.rerank(request, plan.text, ranked, ranker, rerank_ms)
        fetch_started = time.perf_counter()
        rerank_used_ms = (fetch_started - started) * 1000 - retrieve_ms
        final = with_pins(reranking.ranked, matched.pinned)
        fitted = fit_answer(request, fetch_hits(request, final, ranker, self.reader), self.encoder.tokenizer)
        hits = self._marked(fitted.hits, final, matched, request.offset)
        if request.highlight:
            hits = self._highlighted(plan, vector, hits)
        fetch_ms = _ms_since(fetch_started)
        if request.explain:
            hits = self._explained(plan, parts, vector, weights, hits, feedback, ranker)
        hits = reranking.applied(hits, final.documents[request.offset :]) if request.rerank else hits
        if request.explain and reranking.late is not None:
            hits = with_late_words(plan.text, hits, reranking.late, self.reader, self._explainer)
        total_ms = encode_ms + _ms_since(started)
        return SearchResult(
            query=request.query,
            collection=self.reader.name,
            generation=self.reader.manifest.generation,
            mode=plan.mode,
            hits=hits,
            timings_ms=Timings(encode_ms, retrieve_ms, fetch_ms, total_ms, rerank_used_ms if request.rerank else 0.0),
            total=matched.total,
            confidence=confidence(plan, self.reader, vector, ranked, plain, feedback),
            facets=matched.facets.values,
            facet_stats=matched.facets.stats,
            weight=plan.weight.value if plan.weight else None,
            weight_reason=plan.weight.reason if plan.weight else "",
            feedback=feedback.weight if feedback else None,
            sparse_weight=plan.sparse_weight,
            score_ranges=ranker.score_ranges,
            replacements=self._replacements(plan),
            truncated=fitted.truncated,
            next_offset=request.offset + len(hits) if fitted.truncated else None,
            degraded=("rerank",) if reranking.shortened else (),
        )

    def document(self, document_id: str) -> Document:
        """Return the live document with that id.  Raises DocumentNotFound."""
        return self.reader.documents([self.reader.document_row(document_id)])[0]

    def explain(
        self,
        query: str,
        document_id: str,
        mode: Mode | None = None,
        *,
        syntax: Syntax = Syntax.PLAIN,
        typos: bool = True,
        prefix: Prefix = Prefix.NONE,
        synonyms: bool = True,
        start: int | None = None,
    ) -> Explanation:
        """Explain a document's score for a query, also if a search does not find it.

        The explanation is that of the passage that begins at `start`; by default, of the passage with the best cosine
        (lexical mode: BM25).  Raises BadQuery when a search would.
        """
        mode = mode or default_mode(self.reader)
        request = SearchRequest(query, mode=mode, syntax=syntax, typos=typos, prefix=prefix, synonyms=synonyms)
        if request.lists_all:
            raise BadQuery(f"the query {query} lists documents without scores to explain; give it words")
        text = query_text(request, mode, self.reader)
        [weights] = self._weighed([text_to_weigh(request, self.reader)])
        return self._explainer.explain_document(parsed(request), text, document_id, mode, weights, start=start)

    def suggest(self, query: str, count: int = 5) -> Suggestions:
        """Complete a query that is being typed.  Raises BadQuery."""
        return suggest(self.reader, query, count)

    def attention(
        self, query: str, document_id: str, layer: int, *, heads: Sequence[int] | None = None, of_query: bool
    ) -> TextAttention:
        """Return the self-attention over the query or the document's best passage."""
        return self._explainer.attention(query, document_id, layer, heads=heads, of_query=of_query)

    def _marked(self, hits: tuple[Hit, ...], ranked: DocumentRanking, matched: Matched, offset: int) -> tuple[Hit, ...]:
        """Tell which hits stand for several, and which are pinned."""
        if matched.collapsed:
            hits = with_collapsed(hits, ranked.units[offset:], matched.collapsed)
        return with_pin_marks(hits, ranked.documents[offset:], matched.pinned) if matched.pinned else hits

    def _explained(
        self,
        plan: Plan,
        parts: Sequence[VectorPart],
        vector: NDArray[np.float32] | None,
        weights: TermWeights | None,
        hits: tuple[Hit, ...],
        feedback: Feedback | None,
        ranker: PassageRanker,
    ) -> tuple[Hit, ...]:
        """Explain the hits by the query's text, or by the parts of its vector."""
        shown = None if parts else vector
        hits = self._explainer.explain_hits(plan.query, plan.text, hits, plan.mode, shown, weights, plan.window_share)
        hits = with_example_parts(hits, parts, self.reader) if parts else hits
        hits = with_feedback_parts(hits, feedback) if feedback else hits
        return with_boost_parts(hits, ranker, self.reader) if isinstance(ranker, BoostedRanker) else hits

    def _matched(
        self, plan: Plan, ranker: PassageRanker, vector: NDArray[np.float32] | None, weights: TermWeights | None
    ) -> Matched:
        """Rank and count as `_counted`; join near duplicates if the request asks for it."""
        matched, near = self._counted(plan, ranker, vector, weights), plan.request.collapse_near
        if near is None:
            return matched
        matching = in_match_set(matched.ranked, matched.cut, matched.rows, self.reader)
        joined = join_near(matched.ranked, matched.total, near, matching, ranker, self.reader)
        return replace(matched, ranked=joined.ranked, total=joined.total, collapsed=joined.collapsed)

    def _counted(
        self, plan: Plan, ranker: PassageRanker, vector: NDArray[np.float32] | None, weights: TermWeights | None
    ) -> Matched:
        """Rank the documents; count the match set and the values of its facets."""
        request, reader = plan.request, self.reader
        depth = max(request.offset + request.k, depth_of(request.rerank), depth_of_diversity(request))
        depth += depth_of_near(request)
        by_document = request.group_by is GroupBy.DOCUMENT
        rank = rank_by_score if by_document else rank_passages
        pinned = self._pins.find(request, reader, ranker)
        counts_all = request.sort or request.facets or request.count or request.collapse or request.lists_all
        needs_matches = request.boosts and (pinned or request.collapse_near is not None)
        if not counts_all and not needs_matches:
            ranked = rank(ranker, reader, depth, request.min_score)
            if isinstance(ranker, BoostedRanker):
                return Matched(ranked, total_of_boosted_page(plan, reader, ranker, ranked, depth))
            top = float(ranked.scores[0]) if len(ranked.scores) else 0.0
            cut = relevance_cut(plan, reader, top)
            total = total_of_page(ranked, depth, cut)
            total = replace(total, value=total.value + pinned.outside(cut))
            return Matched(ranked, total, cut=cut, pinned=pinned)
        lowest, rows = self._match_set(plan, ranker)
        documents = documents_of(rows, reader)
        documents[pinned.documents] = True
        facets = count_facets(request, reader, documents, partial(self._documents_without, request, vector, weights))
        if request.collapse:
            best = rank_collapsed(request, ranker, reader, depth, documents)
            total = Total(best.total, TotalRelation.EXACT)
            return Matched(best.ranked, total, facets, collapsed=best.collapsed)
        if request.sort:
            ranked = rank_by_field(ranker, reader, depth, lowest, request.sort)
        elif request.lists_all and not request.boosts:
            ranked = unranked(documents, depth) if by_document else unranked_passages(rows, reader, depth)
        else:
            ranked = rank(ranker, reader, depth, request.min_score)
        total = Total(int(np.count_nonzero(documents)) if by_document else len(rows), TotalRelation.EXACT)
        return Matched(ranked, total, facets, rows=rows, pinned=pinned)

    def _documents_without(
        self, request: SearchRequest, vector: NDArray[np.float32] | None, weights: TermWeights | None, field: str
    ) -> Bitmap:
        """Return the match set of a request without the filter's conditions on a field."""
        plan = make_plan(request, self.reader, self._readability, self._retrievers, without=field)
        plain, _ = open_ranker(plan, self.reader, vector, weights)
        _, rows = self._match_set(plan, with_boosts(plan, plain, self.reader))
        return documents_of(rows, self.reader)

    def _match_set(self, plan: Plan, ranker: PassageRanker) -> tuple[float | None, Rows]:
        """Return the lowest score of the match set, if it has one, and its passages."""
        if isinstance(ranker, BoostedRanker):
            return None, match_set_rows(plan, self.reader, ranker)
        lowest = matches_from(plan, self.reader, ranker)
        return lowest, matching_passages(ranker, lowest)

    def _replacements(self, plan: Plan) -> tuple[Replacement, ...]:
        lexical = self.reader.lexical
        has_words = plan.mode is not Mode.DENSE and not plan.request.lists_all
        return lexical.terms_of(plan.query).replacements if lexical is not None and has_words else ()

    def _highlighted(self, plan: Plan, vector: NDArray[np.float32] | None, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        lexical = None if plan.mode is Mode.DENSE else self.reader.lexical
        reads = vector is not None and not is_remote(self.encoder.fingerprint.name)  # its sentences would cost money
        highlighter = Highlighter(lexical, self.encoder if reads else None)
        return highlighter.highlight(plan.query, vector, hits)


def open_searcher(
    path: Path,
    *,
    encoder: SentenceEncoder | None = None,
    generation: int | None = None,
    previous: IndexReader | None = None,
    rerankers: Rerankers | None = None,
    sparse_encoder: SparseEncoder | None = None,
    join: JoinShards = ShardedReader,
) -> Searcher:
    """Open a collection with the encoders that made it.

    `encoder` and `sparse_encoder` must be these; by default, they are loaded by their recorded names.  With `previous`,
    an open earlier generation, unchanged files stay open, and unchanged canaries are not encoded.  `rerankers` are
    found by name, by default folders.  `join`: see `open_reader`.  Raises CollectionError, EncoderMismatch.
    """
    reader = open_reader(path, generation, previous=previous, join=join)
    try:
        made_by = reader.manifest.encoder
        encoder = encoder or load_recorded_encoder(made_by)
        check_fingerprint(reader.name, made_by, encoder.fingerprint)
        if previous is None or previous.manifest.encoder != made_by or is_remote(made_by.name):
            encoder = checked_encoder(reader.name, reader.manifest.settings.canaries, encoder)
        if reader.sparse is not None:
            sparse_made_by = reader.sparse.settings.encoder
            sparse_encoder = sparse_encoder or load_sparse_encoder(sparse_made_by.name)
            check_fingerprint(reader.name, sparse_made_by, sparse_encoder.fingerprint)
    except BaseException:
        reader.close()
        raise
    return Searcher(reader, encoder, rerankers=rerankers, sparse_encoder=sparse_encoder)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
