"""Find the least effort of an ANN index that reaches the target recall.

The tuner searches an index for queries of two kinds (see recall_queries.py), before the build adds the rows that the
queries come from.  It splits the queries into two halves, finds the least effort for each half, and takes the larger
effort.  It reports the recall of each half with the effort of the other half.  It measures filters with random bitmaps
and fewer queries.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.exact import FlatVectors, exact_search, rescored, threads_for
from retrieval.index.vectors.faiss_index import Effort, FaissIndex, Selection
from retrieval.index.vectors.recall import RecallEstimate, estimate
from retrieval.index.vectors.recall_queries import KINDS, TRUTH_DEPTH, Probe
from retrieval.index.vectors.store import StoredVectors
from retrieval.types import Bitmap, Vectors

TUNED_K = 10
DEEP_K = 100
OPEN_SHARE = 0.9  # filters that allow more rows, such as deletions, hardly change the results
SHARES = (0.5, 0.1, 0.03, 0.01, 0.003, 0.001)  # of the rows that a measured filter allows
MAX_DEPTH = 32  # candidates per result while the exploration is tuned
DEPTHS = (1.5, 2, 3, 4, 6, 8, 12, 16, 24, MAX_DEPTH)
DEPTH_LOSS = 0.001  # recall that a smaller number of candidates may cost
FIRST_EXPLORED = 64
CLOSE_ENOUGH = 0.93  # share of the allowed misses at which the search for an effort ends
STEP = 1.07  # ratio of neighbouring explorations that are worth a trial
MAX_JUMP = 8.0  # greatest ratio of the explorations of two consecutive trials
FEW_QUERIES = 200  # to measure deep results and filters
FEW_QUERIES_MARGIN = 0.85  # share of the allowed misses that so few queries may have
TIMED_QUERIES = 40
TIMED_SCANS = 6
ROUNDING = 1e-6  # of the power laws

Fold = NDArray[np.bool_]  # (queries,): True for the queries of the fold


@dataclass(frozen=True, slots=True)
class TunedEffort:
    """The effort that reached the target, for k results and a filter."""

    k: int
    share: float  # of the rows that the filter allows
    explored: int
    rescored: int
    milliseconds: float  # of one query on one thread with rescoring, median
    recall: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """The measurements of an ANN index."""

    target: float
    settings: tuple[TunedEffort, ...]
    exact_share: float  # exact search is faster for filters that allow a smaller share
    passages: RecallEstimate  # of held-out passages, k = 10
    queries: RecallEstimate  # of queries made from other held-out passages
    made_by: str  # "vectors": the queries are made from stored ones

    def effort(self, k: int, share: float = 1.0) -> Effort:
        """Return the effort for k results under a filter that allows `share` of the rows.

        The k-th allowed neighbour is about the k/share-th of all neighbours.  So the exploration depends on k/share,
        by power laws between the measurements.  The number of rescored candidates depends on k.
        """
        deepest: dict[float, int] = {}
        for setting in sorted(self.settings, key=lambda setting: setting.k / setting.share):
            deepest[setting.k / setting.share] = max([setting.explored, *deepest.values()])
        plain = sorted((each for each in self.settings if each.share == 1.0), key=lambda each: each.k)
        ks = [each.k for each in plain]
        wanted = max(k, ks[0])
        explored = _power(wanted / share, list(deepest), list(deepest.values()))
        depth = _power(min(wanted, ks[-1]), ks, [each.rescored / each.k for each in plain])
        return Effort(math.ceil(explored - ROUNDING), max(k, math.ceil(depth * wanted - ROUNDING)))

    @property
    def milliseconds(self) -> float:
        """The median milliseconds of one query for ten results, on one thread."""
        return next(each.milliseconds for each in self.settings if each.k == TUNED_K and each.share == 1.0)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Read the values of `to_json`."""
        return cls(
            target=body["target"],
            settings=tuple(TunedEffort(**each) for each in body["settings"]),
            exact_share=body["exact_share"],
            passages=RecallEstimate(**body["passages"]),
            queries=RecallEstimate(**body["queries"]),
            made_by=body["made_by"],
        )


def _power(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Interpolate y at x by power laws between points; continue the outermost."""
    if len(xs) == 1:
        return float(ys[0])
    at = min(max(int(np.searchsorted(xs, x)), 1), len(xs) - 1)
    slope = math.log(ys[at] / ys[at - 1]) / math.log(xs[at] / xs[at - 1])
    return float(ys[at - 1] * (x / xs[at - 1]) ** slope)


class _RecallCurves:
    """Recall@k of a probe by query and depth, measured once for each exploration."""

    def __init__(self, index: FaissIndex, probe: Probe, k: int, selection: Selection | None) -> None:
        self.probe = probe
        self.k = k
        self._index = index
        self._selection = selection
        self._known: dict[int, NDArray[np.float32]] = {}

    def at(self, explored: int) -> NDArray[np.float32]:
        """Return the recalls with some exploration: (queries, depth)."""
        if explored not in self._known:
            effort = Effort(explored, MAX_DEPTH * self.k)
            found = self._index.candidates(self.probe.queries, effort, self._selection)
            self._known[explored] = self.probe.recalls(found, self.k)
        return self._known[explored]

    def by_depth(self, explored: int, fold: Fold) -> NDArray[np.float64]:
        """Return the mean recall of a fold by depth, of the worse kind: (depth,)."""
        curves = self.at(explored)
        kinds = [curves[fold & (_kinds(len(curves)) == kind)] for kind in range(KINDS)]
        return np.asarray(np.min([each.mean(axis=0, dtype=np.float64) for each in kinds], axis=0))


def _kinds(queries: int) -> NDArray[np.int64]:
    return np.arange(queries) % KINDS


def _folds(queries: int) -> tuple[Fold, Fold]:
    """Return two halves, each with both kinds of queries."""
    second = np.arange(queries) // KINDS % 2 == 1
    return ~second, second


@dataclass(frozen=True, slots=True)
class MeasuredEffort:
    """The least effort for k results, and the lower recall of both kinds of queries."""

    k: int
    effort: Effort
    recall: float


class Tuner:
    """Tunes an index over `vectors` that contains the `present` rows, (rows,)."""

    def __init__(self, index: FaissIndex, vectors: StoredVectors, present: Bitmap, target: float) -> None:
        self.index = index
        self.vectors = vectors
        self.present = present
        self.target = target
        self._steps = _exploration_steps(index.largest_effort)

    def tune(self, queries: Vectors, rng: np.random.Generator) -> Tuning:
        """Measure the values of `Tuning` with alternating queries of both kinds."""
        probe = Probe.among(self.vectors, queries, self.present)
        curves = _RecallCurves(self.index, probe, TUNED_K, None)
        folds = _folds(len(queries))
        efforts = [self._find_least(curves, fold, FIRST_EXPLORED).effort for fold in folds]
        effort, reports = self._cross_validate(curves, folds, efforts)
        recall = float(curves.by_depth(effort.explored, folds[0] | folds[1])[effort.rescored - 1])
        settings = [self._tuned_effort(1.0, MeasuredEffort(TUNED_K, effort, recall), queries)]
        deep = _RecallCurves(self.index, probe.first(FEW_QUERIES), DEEP_K, None)
        reached = self._find_least(deep, _all(deep), 2 * effort.explored, FEW_QUERIES_MARGIN)
        settings.append(self._tuned_effort(1.0, reached, queries))
        exact_share = self._tune_filters(settings, queries[:FEW_QUERIES], rng)
        return Tuning(self.target, tuple(settings), exact_share, reports[0], reports[1], "vectors")

    def _tune_filters(self, settings: list[TunedEffort], queries: Vectors, rng: np.random.Generator) -> float:
        """Append the efforts of shares until exact search wins; return that share."""
        last = replace(settings[0], share=OPEN_SHARE)
        for share in SHARES:
            allowed = self.present & (rng.random(len(self.present)) < share)
            if np.count_nonzero(allowed) < TRUTH_DEPTH:
                return last.share
            selection = self.index.select(allowed)
            curves = _RecallCurves(self.index, Probe.among(self.vectors, queries, allowed), TUNED_K, selection)
            reached = self._find_least(curves, _all(curves), last.explored, FEW_QUERIES_MARGIN)
            setting = self._tuned_effort(share, reached, queries, selection)
            if setting.recall < self.target:
                return last.share
            settings.append(setting)
            exact_ms = self._exact_ms(queries[:TIMED_SCANS], allowed)  # now, since the load of the machine may change
            if exact_ms < setting.milliseconds:
                return min(last.share, share * setting.milliseconds / exact_ms)
            last = setting
        return last.share

    def _exact_ms(self, queries: Vectors, allowed: Bitmap) -> float:
        """Measure the milliseconds of one exact search on one thread."""
        with threads_for(1):
            return _median_ms(queries, lambda query: exact_search(FlatVectors(self.vectors), query, TUNED_K, allowed))

    def _find_least(self, curves: _RecallCurves, fold: Fold, start: int, margin: float = 1.0) -> MeasuredEffort:
        """Find the least exploration, then depth, with which both kinds reach the target.

        The trials begin at `start`.  The share of missed neighbours falls about as fast as the exploration grows, which
        gives the next exploration to try.  margin: share of the allowed misses.
        """
        max_missed = margin * (1 - self.target)
        low, high = -1, len(self._steps) - 1  # too low; high enough, or the greatest exploration
        at = min(int(np.searchsorted(self._steps, start)), high)
        while high - low > 1:
            missed = 1 - curves.by_depth(self._steps[at], fold)[-1]
            low, high = (at, high) if missed > max_missed else (low, at)
            if CLOSE_ENOUGH * max_missed <= missed <= max_missed:
                break
            ratio = min(max(missed / max_missed, 1 / MAX_JUMP), MAX_JUMP)
            at = min(max(int(np.searchsorted(self._steps, ratio * self._steps[at])), low + 1), high - 1)
        return self._shallowest(curves, fold, self._steps[high])

    def _shallowest(self, curves: _RecallCurves, fold: Fold, explored: int) -> MeasuredEffort:
        """Find the least depth that keeps almost all recall of an exploration."""
        curve = curves.by_depth(explored, fold)
        for factor in DEPTHS:
            depth = min(math.ceil(factor * curves.k), len(curve))
            if curve[depth - 1] >= curve[-1] - DEPTH_LOSS:
                break
        return MeasuredEffort(curves.k, Effort(explored, depth), float(curve[depth - 1]))

    def _cross_validate(
        self, curves: _RecallCurves, folds: Sequence[Fold], efforts: Sequence[Effort]
    ) -> tuple[Effort, list[RecallEstimate]]:
        """Return the larger effort of two folds, and the recall of each kind of queries.

        Each query takes the effort of the *other* fold.  Both efforts grow while a recall is below the target.
        """
        while True:
            recalls = np.empty(len(curves.probe.queries))
            for fold, effort in zip(folds, reversed(efforts), strict=True):
                found = curves.at(effort.explored)
                recalls[fold] = found[fold, min(effort.rescored, found.shape[1]) - 1]
            reports = [estimate(recalls[_kinds(len(recalls)) == kind]) for kind in range(KINDS)]
            largest = Effort(max(each.explored for each in efforts), max(each.rescored for each in efforts))
            if all(each.recall >= self.target for each in reports) or largest.explored >= self._steps[-1]:
                return largest, reports
            following = [int(np.searchsorted(self._steps, each.explored)) + 1 for each in efforts]
            efforts = [
                Effort(self._steps[min(step, len(self._steps) - 1)], each.rescored)
                for step, each in zip(following, efforts, strict=True)
            ]

    def _tuned_effort(
        self, share: float, reached: MeasuredEffort, queries: Vectors, selection: Selection | None = None
    ) -> TunedEffort:
        effort = reached.effort

        def search(query: Vectors) -> None:
            rescored(self.vectors, query[0], self.index.candidates(query, effort, selection)[0], reached.k)

        with threads_for(1):
            milliseconds = _median_ms(queries[:TIMED_QUERIES], search)
        return TunedEffort(reached.k, share, effort.explored, effort.rescored, milliseconds, reached.recall)


def _all(curves: _RecallCurves) -> Fold:
    return np.ones(len(curves.probe.queries), np.bool_)


def _exploration_steps(largest: int) -> list[int]:
    """Return the explorations that are worth a trial, up to `largest`."""
    steps = [1]
    while steps[-1] < largest:
        steps.append(min(largest, max(steps[-1] + 1, round(STEP * steps[-1]))))
    return steps


def _median_ms(queries: Vectors, search: Callable[[Vectors], object]) -> float:
    """Measure the median milliseconds of `search` over single queries."""
    times = []
    for number in range(len(queries)):
        start = time.perf_counter()
        search(queries[number : number + 1])
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))
