"""Tune a collection's search settings with judged queries and its own searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexer.evaluation.searcher_copies import SearchersByTitleWeight
from indexer.maintenance.change_settings import SettingsChange, change_settings
from retrieval.bm25_options import Bm25Options
from retrieval.errors import InputError
from retrieval.index.lexical.writer import open_lexical
from retrieval.index.storage.manifest import Manifest, read_manifest
from retrieval.index.storage.settings import LexicalSettings, SearchDefaults
from retrieval.metrics.evaluation import evaluate
from retrieval.metrics.measures import depth_needed, parse_measures
from retrieval.metrics.run_queries import ProgressCallback, run_queries
from retrieval.metrics.tasks import EvaluationTask
from retrieval.metrics.tuning import QueryValues, Settings, TimeBudget, TuningResult, tune
from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS
from retrieval.search.plan import default_parameters
from retrieval.search.searcher import Searcher
from retrieval.types import Mode, SearchRequest

K1 = (0.6, 0.9, 1.2, 1.5, 2.0, 3.0)
B = (0.0, 0.25, 0.5, 0.75, 1.0)
STOP_WORDS = ("none", "language")
TITLE_WEIGHTS = (0.5, 1.0, 2.0, 3.0, 5.0)
_FUSED = tuple(field.name for field in fields(SearchDefaults))
_TITLE_SAMPLE = 200  # documents checked for titles


def tune_collection(
    path: Path,
    task: EvaluationTask,
    measure: str,
    *,
    seed: int = 0,
    watch: ProgressCallback | None = None,
    budget: TimeBudget | None = None,
) -> TuningResult:
    """Find the settings of hybrid search with the best measure.

    They are weight, feedback, k1, b, stop words and title weight.  Nothing is written.  `watch` takes the number of
    settings measured.  Raises InputError for a collection without a lexical index, and for too few queries.
    """
    manifest = read_manifest(path)
    if manifest.settings.lexical is None:
        raise InputError(f"{path}: the collection has no lexical index; tuning is for hybrid search")
    defaults = current_settings(manifest)
    fused = [each for each in FUSIONS[DEFAULT_FUSION].parameters if each.tuned and each.name in defaults]
    with CollectionObjective(path, task, measure, watch) as objective:
        space = {
            **{parameter.name: _with(parameter.tuned, defaults[parameter.name]) for parameter in fused},
            "k1": _with(K1, defaults["k1"]),
            "b": _with(B, defaults["b"]),
            "stop_words": tuple(dict.fromkeys((defaults["stop_words"], *STOP_WORDS))),
        }
        if objective.has_titles:
            space["title_weight"] = _with(TITLE_WEIGHTS, defaults["title_weight"])
        return tune(objective.measure, space, defaults, len(objective.queries), seed=seed, budget=budget)


def current_settings(manifest: Manifest) -> dict[str, Any]:
    """Return the settings that searches use now."""
    lexical = manifest.settings.lexical or LexicalSettings()
    tuned = {name: value for name, value in asdict(manifest.settings.search).items() if value is not None}
    return {
        **default_parameters(manifest),
        **tuned,
        "k1": lexical.k1,
        "b": lexical.b,
        "stop_words": lexical.stop_words,
        "title_weight": lexical.title_weight,
    }


def write_tuned(path: Path, tuned: TuningResult) -> int:
    """Commit the chosen settings and return the generation."""
    chosen = dict(tuned.chosen)
    search = _search_defaults(chosen)
    for name in _FUSED:
        chosen.pop(name, None)
    return change_settings(path, SettingsChange(chosen, search), cause="tune")


class CollectionObjective:
    """Measures a task's queries under settings."""

    def __init__(self, path: Path, task: EvaluationTask, measure: str, watch: ProgressCallback | None) -> None:
        self._task = task
        self._measure = str(parse_measures(measure)[0])
        self._depth = depth_needed(parse_measures(self._measure))
        self._watch = watch or (lambda _: None)
        self._done = 0
        self._searchers = SearchersByTitleWeight(path)
        self.queries = [topic.id for topic in task.topics]

    def __enter__(self) -> CollectionObjective:
        self._searchers.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._searchers.__exit__()

    @property
    def has_titles(self) -> bool:
        """Whether one of the first documents has a title."""
        reader = self._searchers.get(None).reader
        rows = np.flatnonzero(reader.live_documents)[:_TITLE_SAMPLE]
        return any(document.title for document in reader.documents(rows))

    def measure(self, settings: Settings) -> QueryValues:
        """Return the value of each query under the settings."""
        searcher = self._searchers.get(settings["title_weight"])
        with _temporary_settings(searcher, settings):
            title = Bm25Options(title_weight=settings["title_weight"])
            request = SearchRequest("", k=self._depth, mode=Mode.HYBRID, passages_per_document=1, bm25=title)
            run = run_queries(searcher.search_many, self._task.topics, request).run
        self._done += 1
        self._watch(self._done)
        evaluation = evaluate(run, self._task.qrels, self._measure, asked=set(self.queries))
        return evaluation.values[self._measure].per_query


@contextmanager
def _temporary_settings(searcher: Searcher, settings: Settings) -> Iterator[None]:
    """Let the searcher use other settings, as if its manifest had them."""
    reader = searcher.reader
    manifest, lexical = reader.manifest, reader.lexical
    assert manifest.lexical is not None
    assert manifest.settings.lexical is not None
    changes = {name: settings[name] for name in ("k1", "b", "stop_words")}
    changed = replace(manifest.settings.lexical, **changes)
    search = _search_defaults(settings)
    reader.manifest = replace(manifest, settings=replace(manifest.settings, search=search))
    reader.lexical = open_lexical(
        reader.path, manifest.lexical, changed, reader.keys, reader.live, manifest.settings.synonyms
    )
    try:
        yield
    finally:
        reader.manifest, reader.lexical = manifest, lexical


def _search_defaults(settings: Mapping[str, Any]) -> SearchDefaults:
    return SearchDefaults(**{name: settings[name] for name in _FUSED if name in settings})


def _with(values: tuple[float, ...], value: float) -> tuple[float, ...]:
    return tuple(sorted({*values, value}))
