"""Finding the least effort that reaches the wanted recall, by measuring.

Queries of two kinds (see vector_probe.py) are asked of a structure that does not yet hold the rows that they come from.
They are halved, and the effort that each half needs is found; the larger is taken, and reported is what each half finds
with the effort that the other needs.  Filters are measured with random bitmaps and fewer queries.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vectors.exact import Flat, exact_search, rescored
from retrieval.index.vectors.faiss_index import Effort, Selection, Structure
from retrieval.index.vectors.faiss_threads import threads_for
from retrieval.index.vectors.recall import RecallEstimate, estimate
from retrieval.index.vectors.recall_queries import KINDS, TRUTH_DEPTH, Probe
from retrieval.index.vectors.store import Kept
from retrieval.types import Bitmap, Vectors

TUNED_K = 10
DEEP_K = 100
OPEN_SHARE = 0.9  # filters that let more through, such as deletions, hardly change what is found
SHARES = (0.5, 0.1, 0.03, 0.01, 0.003, 0.001)  # of rows that a filter lets through
GENEROUS = 32  # candidates for each wanted result while the exploration is tuned
DEPTHS = (1.5, 2, 3, 4, 6, 8, 12, 16, 24, GENEROUS)
DEPTH_LOSS = 0.001  # recall that a smaller depth may cost
STARTING = 64  # explored first
NEAR = 0.93  # of what may be missed: near enough
RUNG = 1.07  # from one exploration to the next that is worth trying
LARGEST_STEP = 8.0  # from one trial to the next
FEW_QUERIES = 200  # for deep results and for filters,
CAREFUL = 0.85  # which may miss only so much of what the target lets miss, because they are few
TIMED_QUERIES = 40
TIMED_SCANS = 6
ROUNDING = 1e-6  # of the power laws

Fold = NDArray[np.bool_]  # (queries,): which of them belong to it


@dataclass(frozen=True, slots=True)
class Setting:
    """The effort that reached the target for k results when a filter lets `share` of the rows through."""

    k: int
    share: float
    explored: int
    rescored: int
    milliseconds: float  # median of one query on one thread, rescoring included
    recall: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was measured of a structure; JSON-able."""

    target: float
    settings: tuple[Setting, ...]
    exact_share: float  # filters that let less through than this are answered faster exactly
    passages: RecallEstimate  # of passages held out, k = 10
    queries: RecallEstimate  # of queries made from other passages held out
    made_by: str  # "vectors", or "text" when an encoder made the queries

    def effort(self, k: int, share: float = 1.0) -> Effort:
        """Effort for k results under a filter that lets `share` of the rows through.

        The k-th allowed neighbour is about the k/share-th of all, so what must be explored follows from that quotient:
        by power laws between what was measured.  What must be rescored follows from k.
        """
        deepest: dict[float, int] = {}
        for each in sorted(self.settings, key=lambda each: each.k / each.share):
            least = max([each.explored, *deepest.values()])
            deepest[each.k / each.share] = least
        plain = sorted((each for each in self.settings if each.share == 1.0), key=lambda each: each.k)
        ks = [each.k for each in plain]
        wanted = max(k, ks[0])
        explored = _power(wanted / share, list(deepest), list(deepest.values()))
        depth = _power(min(wanted, ks[-1]), ks, [each.rescored / each.k for each in plain])
        return Effort(math.ceil(explored - ROUNDING), max(k, math.ceil(depth * wanted - ROUNDING)))

    @property
    def milliseconds(self) -> float:
        """Median milliseconds of one query for ten results, on one thread."""
        return next(each.milliseconds for each in self.settings if each.k == TUNED_K and each.share == 1.0)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """What `to_json` gave."""
        return cls(
            target=body["target"],
            settings=tuple(Setting(**each) for each in body["settings"]),
            exact_share=body["exact_share"],
            passages=RecallEstimate(**body["passages"]),
            queries=RecallEstimate(**body["queries"]),
            made_by=body["made_by"],
        )


def _power(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Through the points (xs ascending, ys) by straight lines in logarithms, the outermost of them prolonged."""
    if len(xs) == 1:
        return float(ys[0])
    at = min(max(int(np.searchsorted(xs, x)), 1), len(xs) - 1)
    slope = math.log(ys[at] / ys[at - 1]) / math.log(xs[at] / xs[at - 1])
    return float(ys[at - 1] * (x / xs[at - 1]) ** slope)


class _Curves:
    """Recall@k of a probe by query and depth, measured once for each exploration that is asked for."""

    def __init__(self, structure: Structure, probe: Probe, k: int, chosen: Selection | None) -> None:
        self.probe = probe
        self.k = k
        self._structure = structure
        self._chosen = chosen
        self._known: dict[int, NDArray[np.float32]] = {}

    def at(self, explored: int) -> NDArray[np.float32]:
        """(queries, depth)."""
        if explored not in self._known:
            effort = Effort(explored, GENEROUS * self.k)
            found = self._structure.candidates(self.probe.queries, effort, self._chosen)
            self._known[explored] = self.probe.recalls(found, self.k)
        return self._known[explored]

    def by_depth(self, explored: int, fold: Fold) -> NDArray[np.float64]:
        """Mean recall of a fold's queries by depth: of the kind that fares worse, (depth,)."""
        curves = self.at(explored)
        kinds = [curves[fold & (_kinds(len(curves)) == kind)] for kind in range(KINDS)]
        return np.asarray(np.min([each.mean(axis=0, dtype=np.float64) for each in kinds], axis=0))


def _kinds(queries: int) -> NDArray[np.int64]:
    return np.arange(queries) % KINDS


def _folds(queries: int) -> tuple[Fold, Fold]:
    """Two halves, of both kinds each."""
    second = np.arange(queries) // KINDS % 2 == 1
    return ~second, second


@dataclass(frozen=True, slots=True)
class Reached:
    """The least effort found for k results, and the recall of the worse kind of queries with it."""

    k: int
    effort: Effort
    recall: float


class Tuner:
    """Tunes one structure over `vectors`; `present` are the rows that it holds."""

    def __init__(self, structure: Structure, vectors: Kept, present: Bitmap, target: float) -> None:
        self.structure = structure
        self.vectors = vectors
        self.present = present
        self.target = target
        self._rungs = _rungs(structure.largest_effort)

    def tune(self, queries: Vectors, made_by: str, rng: np.random.Generator) -> Tuning:
        """Measure everything that `Tuning` holds, with queries of both kinds in turn."""
        probe = Probe.among(self.vectors, queries, self.present)
        curves = _Curves(self.structure, probe, TUNED_K, None)
        folds = _folds(len(queries))
        efforts = [self._least(curves, fold, STARTING).effort for fold in folds]
        effort, reports = self._crossed(curves, folds, efforts)
        recall = float(curves.by_depth(effort.explored, folds[0] | folds[1])[effort.rescored - 1])
        settings = [self._setting(1.0, Reached(TUNED_K, effort, recall), queries)]
        deep = _Curves(self.structure, probe.first(FEW_QUERIES), DEEP_K, None)
        settings.append(self._setting(1.0, self._least(deep, _all(deep), 2 * effort.explored, CAREFUL), queries))
        exact_share = self._tune_filters(settings, queries[:FEW_QUERIES], rng)
        return Tuning(self.target, tuple(settings), exact_share, reports[0], reports[1], made_by)

    def _tune_filters(self, settings: list[Setting], queries: Vectors, rng: np.random.Generator) -> float:
        """Add a setting for each share until exact search is faster; returns the share where the two are even."""
        last = replace(settings[0], share=OPEN_SHARE)
        for share in SHARES:
            allowed = self.present & (rng.random(len(self.present)) < share)
            if np.count_nonzero(allowed) < TRUTH_DEPTH:
                return last.share
            chosen = self.structure.select(allowed)
            curves = _Curves(self.structure, Probe.among(self.vectors, queries, allowed), TUNED_K, chosen)
            setting = self._setting(share, self._least(curves, _all(curves), last.explored, CAREFUL), queries, chosen)
            if setting.recall < self.target:
                return last.share
            settings.append(setting)
            exact_ms = self._exact_ms(queries[:TIMED_SCANS], allowed)  # now: the machine may be busy
            if exact_ms < setting.milliseconds:
                return min(last.share, share * setting.milliseconds / exact_ms)
            last = setting
        return last.share

    def _exact_ms(self, queries: Vectors, allowed: Bitmap) -> float:
        """Milliseconds of one exact search over the allowed rows, on one thread."""
        with threads_for(1):
            return _median_ms(queries, lambda query: exact_search(Flat(self.vectors), query, TUNED_K, allowed))

    def _least(self, curves: _Curves, fold: Fold, start: int, care: float = 1.0) -> Reached:
        """The least exploration with which both kinds of a fold's queries reach the target, then the least depth that
        keeps its recall.

        What is missed falls about as fast as the exploration grows: that says which rung to try next, `start` first.
        """
        most = care * (1 - self.target)  # that may be missed
        low, high = -1, len(self._rungs) - 1  # too little; enough, or all that there is
        at = min(int(np.searchsorted(self._rungs, start)), high)
        while high - low > 1:
            missed = 1 - curves.by_depth(self._rungs[at], fold)[-1]
            low, high = (at, high) if missed > most else (low, at)
            if NEAR * most <= missed <= most:
                break
            ratio = min(max(missed / most, 1 / LARGEST_STEP), LARGEST_STEP)
            at = min(max(int(np.searchsorted(self._rungs, ratio * self._rungs[at])), low + 1), high - 1)
        return self._shallowest(curves, fold, self._rungs[high])

    def _shallowest(self, curves: _Curves, fold: Fold, explored: int) -> Reached:
        """The least depth that keeps almost all of the recall that `explored` gives."""
        curve = curves.by_depth(explored, fold)
        for factor in DEPTHS:
            depth = min(math.ceil(factor * curves.k), len(curve))
            if curve[depth - 1] >= curve[-1] - DEPTH_LOSS:
                break
        return Reached(curves.k, Effort(explored, depth), float(curve[depth - 1]))

    def _crossed(
        self, curves: _Curves, folds: Sequence[Fold], efforts: Sequence[Effort]
    ) -> tuple[Effort, list[RecallEstimate]]:
        """The larger of the efforts that two folds need, and what each fold's queries find with the *other's*, by kind.

        As long as that falls short of the target, both are raised.
        """
        while True:
            recalls = np.empty(len(curves.probe.queries))
            for fold, effort in zip(folds, reversed(efforts), strict=True):
                found = curves.at(effort.explored)
                recalls[fold] = found[fold, min(effort.rescored, found.shape[1]) - 1]
            reports = [estimate(recalls[_kinds(len(recalls)) == kind]) for kind in range(KINDS)]
            largest = Effort(max(each.explored for each in efforts), max(each.rescored for each in efforts))
            if all(each.recall >= self.target for each in reports) or largest.explored >= self._rungs[-1]:
                return largest, reports
            efforts = [Effort(self._above(each.explored), each.rescored) for each in efforts]

    def _above(self, explored: int) -> int:
        return self._rungs[min(int(np.searchsorted(self._rungs, explored)) + 1, len(self._rungs) - 1)]

    def _setting(self, share: float, reached: Reached, queries: Vectors, chosen: Selection | None = None) -> Setting:
        effort = reached.effort
        with threads_for(1):
            milliseconds = _median_ms(
                queries[:TIMED_QUERIES], lambda query: self._answer(query, reached.k, effort, chosen)
            )
        return Setting(reached.k, share, effort.explored, effort.rescored, milliseconds, reached.recall)

    def _answer(self, query: Vectors, k: int, effort: Effort, chosen: Selection | None) -> None:
        rescored(self.vectors, query[0], self.structure.candidates(query, effort, chosen)[0], k)


def _all(curves: _Curves) -> Fold:
    return np.ones(len(curves.probe.queries), np.bool_)


def _rungs(most: int) -> list[int]:
    """Explorations worth telling apart, up to `most`."""
    rungs = [1]
    while rungs[-1] < most:
        rungs.append(min(most, max(rungs[-1] + 1, round(RUNG * rungs[-1]))))
    return rungs


def _median_ms(queries: Vectors, answer: Callable[[Vectors], object]) -> float:
    """Median milliseconds of `answer` over single queries."""
    times = []
    for number in range(len(queries)):
        start = time.perf_counter()
        answer(queries[number : number + 1])
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))
