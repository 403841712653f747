"""Finding the least effort that reaches the wanted recall, by measuring.

Two kinds of queries are asked of a structure that does not yet hold the rows held out: those rows' own vectors, and
queries made from them, which lie where no passage lies, as real queries do.  Half of each tunes, the other half
reports.  Filters are measured with random bitmaps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.index.vector import Kept
from retrieval.index.vector_exact import exact_search, rescored
from retrieval.index.vector_recall import RecallEstimate, estimate
from retrieval.index.vector_structure import Effort, Selection, Structure
from retrieval.index.vector_threads import threads_for
from retrieval.types import Bitmap, Vectors

TUNED_K = 10
DEEP_K = 100
TRUTH_DEPTH = 128  # exact neighbours known of each query, so that ties with the last that counts are seen
OPEN_SHARE = 0.9  # filters that let more through, such as deletions, hardly change what is found
SHARES = (0.5, 0.1, 0.03, 0.01, 0.003, 0.001)  # of rows that a filter lets through
GENEROUS = 32  # candidates for each wanted result while the exploration is tuned
DEPTHS = (1.5, 2, 3, 4, 6, 8, 12, 16, 24, GENEROUS)
DEPTH_LOSS = 0.001  # recall that a smaller depth may cost
DRIFT = 0.4  # how far a made query is from its passage; see `make_queries`
CONFIDENT_ERRORS = 1.0  # standard errors by which the tuning half must clear the target
TIMED_QUERIES = 100
ROUNDING = 1e-6  # of the power laws


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
    passages: RecallEstimate  # of the reporting half of the rows held out, k = 10
    queries: RecallEstimate  # of the reporting half of the queries made from them
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


def make_queries(passages: Vectors, others: Vectors, rng: np.random.Generator) -> Vectors:
    """Queries near passages, (n, d): each is moved along the difference of two other vectors, a natural direction.

    On encoded trivia questions, `DRIFT` gives the recall of queries that hold two thirds of a passage's words.
    """
    left, right = rng.integers(len(others), size=(2, len(passages)))
    moved = passages + np.float32(DRIFT) * (others[left] - others[right])
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)


class Probe:
    """Queries with their exact neighbours among the rows that are in the structure and allowed."""

    def __init__(self, vectors: Kept, queries: Vectors, allowed: Bitmap) -> None:
        self.queries = queries
        self._truth = exact_search(vectors, queries, TRUTH_DEPTH, allowed)

    def neighbours(self, number: int, k: int) -> NDArray[np.int64]:
        """Rows that score no less than the k-th neighbour of a query."""
        ranking = self._truth[number]
        if len(ranking.rows) <= k:
            return ranking.rows
        rows: NDArray[np.int64] = ranking.rows[ranking.scores >= ranking.scores[k - 1]]
        return rows

    def recalls(self, found: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """Recall@k by query and by depth, (queries, depth), if only the first so many candidates were rescored.

        A neighbour among the candidates is always ranked where it belongs, since rescoring is exact.
        """
        hits = np.empty(found.shape, dtype=np.float64)
        for number, rows in enumerate(found):
            neighbours = self.neighbours(number, k)
            wanted = max(1, min(k, len(neighbours)))
            hits[number] = np.minimum(np.cumsum(np.isin(rows, neighbours)), wanted) / wanted
        return hits


@dataclass(frozen=True, slots=True)
class Halves:
    """One kind of queries, in two halves."""

    tuning: Vectors
    reporting: Vectors


def split(queries: Vectors) -> Halves:
    """Every second query to each half."""
    return Halves(np.ascontiguousarray(queries[0::2]), np.ascontiguousarray(queries[1::2]))


@dataclass(frozen=True, slots=True)
class Reached:
    """The least effort found for k results, and the recall of the worse kind of queries with it."""

    k: int
    effort: Effort
    recall: float


def _shallowest(k: int, explored: int, curves: Sequence[NDArray[np.float64]]) -> Reached:
    """The least depth that keeps almost all of the recall that `explored` gives; curves: mean recall by depth."""
    for factor in DEPTHS:
        depth = min(math.ceil(factor * k), len(curves[0]))
        if all(curve[depth - 1] >= curve[-1] - DEPTH_LOSS for curve in curves):
            break
    return Reached(k, Effort(explored, depth), min(float(curve[depth - 1]) for curve in curves))


class Tuner:
    """Tunes one structure over `vectors`; `present` are the rows that it holds."""

    def __init__(self, structure: Structure, vectors: Kept, present: Bitmap, target: float) -> None:
        self.structure = structure
        self.vectors = vectors
        self.present = present
        self.target = target

    def tune(self, passages: Vectors, queries: Vectors, made_by: str, rng: np.random.Generator) -> Tuning:
        """Measure everything that `Tuning` holds."""
        kinds = (split(passages), split(queries))
        tuning = [Probe(self.vectors, each.tuning, self.present) for each in kinds]
        reporting = [Probe(self.vectors, each.reporting, self.present) for each in kinds]
        least = self._least(tuning, TUNED_K, 2 * TUNED_K)
        effort, (by_passages, by_queries) = self._confirmed(least.effort, reporting)
        settings = [self._setting(1.0, replace(least, effort=effort), tuning)]
        settings.append(self._setting(1.0, self._least(tuning, DEEP_K, effort.explored), tuning))
        exact_share = self._tune_filters(settings, [each.tuning for each in kinds], rng)
        return Tuning(self.target, tuple(settings), exact_share, by_passages, by_queries, made_by)

    def _tune_filters(self, settings: list[Setting], queries: Sequence[Vectors], rng: np.random.Generator) -> float:
        """Add a setting for each share until exact search is faster; returns the share where the two are even."""
        last = replace(settings[0], share=OPEN_SHARE)
        for share in SHARES:
            allowed = self.present & (rng.random(len(self.present)) < share)
            if np.count_nonzero(allowed) < TRUTH_DEPTH:
                return last.share
            probes = [Probe(self.vectors, each[: len(each) // 2], allowed) for each in queries]
            chosen = self.structure.select(allowed)
            setting = self._setting(share, self._least(probes, TUNED_K, last.explored, chosen), probes, chosen)
            if setting.recall < self.target:
                return last.share
            settings.append(setting)
            exact_ms = self._exact_ms(queries[0][: TIMED_QUERIES // 4], allowed)  # now: the machine may be busy
            if exact_ms < setting.milliseconds:
                return min(last.share, share * setting.milliseconds / exact_ms)
            last = setting
        return last.share

    def _exact_ms(self, queries: Vectors, allowed: Bitmap) -> float:
        """Milliseconds of one exact search over the allowed rows, on one thread."""
        with threads_for(1):
            return _median_ms(queries, lambda query: exact_search(self.vectors, query, TUNED_K, allowed))

    def _least(self, probes: Sequence[Probe], k: int, start: int, chosen: Selection | None = None) -> Reached:
        """The least exploration that reaches the target on all probes, then the least depth that keeps its recall.

        `start` is where to look first; a graph finds no more than it explores, so it cannot be less than k.
        """
        most = self.structure.largest_effort
        low, high = 0, min(max(k, start), most)
        curves = self._curves(probes, k, high, chosen)
        while high < most and not self._reaches(curves):
            low, high = high, min(2 * high, most)
            curves = self._curves(probes, k, high, chosen)
        while high - low > max(1, high // 16):
            middle = (low + high) // 2
            tried = self._curves(probes, k, middle, chosen)
            if self._reaches(tried):
                high, curves = middle, tried
            else:
                low = middle
        return _shallowest(k, high, [each.mean(axis=0) for each in curves])

    def _curves(
        self, probes: Sequence[Probe], k: int, explored: int, chosen: Selection | None
    ) -> list[NDArray[np.float64]]:
        """Recall@k of each probe by query and depth."""
        return [self._recalls(each, k, Effort(explored, GENEROUS * k), chosen) for each in probes]

    def _reaches(self, curves: Sequence[NDArray[np.float64]]) -> bool:
        """Whether each mean, less its standard error, is on target."""
        ends = [each[:, -1] for each in curves]
        return all(end.mean() - CONFIDENT_ERRORS * end.std() / math.sqrt(len(end)) >= self.target for end in ends)

    def _recalls(self, probe: Probe, k: int, effort: Effort, chosen: Selection | None) -> NDArray[np.float64]:
        return probe.recalls(self.structure.candidates(probe.queries, effort, chosen), k)

    def _confirmed(self, effort: Effort, probes: Sequence[Probe]) -> tuple[Effort, list[RecallEstimate]]:
        """The effort, raised as long as the reporting halves fall short of the target, with what they show."""
        while True:
            reports = [estimate(self._recalls(each, TUNED_K, effort, None)[:, -1]) for each in probes]
            if effort.explored >= self.structure.largest_effort or all(each.recall >= self.target for each in reports):
                return effort, reports
            raised = min(math.ceil(effort.explored * 1.15), self.structure.largest_effort)
            effort = Effort(raised, effort.rescored)

    def _setting(
        self, share: float, reached: Reached, probes: Sequence[Probe], chosen: Selection | None = None
    ) -> Setting:
        effort = reached.effort
        queries = np.concatenate([each.queries[: TIMED_QUERIES // len(probes)] for each in probes])
        with threads_for(1):
            milliseconds = _median_ms(queries, lambda query: self._answer(query, reached.k, effort, chosen))
        return Setting(reached.k, share, effort.explored, effort.rescored, milliseconds, reached.recall)

    def _answer(self, query: Vectors, k: int, effort: Effort, chosen: Selection | None) -> None:
        rescored(self.vectors, query[0], self.structure.candidates(query, effort, chosen)[0], k)


def _median_ms(queries: Vectors, answer: Callable[[Vectors], object]) -> float:
    """Median milliseconds of `answer` over single queries."""
    times = []
    for number in range(len(queries)):
        start = time.perf_counter()
        answer(queries[number : number + 1])
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))
