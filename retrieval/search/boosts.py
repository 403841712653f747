"""Boosts: factors by metadata, which multiply the scores of documents.

The factor of a document is the product over the boosts of `1 + (weight - 1) · value`, where the value is from 0 to 1:

    filter                  1 if the document matches
    value, log1p            x / max, log(1 + x) / log(1 + max); at most 1, and 0 below 0
    linear                  max(0, 1 - (1 - decay) · d / scale)     d = max(0, |x - origin| - offset)
    exponential, gaussian   decay ^ (d / scale), decay ^ (d / scale)²

A document without the field has the value 0, so its score stays; of a list the greatest value counts.  The factor
multiplies the distance of a score from zero, the score of unrelated texts: μ in dense mode, else 0.  Of a score below
zero it divides the distance, so that a weight above 1 raises and a weight below 1 lowers every score, and the order of
documents with equal factors stays.  The ranking is that of all matches: the ranker takes more and more of the plain
ranking, until no other passage can reach the first k with the greatest factor of any document.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrieval.boosts import DECAY_CURVES, VALUE_CURVES, Boost, finite_number
from retrieval.errors import BadQuery, FilterError
from retrieval.explanations import BoostExplanation, BoostPart
from retrieval.index.collection.index_reader import IndexReader
from retrieval.index.metadata.filters import known_field
from retrieval.index.metadata.moments import parse_duration, parse_moment
from retrieval.results import Hit, Total, TotalRelation
from retrieval.search.fusion import PassageRanker, RowScores
from retrieval.search.hits import rows_of_hits
from retrieval.search.match_set import relevance_cut, zero_score
from retrieval.search.plan import BOOSTED_LIST_SCORE, Plan
from retrieval.search.ranking import DocumentRanking, matching_passages
from retrieval.types import Bitmap, FieldType, Ranking, Rows, Scores
from retrieval.util.work_budget import checkpoint, spend_filter_values

DECAY = 0.5  # of a boost that gives none
_MIN_CANDIDATES = 100  # of the first round
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DocumentFactors:
    """The value of each boost, (boosts, documents), from 0 to 1; `boosts` weigh them."""

    boosts: tuple[Boost, ...]
    values: Values

    def of(self, documents: Rows) -> Values:
        """Return the factors of some documents, (n,)."""
        weights = np.array([[boost.weight] for boost in self.boosts], np.float64)
        factors: Values = np.prod(1.0 + (weights - 1.0) * self.values[:, documents], axis=0)
        return factors

    def parts(self, document: int) -> tuple[BoostPart, ...]:
        """Return the share of each boost in the factor of a document."""
        values = self.values[:, document].tolist()
        return tuple(
            BoostPart(boost.condition, value, 1.0 + (boost.weight - 1.0) * value)
            for boost, value in zip(self.boosts, values, strict=True)
        )


class BoostedRanker:
    """Ranks by the scores of another ranker, boosted; `plain` is that ranker."""

    def __init__(self, plain: PassageRanker, factors: DocumentFactors, document_of: Rows, zero: float) -> None:
        self.plain = plain
        self.factors = factors
        self.zero = zero
        self.allowed = plain.allowed
        self.score_ranges = plain.score_ranges
        self._document_of = document_of
        self._max_factor = factors.of(np.arange(factors.values.shape[1])).max(initial=1.0, keepdims=True)  # (1,)

    def rank(self, k: int) -> Ranking:
        count = max(_MIN_CANDIDATES, 4 * k)
        while True:
            found = self.plain.rank(count)
            ranking = Ranking.top(found.rows, self._boosted(found.rows, found.scores), k)
            if len(found.rows) < count:
                return ranking
            bound = boosted(found.scores[-1:], self._max_factor, self.zero)[0]  # of the rows that were not found
            if len(ranking.rows) == k and ranking.scores[-1] > bound:
                return ranking
            count *= 4

    def score(self, rows: Rows) -> RowScores:
        scores = self.plain.score(rows)
        return replace(scores, score=self._boosted(rows, scores.score))

    def _boosted(self, rows: Rows, scores: Scores) -> Scores:
        return boosted(scores, self.factors.of(self._document_of[rows]), self.zero)

    def matches(self) -> Bitmap:
        return self.plain.matches()


def boosted(scores: Scores, factors: Values, zero: float) -> Scores:
    """Multiply the distance of each score above `zero`, and divide that below: (n,)."""
    distances = scores.astype(np.float64) - zero
    return (zero + np.where(distances > 0.0, distances * factors, distances / factors)).astype(np.float32)


def with_boosts(plan: Plan, plain: PassageRanker, reader: IndexReader) -> PassageRanker:
    """Return the ranker of the request; `plain` itself if it has no boosts.

    Raises FilterError for a filter or a field that does not fit the collection.
    """
    if not plan.request.boosts:
        return plain
    now = plan.request.now or datetime.now(UTC)
    values = np.stack([boost_values(boost, reader, now) for boost in plan.request.boosts])
    factors = DocumentFactors(plan.request.boosts, values)
    return BoostedRanker(plain, factors, reader.document_of, zero_score(plan, reader))


def match_set_rows(plan: Plan, reader: IndexReader, ranker: BoostedRanker) -> Rows:
    """Return the rows of the match set, ascending: boosts do not change it.

    `min_score` leaves out documents by their boosted scores.
    """
    rows = matching_passages(ranker.plain, _plain_cut(plan, reader, ranker))
    least = plan.request.min_score
    return rows if least is None else rows[ranker.score(rows).score >= least]


def total_of_boosted_page(
    plan: Plan, reader: IndexReader, ranker: BoostedRanker, ranked: DocumentRanking, depth: int
) -> Total:
    """Count the documents of the match set among the first `depth` of a ranking."""
    cut, count = _plain_cut(plan, reader, ranker), len(ranked.documents)
    if count and cut is not None:
        scores = ranker.plain.score(rows_of_hits(ranked, count, ranker, reader)).score
        return Total(int((scores >= cut).sum()), _relation(count < depth))
    return Total(count, _relation(count < depth))


def _relation(is_whole: bool) -> TotalRelation:
    return TotalRelation.EXACT if is_whole else TotalRelation.AT_LEAST


def _plain_cut(plan: Plan, reader: IndexReader, ranker: BoostedRanker) -> float | None:
    """Return the lowest score of the match set without boosts; None for no limit."""
    best = ranker.plain.rank(1).scores
    return relevance_cut(plan, reader, float(best[0])) if len(best) else None


def with_boost_parts(hits: Sequence[Hit], ranker: BoostedRanker, reader: IndexReader) -> tuple[Hit, ...]:
    """Return explained hits whose explanations tell the factors of the boosts."""
    return tuple(_with_parts(hit, ranker, reader.document_row(hit.id)) for hit in hits)


def _with_parts(hit: Hit, ranker: BoostedRanker, document: int) -> Hit:
    if hit.explanation is None:
        return hit
    parts = ranker.factors.parts(document)
    scores = [each for each in (hit.scores.get("fused"), *hit.scores.values()) if each is not None]
    first = scores[0] if scores else BOOSTED_LIST_SCORE
    explained = BoostExplanation(first, ranker.zero, math.prod(each.factor for each in parts), parts)
    return replace(hit, explanation=replace(hit.explanation, boosts=explained))


def boost_values(boost: Boost, reader: IndexReader, now: datetime) -> Values:
    """Return the value of a boost for each document, (documents,), from 0 to 1."""
    checkpoint()
    if boost.filter:
        return reader.matching_documents(boost.filter, now).astype(np.float64)
    kind = known_field(boost.field, reader.schema, "boosts")
    if kind.element not in (FieldType.NUMBER, FieldType.DATE):
        raise FilterError(f"boosts: {boost.field!r} is a {kind} field; boost by numbers or dates, or by a filter")
    if boost.curve in VALUE_CURVES and kind.element is FieldType.DATE:
        raise FilterError(f"boosts: {boost.field!r} is a {kind} field; use a curve of {', '.join(DECAY_CURVES)}")
    spend_filter_values(len(reader.live_documents))
    numbers, documents = _numbers(reader.column(boost.field), kind)
    if boost.curve in VALUE_CURVES:
        live = numbers[reader.live_documents[documents]]
        curved = _value_curve(boost, numbers, float(live.max(initial=0.0)) if boost.max is None else boost.max)
    else:
        curved = _decay_curve(boost, numbers, kind.element, now)
    values = np.zeros(len(reader.live_documents))
    np.maximum.at(values, documents, curved)
    return values


def _numbers(column: pa.ChunkedArray, kind: FieldType) -> tuple[Values, Rows]:
    """Return the finite values of a field, dates in seconds, and the row of each."""
    flat = column.combine_chunks()
    documents = np.arange(len(flat), dtype=np.int64)
    if kind.is_list:
        documents, flat = pc.list_parent_indices(flat).to_numpy(zero_copy_only=False), pc.list_flatten(flat)
    if kind.element is FieldType.DATE:
        flat = pc.divide(flat.cast(pa.int64()).cast(pa.float64()), 1e6)
    numbers = flat.to_numpy(zero_copy_only=False).astype(np.float64)
    known = np.isfinite(numbers)
    return numbers[known], documents[known].astype(np.int64)


def _value_curve(boost: Boost, numbers: Values, greatest: float) -> Values:
    if greatest <= 0.0:
        return np.zeros(len(numbers))
    clipped = np.clip(numbers, 0.0, greatest)
    return np.log1p(clipped) / math.log1p(greatest) if boost.curve == "log1p" else clipped / greatest


def _decay_curve(boost: Boost, numbers: Values, kind: FieldType, now: datetime) -> Values:
    origin = _origin(boost, kind, now)
    scale = _distance("scale", boost.scale, kind)
    offset = 0.0 if boost.offset is None else _distance("offset", boost.offset, kind)
    if scale <= 0.0 or offset < 0.0:
        raise BadQuery(
            f"boosts: scale is {boost.scale!r}, offset is {boost.offset!r}; give a scale above 0, offset from 0"
        )
    decay = DECAY if boost.decay is None else boost.decay
    with np.errstate(over="ignore"):  # a distance may be infinite; the curves are 0 there
        steps = np.maximum(0.0, np.abs(numbers - origin) - offset) / scale
        if boost.curve == "linear":
            return np.maximum(0.0, 1.0 - (1.0 - decay) * steps)
        curved: Values = np.power(decay, steps if boost.curve == "exponential" else np.square(steps))
        return curved


def _origin(boost: Boost, kind: FieldType, now: datetime) -> float:
    """Return the origin as a number; of dates in seconds since 1970, by default now."""
    if kind is FieldType.NUMBER:
        return _finite("origin", boost.origin)
    origin = boost.origin if isinstance(boost.origin, str) else "now" if boost.origin is None else repr(boost.origin)
    return parse_moment(origin, now, "boosts: origin").start.timestamp()


def _distance(name: str, value: Any, kind: FieldType) -> float:
    """Return a distance as a number; of dates in seconds."""
    if kind is FieldType.NUMBER:
        return _finite(name, value)
    return parse_duration(value, f"boosts: {name}").total_seconds()


def _finite(name: str, value: Any) -> float:
    return finite_number(f"boosts: {name}", value)
