"""Plans: mode, rows, retrievers and weight that answer a request on a generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadQuery
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.lexical.phrases import ParsedQuery, parse_query
from retrieval.index.metadata.facets import collapse_type
from retrieval.index.metadata.filters import known_field
from retrieval.index.metadata.sorting import parse_sort
from retrieval.index.storage.manifest import Manifest
from retrieval.protocols import Retriever
from retrieval.search.examples import Examples, VectorPart, read_examples
from retrieval.search.facet_counts import facets_of
from retrieval.search.feedback import FEEDBACK_PASSAGES, Feedback, moved_query
from retrieval.search.fusion import PassageRanker, SingleRanker, UnrankedRows
from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS, PARAMETERS, UNCALIBRATED_WEIGHT
from retrieval.search.readability import DenseWeight, Readability, dense_weight
from retrieval.search.request import check_prefix
from retrieval.search.retrievers import RETRIEVERS, DenseRetriever, RetrieverQuery, RetrieverType
from retrieval.types import Bitmap, Mode, Prefix, Rows, SearchRequest, TermWeights

BOOSTED_LIST_SCORE = 1.0  # of each document of the query for all, before boosts
MISSING_INDEXES = {  # without which a mode cannot answer, and how to get it
    Mode.LEXICAL: ("lexical index", ""),
    Mode.HYBRID: ("lexical index", ""),
    Mode.SPARSE: ("sparse index", "make one with `attendex index … --sparse ENCODER`, or "),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request and the way to answer it."""

    request: SearchRequest
    mode: Mode
    query: ParsedQuery
    text: str  # the part of the query that the encoder reads
    allowed: Bitmap | None  # live rows that filter and expiry leave, (rows,); None: all live rows
    weight: DenseWeight | None  # dense share of hybrid fusion; None in the other modes
    feedback: float  # weight of the best passages in the query's vector; 0 for none
    sparse_weight: float | None  # sparse part of what the dense share leaves; None if fusion has no such parameter
    window_share: float  # part of the best window in a passage's cosine; 0 without windows
    retrievers: tuple[RetrieverType, ...]
    examples: Examples | None = None


def make_plan(
    request: SearchRequest,
    reader: IndexReader,
    readability: Readability,
    retrievers: Sequence[RetrieverType] = RETRIEVERS,
    *,
    without: str = "",
) -> Plan:
    """Check and plan a request for a generation.  Raises BadQuery and FilterError.

    Hybrid mode uses those of `retrievers` that the collection has; another mode, the retriever of its name.  Conditions
    of the filter on the field `without` alone do not count.
    """
    mode = request.mode or default_mode(reader)
    _check_fields(request, reader)
    allowed = None
    if request.filter.strip():
        allowed = reader.matching_documents(request.filter, request.now, without=without)[reader.document_of]
    elif (expired := reader.expired_documents(request.now)) is not None:
        allowed = reader.live & ~expired[reader.document_of]
    if request.lists_all:
        return Plan(request, mode, ParsedQuery(""), "", allowed, None, 0.0, None, 0.0, ())
    query = parsed(request)
    text = query_text(request, mode, reader)
    examples = read_examples(request, reader, mode) if request.has_examples else None
    if examples is not None:
        query = replace(query, terms=examples.terms)
        allowed = _without(examples.documents, allowed, reader)
    weight = _weight(request, reader, readability, text, examples) if mode is Mode.HYBRID else None
    if mode is Mode.DENSE and examples is None and not readability.can_encode(text):
        allowed = np.zeros(reader.rows, np.bool_)
    chosen = _chosen(retrievers, mode, reader)
    feedback = _feedback(request, reader, weight)
    part = _sparse_weight(request, reader, mode)
    share = default_window_share(reader.manifest) if request.window_share is None else request.window_share
    return Plan(request, mode, query, text, allowed, weight, feedback, part, share, chosen, examples)


def _chosen(retrievers: Sequence[RetrieverType], mode: Mode, reader: IndexReader) -> tuple[RetrieverType, ...]:
    if mode is not Mode.HYBRID:
        return tuple(each for each in retrievers if each.name == mode)
    missing = set(Mode).difference(reader.modes)
    return tuple(each for each in retrievers if each.name not in missing)


def example_parts(plan: Plan, vector: NDArray[np.float32] | None) -> tuple[VectorPart, ...]:
    """Return the parts of a vector with examples; `vector` is that of the query.

    A plan without examples has no parts.
    """
    if plan.examples is None:
        return ()
    text = () if vector is None else (VectorPart("query", "", 1.0, vector),)
    return (*text, *plan.examples.parts)


def _without(documents: Rows, allowed: Bitmap | None, reader: IndexReader) -> Bitmap:
    kept = np.ones(len(reader.live_documents), np.bool_)
    kept[documents] = False
    rows: Bitmap = kept[reader.document_of]
    return rows if allowed is None else rows & allowed


def open_ranker(
    plan: Plan, reader: IndexReader, vector: NDArray[np.float32] | None, weights: TermWeights | None = None
) -> tuple[PassageRanker, Feedback | None]:
    """Open the retrievers of a plan; return the feedback that the ranking uses, too.

    `vector`, (dimension,), is the embedding of `plan.text`, and `weights` are its terms by the sparse encoder; each is
    None where the mode needs none.
    """
    if plan.request.lists_all:
        score = BOOSTED_LIST_SCORE if plan.request.boosts else 0.0
        return UnrankedRows(reader.live if plan.allowed is None else plan.allowed & reader.live, score), None
    allowed, lexical = plan.allowed, None
    if plan.mode is not Mode.DENSE and reader.lexical is not None:
        lexical = reader.lexical.query(plan.query, plan.allowed, reader.document_of)
        allowed = lexical.allowed
    sparse = None if reader.sparse is None else reader.sparse.query(weights or {}, allowed)
    query = RetrieverQuery(reader, allowed, vector, lexical, plan.request.exact, sparse, plan.window_share)
    retrievers = [each(query) for each in plan.retrievers]
    if plan.weight is None:
        return SingleRanker(retrievers[0], allowed), None
    ranker = _fused(plan, retrievers, query.allowed_rows)
    if not plan.feedback or vector is None:
        return ranker, None
    best = ranker.rank(FEEDBACK_PASSAGES).rows
    if not len(best):
        return ranker, None
    feedback = moved_query(reader, vector, best, plan.feedback)
    moved = replace(query, vector=feedback.vector)
    retrievers = [DenseRetriever(moved) if isinstance(each, DenseRetriever) else each for each in retrievers]
    return _fused(plan, retrievers, query.allowed_rows), feedback


def _fused(plan: Plan, retrievers: Sequence[Retriever], allowed: Bitmap) -> PassageRanker:
    assert plan.weight is not None
    fusion = FUSIONS[plan.request.fusion]
    values = {each.name: getattr(plan.request, each.name) for each in fusion.parameters if each.fused}
    if "sparse_weight" in values:
        values["sparse_weight"] = plan.sparse_weight
    return fusion.fuse(retrievers, allowed, **{**values, "weight": plan.weight.value})


def default_mode(reader: IndexReader) -> Mode:
    """Return hybrid for a collection with a lexical index, else dense."""
    return reader.modes[-1]


def text_to_encode(request: SearchRequest, reader: IndexReader) -> str:
    """Return the text that the encoder reads for a request; empty if it needs none."""
    mode = request.mode or default_mode(reader)
    return "" if mode in (Mode.LEXICAL, Mode.SPARSE) or request.lists_all else _encoded_text(request, mode, reader)


def text_to_weigh(request: SearchRequest, reader: IndexReader) -> str:
    """Return the text that the sparse encoder reads; empty if the mode needs none."""
    mode = request.mode or default_mode(reader)
    needed = reader.sparse is not None and mode in (Mode.SPARSE, Mode.HYBRID)
    return _encoded_text(request, mode, reader) if needed and not request.lists_all else ""


def parsed(request: SearchRequest) -> ParsedQuery:
    """Parse the query of a request for lexical and hybrid mode."""
    prefix, synonyms = request.prefix is Prefix.LAST, request.synonyms
    options = {"typos": request.typos, "prefix": prefix, "synonyms": synonyms}
    return parse_query(request.words, request.syntax, bm25=request.bm25, **options)


def query_text(request: SearchRequest, mode: Mode, reader: IndexReader) -> str:
    """Return the text that the encoder reads of a request's query.

    Raises BadQuery when the collection cannot answer the query in that mode.
    """
    if mode not in reader.modes:
        index, hint = MISSING_INDEXES[mode]
        known = ", ".join(reader.modes)
        raise BadQuery(f"{reader.name} has no {index}, so mode {mode} cannot answer; {hint}use a mode of {known}")
    check_prefix(request.prefix, mode)
    text = _encoded_text(request, mode, reader)
    if not text and not request.has_examples:
        raise BadQuery("the query has only operators: quotes or excluded words; give at least one word to look for")
    return text


def _encoded_text(request: SearchRequest, mode: Mode, reader: IndexReader) -> str:
    if mode is Mode.DENSE or reader.lexical is None:
        return request.words
    return reader.lexical.corrected(parsed(request))


def _weight(
    request: SearchRequest, reader: IndexReader, readability: Readability, text: str, examples: Examples | None
) -> DenseWeight:
    """Return the dense share of fusion.

    A tuned weight of the collection holds for the default fusion only.
    """
    if examples is not None and not text and not examples.terms:
        return DenseWeight(1.0, "the request has no words")
    if examples is None and not readability.can_encode(text):
        return DenseWeight(0.0, "the encoder knows no token of the query")
    unreadable = readability.unreadable_share(text)
    manifest = reader.manifest
    tuned = manifest.settings.search.weight if request.fusion == DEFAULT_FUSION else None
    default = default_parameters(manifest, request.fusion)["weight"]
    return dense_weight(request.weight, tuned, default, unreadable, manifest.unreadable_share)


def default_parameters(manifest: Manifest, fusion: str = DEFAULT_FUSION) -> dict[str, float]:
    """Return the parameters of a fusion method for a collection that is not tuned.

    Where the background of cosines is unknown, hybrid search is that of earlier versions.
    """
    known = {"", *(["sparse"] if manifest.sparse else []), *(["windows"] if manifest.settings.vectors.windows else [])}
    defaults = {each.name: each.default for each in FUSIONS[fusion].parameters if each.needs in known}
    if manifest.background is None and fusion == DEFAULT_FUSION:
        defaults |= {"weight": UNCALIBRATED_WEIGHT, "feedback": 0.0}
    return defaults


def _feedback(request: SearchRequest, reader: IndexReader, weight: DenseWeight | None) -> float:
    """Return the weight of dense feedback; 0 if only one retriever has a share."""
    if weight is None or not 0.0 < weight.value < 1.0 or request.fusion != DEFAULT_FUSION or request.has_examples:
        return 0.0
    tuned = reader.manifest.settings.search.feedback
    chosen = (request.feedback, tuned, default_parameters(reader.manifest)["feedback"])
    return next(each for each in chosen if each is not None)


def _sparse_weight(request: SearchRequest, reader: IndexReader, mode: Mode) -> float | None:
    """Return the sparse part of what the dense share leaves, if the mode has one."""
    if mode is not Mode.HYBRID or reader.sparse is None or request.fusion != DEFAULT_FUSION:
        return None
    chosen = (request.sparse_weight, reader.manifest.settings.search.sparse_weight)
    return next((each for each in chosen if each is not None), default_parameters(reader.manifest)["sparse_weight"])


def default_window_share(manifest: Manifest) -> float:
    """Return the part of the best window in a passage's cosine; 0 without windows."""
    if not manifest.settings.vectors.windows:
        return 0.0
    tuned = manifest.settings.search.window_share
    return PARAMETERS["window_share"].default if tuned is None else tuned


def _check_fields(request: SearchRequest, reader: IndexReader) -> None:
    if request.facets or request.disjunctive or request.facet_prefix:
        facets_of(request, reader)
    if request.sort:
        parse_sort(request.sort, reader.schema)
    if request.collapse:
        collapse_type(request.collapse, reader.schema)
    for field in request.fields or ():
        if not any(name.startswith(f"{field}.") for name in reader.schema):  # else an object, as it was given
            known_field(field, reader.schema, "fields")
