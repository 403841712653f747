"""Examples of a search: documents to be like or unlike, and a given vector.

The query's vector is the sum of these vectors of length one, at length one (Rocchio 1971):

    query text + vector + mean of `like` - ½ · mean of `unlike`

The vector of a document is the mean of its passages.  In lexical and hybrid mode, the telling terms of the `like`
documents count as words of the query: those with the greatest frequency · idf that no `unlike` document has among its
own.  The examples themselves are no hits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import BadQuery
from retrieval.explanations import ExamplePart
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.lexical.reader import LexicalReader
from retrieval.results import Hit
from retrieval.types import Mode, Rows, SearchRequest, Vectors
from retrieval.util.work_budget import checkpoint

UNLIKE_WEIGHT = 0.5
MAX_TERMS = 25  # of an example, as words of the query
_MAX_PASSAGES = 1_000  # of a document, at equal distances, whose mean is its vector
_MAX_CHARACTERS = 20_000  # of a document, from whose start its terms come


@dataclass(frozen=True, slots=True)
class VectorPart:
    """A vector of length one that takes part in the query's vector."""

    source: str  # "query", "vector", "like" or "unlike"
    id: str  # of an example; "" for others
    weight: float
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of a request, read from a generation."""

    documents: Rows  # rows of the examples, which are no hits
    parts: tuple[VectorPart, ...] = ()
    terms: tuple[str, ...] = ()


def read_examples(request: SearchRequest, reader: IndexReader, mode: Mode) -> Examples:
    """Read the examples of a request.  Raises BadQuery, and DocumentNotFound."""
    if mode is Mode.SPARSE:
        raise BadQuery("mode sparse ranks by the query's text alone; use mode dense, lexical or hybrid with examples")
    rows = {id_: reader.document_row(id_) for id_ in (*request.like, *request.unlike)}
    parts: list[VectorPart] = []
    if mode is not Mode.LEXICAL:
        if request.vector is not None:
            parts.append(VectorPart("vector", "", 1.0, _given_vector(request.vector, reader)))
        for source, ids, weight in (("like", request.like, 1.0), ("unlike", request.unlike, -UNLIKE_WEIGHT)):
            parts += [VectorPart(source, id_, weight / len(ids), _document_vector(reader, rows[id_])) for id_ in ids]
    terms: tuple[str, ...] = ()
    if mode is not Mode.DENSE and reader.lexical is not None:
        unlike = {term for id_ in request.unlike for term in _telling_terms(reader, reader.lexical, rows[id_])}
        liked = [term for id_ in request.like for term in _telling_terms(reader, reader.lexical, rows[id_])]
        terms = tuple(term for term in dict.fromkeys(liked) if term not in unlike)
    return Examples(np.array(sorted(set(rows.values())), np.int64), tuple(parts), terms)


def joined_vector(parts: Sequence[VectorPart]) -> NDArray[np.float32]:
    """Return the sum of the parts at length one, (dimension,)."""
    return _at_length_one(_weighted_sum(parts))


def with_example_parts(hits: Sequence[Hit], parts: Sequence[VectorPart], reader: IndexReader) -> tuple[Hit, ...]:
    """Return explained hits whose explanations divide the cosine among the parts."""
    length = float(np.linalg.norm(_weighted_sum(parts))) or 1.0
    return tuple(_with_parts(hit, parts, length, reader) for hit in hits)


def _with_parts(hit: Hit, parts: Sequence[VectorPart], length: float, reader: IndexReader) -> Hit:
    if hit.explanation is None or not hit.passages:
        return hit
    rows = _rows_of(reader, reader.document_row(hit.id))
    passage = reader.vectors.rows(rows[hit.passages[0].number - 1 :][:1])[0].astype(np.float64)
    shares = tuple(
        ExamplePart(part.source, part.id, part.weight / length, part.weight / length * float(part.vector @ passage))
        for part in parts
    )
    return replace(hit, explanation=replace(hit.explanation, examples=shares))


def _weighted_sum(parts: Sequence[VectorPart]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum([part.weight * part.vector.astype(np.float64) for part in parts], axis=0)
    return total


def _at_length_one(vector: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vector / (float(np.linalg.norm(vector)) or 1.0)).astype(np.float32)


def _given_vector(given: Sequence[float], reader: IndexReader) -> NDArray[np.float32]:
    dimension = reader.manifest.encoder.dimension
    if len(given) != dimension:
        raise BadQuery(
            f"vector has {len(given):,} numbers; the encoder of {reader.name} makes vectors of {dimension:,}"
        )
    vector = np.array(given, np.float64)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or not length:
        raise BadQuery("vector has no direction: give finite numbers that are not all 0")
    return _at_length_one(vector)


def _rows_of(reader: IndexReader, document: int) -> Rows:
    first, last = np.searchsorted(reader.document_of, [document, document + 1])
    return np.arange(first, last, dtype=np.int64)


def _document_vector(reader: IndexReader, document: int) -> NDArray[np.float32]:
    """Return the mean of a document's passages at length one."""
    checkpoint()
    rows = _rows_of(reader, document)
    if len(rows) > _MAX_PASSAGES:
        rows = rows[np.linspace(0, len(rows) - 1, _MAX_PASSAGES).astype(np.int64)]
    passages: Vectors = reader.vectors.rows(rows)
    mean: NDArray[np.float64] = passages.astype(np.float64).mean(axis=0)
    return _at_length_one(mean)


def _telling_terms(reader: IndexReader, lexical: LexicalReader, document: int) -> list[str]:
    """Return the terms of a document with the greatest frequency · idf, best first."""
    checkpoint()
    [found] = reader.documents([document])
    frequencies = Counter(lexical.ranking_terms(f"{found.title} {found.text[:_MAX_CHARACTERS]}"))
    values = {term: times * lexical.idf(term) for term, times in frequencies.items()}
    return sorted(values, key=lambda term: (-values[term], term))[:MAX_TERMS]
