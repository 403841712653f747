"""Measure a collection under every combination of some search settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

from indexer.evaluation.searcher_copies import SearchersByTitleWeight
from retrieval.bm25_options import BM25_RANGES, Bm25Options
from retrieval.errors import InputError
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.measures import depth_needed, parse_measures
from retrieval.metrics.run_queries import ProgressCallback, run_queries
from retrieval.metrics.tasks import EvaluationTask
from retrieval.search.evaluated.systems import deep
from retrieval.search.fusion_methods import PARAMETERS
from retrieval.types import SearchRequest

SWEPT: Mapping[str, type[int] | type[float]] = {
    **dict.fromkeys(BM25_RANGES, float),
    **{each.name: each.type for each in PARAMETERS.values()},
}
MAX_POINTS = 1_000

Grid: TypeAlias = Mapping[str, tuple[float, ...]]  # setting → values


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One combination of settings, and the mean of the measure over all queries."""

    settings: Mapping[str, float]
    mean: float


def parse_grid(text: str) -> Grid:
    """Parse `k1=0.6,0.9 b=0.4,0.75`.  Raises InputError."""
    grid: dict[str, tuple[float, ...]] = {}
    for part in text.split():
        name, _, values = part.partition("=")
        if name not in SWEPT:
            nearest = difflib.get_close_matches(name, SWEPT, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"the settings are {', '.join(SWEPT)}"
            raise InputError(f"the grid has the unknown setting {name!r}; {hint}")
        try:
            grid[name] = tuple(dict.fromkeys(SWEPT[name](value) for value in values.split(",")))
        except ValueError:
            raise InputError(f"grid: {part!r} has values that are no numbers; write {name}=0.5,1") from None
    points = prod(map(len, grid.values()))
    if not grid or points > MAX_POINTS:
        raise InputError(f"the grid has {len(grid)} settings and {points:,} points; give 1 to {MAX_POINTS:,} points")
    return grid


def sweep(
    path: Path,
    task: EvaluationTask,
    measure: str,
    grid: Grid,
    template: SearchRequest,
    *,
    watch: ProgressCallback | None = None,
) -> list[SweepPoint]:
    """Measure each point of the grid, the last setting fastest.

    `template` has the other settings.  `watch` takes the number of measured points.  Raises BadQuery for settings out
    of range.
    """
    measured = str(parse_measures(measure)[0])
    template = deep(template, depth_needed(parse_measures(measured)))
    asked = {topic.id for topic in task.topics}
    points: list[SweepPoint] = []
    with SearchersByTitleWeight(path) as searchers:
        for values in product(*grid.values()):
            settings = dict(zip(grid, values, strict=True))
            searcher = searchers.get(settings.get("title_weight"))
            run = run_queries(searcher.search_many, task.topics, _request(template, settings)).run
            points.append(SweepPoint(settings, evaluate(run, task.qrels, measured, asked=asked).aggregates[measured]))
            if watch is not None:
                watch(len(points))
    return points


def _request(template: SearchRequest, settings: Mapping[str, float]) -> SearchRequest:
    bm25 = {name: value for name, value in settings.items() if name in BM25_RANGES}
    others: dict[str, Any] = {name: value for name, value in settings.items() if name in PARAMETERS}
    return replace(template, bm25=Bm25Options(**bm25) if bm25 else None, **others)
