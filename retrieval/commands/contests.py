"""Several systems asked the same queries, for the commands that compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from retrieval.commands.figures import progress

if TYPE_CHECKING:
    from retrieval.metrics.comparison import Change, Comparison, Contest
    from retrieval.metrics.run_queries import Stamp
    from retrieval.metrics.runs import Run
    from retrieval.metrics.tasks import Task, TaskSource


@dataclass(frozen=True, slots=True)
class Held:
    """A contest with what it was held on: runs are named as the user named their systems, shortly."""

    task: Task
    runs: tuple[Run, ...]
    stamps: tuple[Stamp | None, ...]
    contest: Contest

    @property
    def texts(self) -> dict[str, str]:
        """Query id → text, where queries were given."""
        return {topic.id: topic.text for topic in self.task.topics}

    def changes(self, pair: Comparison, count: int) -> tuple[Change, ...]:
        """The queries of a pair that changed most."""
        from retrieval.metrics.comparison import most_changed

        at = {run.name: place for place, run in enumerate(self.runs)}
        a, b = at[pair.a], at[pair.b]
        evaluations = self.contest.evaluations
        return most_changed(evaluations[a], evaluations[b], (self.runs[a], self.runs[b]), self.task.qrels, count)


def hold(
    systems: Sequence[str], source: TaskSource, measures: str, *, every_pair: bool, rounds: int, seed: int
) -> Held:
    """Read or ask every system and compare them; a single one is only evaluated.

    A system that is named twice is wrong usage.
    """
    from retrieval.metrics.comparison import Contest, compare
    from retrieval.metrics.evaluation import evaluate
    from retrieval.metrics.measures import depth_needed, parse_measures
    from retrieval.metrics.tasks import read_task
    from retrieval.search.evaluated.systems import measure_system, parse_system

    if len(set(systems)) < len(systems):
        raise typer.BadParameter("one is named twice; what should it be compared with?", param_hint="systems")
    task = read_task(source)
    depth = depth_needed(parse_measures(measures))
    runs, stamps = [], []
    names = short_names(systems)
    for spec in [parse_system(word) for word in systems]:
        with progress(f"asking {spec.word}", len(task.topics)) as watch:
            measured = measure_system(spec, task.topics, depth, watch=watch)
        runs.append(replace(measured.run, name=names[spec.word]))
        stamps.append(measured.stamp)
    asked = {topic.id for topic in task.topics} if task.topics else None
    if len(runs) == 1:
        return Held(
            task, tuple(runs), tuple(stamps), Contest((evaluate(runs[0], task.qrels, measures, asked=asked),), ())
        )
    contest = compare(runs, task.qrels, measures, asked=asked, every_pair=every_pair, rounds=rounds, seed=seed)
    return Held(task, tuple(runs), tuple(stamps), contest)


def short_names(words: Sequence[str]) -> dict[str, str]:
    """Word → the word without the folders before it, unless two would be named alike."""
    short = {word: word.rstrip("/").rsplit("/", 1)[-1] for word in words}
    return short if len(set(short.values())) == len(words) else {word: word for word in words}
