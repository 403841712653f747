"""What a request means for one open generation: which mode, which rows, what is encoded, which weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadQuery
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.lexical.phrases import parse_query
from retrieval.index.metadata.facets import facet_type, sort_type
from retrieval.index.metadata.filters import compile_filter, known_field
from retrieval.search.fusion import CONVEX_WEIGHT, RANK_WEIGHT
from retrieval.search.readability import Readability, Weight, dense_weight
from retrieval.search.retrievers import DenseRetrieval, HybridRetrieval, LexicalRetrieval, RankRetrieval, Retrieval
from retrieval.types import Bitmap, Mode, SearchRequest


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request.  `text` is what the encoder reads and `allowed` what the filter leaves of the live rows."""

    request: SearchRequest
    mode: Mode
    text: str
    allowed: Bitmap | None  # None: no filter
    weight: Weight | None  # of hybrid fusion


def plan(request: SearchRequest, reader: IndexReader, readability: Readability) -> Plan:
    """Hold a request against a generation.  Raises BadQuery and FilterError."""
    mode = _mode(request, reader)
    text = asked_text(request.query, mode, reader)
    _check_fields(request, reader)
    weight = _weight(request, reader, readability, text) if mode is Mode.HYBRID else None
    allowed = _allowed(request.filter, reader)
    if mode is Mode.DENSE and not readability.sees(text):
        allowed = np.zeros(reader.rows, np.bool_)
    return Plan(request, mode, text, allowed, weight)


def text_to_encode(request: SearchRequest, reader: IndexReader) -> str:
    """What the encoder is to read for a request; empty where no vector is needed."""
    mode = _mode(request, reader)
    return "" if mode is Mode.LEXICAL else encoded_text(request.query, mode)


def asked_text(query: str, mode: Mode, reader: IndexReader) -> str:
    """What the encoder reads of a query that the collection can answer in that mode.  Raises BadQuery."""
    if mode is not Mode.DENSE and reader.lexical is None:
        raise BadQuery(f"{reader.name} has no index of words, so mode {mode} cannot answer; use mode dense")
    text = encoded_text(query, mode)
    if not text:
        raise BadQuery("the query has only operators: quotes or excluded words; give at least one word to look for")
    return text


def encoded_text(query: str, mode: Mode) -> str:
    """What the encoder reads of a query: all of it, or, where words take part, what its operators leave."""
    return query if mode is Mode.DENSE else parse_query(query).plain


def retrieval(plan: Plan, reader: IndexReader, vector: NDArray[np.float32] | None) -> Retrieval:
    """The query at work; `vector` is that of `plan.text`, where one is needed."""
    words = reader.lexical
    if plan.mode is Mode.DENSE or words is None:
        return _dense(plan, reader, vector, plan.allowed)
    lexical_query = words.query(plan.request.query, plan.allowed, reader.document_of)
    if plan.mode is Mode.LEXICAL:
        return LexicalRetrieval(lexical_query)
    allowed = reader.live if lexical_query.allowed is None else lexical_query.allowed & reader.live
    dense = _dense(plan, reader, vector, allowed)
    weight = plan.weight.value if plan.weight else 0.0
    if plan.request.fusion == "rrf":
        return RankRetrieval(dense, lexical_query, weight=weight, rrf_k=plan.request.rrf_k, rows=reader.rows)
    return HybridRetrieval(dense, lexical_query, weight=weight, rows_allowed=int(np.count_nonzero(allowed)))


def _mode(request: SearchRequest, reader: IndexReader) -> Mode:
    return request.mode or (Mode.DENSE if reader.lexical is None else Mode.HYBRID)


def _dense(
    plan: Plan, reader: IndexReader, vector: NDArray[np.float32] | None, allowed: Bitmap | None
) -> DenseRetrieval:
    assert vector is not None
    allowed = reader.live if allowed is None else allowed
    return DenseRetrieval(reader.vectors, vector, allowed, exact=plan.request.exact)


def _weight(request: SearchRequest, reader: IndexReader, readability: Readability, text: str) -> Weight:
    """The dense share of fusion; what a collection was tuned to holds for the default fusion."""
    if not readability.sees(text):
        return Weight(0.0, "the encoder sees nothing in the query")
    unreadable = readability.unreadable_share(text)
    manifest = reader.manifest
    tuned = manifest.settings.search.weight if request.fusion == "convex" else None
    default = CONVEX_WEIGHT if request.fusion == "convex" else RANK_WEIGHT
    return dense_weight(request.weight, tuned, default, unreadable, manifest.unreadable_share)


def _check_fields(request: SearchRequest, reader: IndexReader) -> None:
    for field in request.facets:
        facet_type(field, reader.schema)
    if request.sort:
        sort_type(request.sort.removeprefix("-"), reader.schema)
    for field in request.fields or ():
        known_field(field, reader.schema, "fields")


def _allowed(expression: str, reader: IndexReader) -> Bitmap | None:
    """The live rows whose documents match a filter."""
    if not expression.strip():
        return None
    matching = compile_filter(expression, reader.schema).documents(reader.column, len(reader.live_documents))
    allowed: Bitmap = (matching & reader.live_documents)[reader.document_of]
    return allowed
