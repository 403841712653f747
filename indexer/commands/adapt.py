"""`attendex adapt`: train an encoder on a collection, and keep a better one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.commands.options import CollectionArgument, Seed
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from indexer.adapting.adapt import Adaptation, AdaptEstimate, AdaptPlan, AdaptReport, AdaptSettings, Watch
    from retrieval.metrics.tasks import EvaluationTask
    from retrieval.training.loop import CurvePoint

NO_GAIN = 3  # exit code when the base encoder stays
DATA, TRAINING = "Data", "Training"


@dataclass(frozen=True, slots=True)
class AdaptDataOptions:
    """The pairs to learn from."""

    queries: Annotated[Path | None, typer.Option(help="Judged queries.", rich_help_panel=DATA)] = None
    qrels: Annotated[Path | None, typer.Option(help="Judgments of the queries.", rich_help_panel=DATA)] = None
    beir: Annotated[Path | None, typer.Option(help="BEIR folder with both.", rich_help_panel=DATA)] = None
    split: Annotated[str, typer.Option(help="Split of the BEIR folder.", rich_help_panel=DATA)] = "train"
    log: Annotated[
        Path | None, typer.Option(help="Folder of the collection's query log: clicks.", rich_help_panel=DATA)
    ] = None
    pairs: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind of pairs from documents: title, heading, cloze, crops, question; none for no pairs; repeatable.",
            rich_help_panel=DATA,
            show_default="none with judged queries; else title, heading, question",
        ),
    ] = None
    document_pairs: Annotated[int, typer.Option(min=0, help="Pairs of each kind.", rich_help_panel=DATA)] = 2_000

    def task(self) -> EvaluationTask | None:
        """Return the judged queries, or None if the options name none."""
        from retrieval.metrics.tasks import TaskSource, read_task

        if self.beir is None and self.qrels is None and self.queries is None:
            return None
        if self.beir is None and (self.qrels is None or self.queries is None):
            raise typer.BadParameter("give both --queries and --qrels, or --beir", param_hint="--qrels")
        return read_task(TaskSource(self.queries, self.qrels, self.beir, self.split))


@dataclass(frozen=True, slots=True)
class AdaptTrainingOptions:
    """How to train."""

    batch: Annotated[int, typer.Option(min=2, max=8_192, help="Pairs of a step.", rich_help_panel=TRAINING)] = 16
    negatives: Annotated[
        int, typer.Option(min=0, max=8, help="Hard negatives of each pair.", rich_help_panel=TRAINING)
    ] = 1
    epochs: Annotated[float, typer.Option(min=0.01, max=100, help="Passes.", rich_help_panel=TRAINING)] = 4.0
    rate: Annotated[float, typer.Option(min=1e-7, max=1e-2, help="Learning rate.", rich_help_panel=TRAINING)] = 4e-5
    layer_decay: Annotated[
        float, typer.Option(min=0.1, max=1, help="Factor of the rate for each lower layer.", rich_help_panel=TRAINING)
    ] = 1.0
    dropout: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of values dropped out.", rich_help_panel=TRAINING)
    ] = 0.1
    dimension: Annotated[
        list[int] | None,
        typer.Option(help="Train shorter vectors of so many numbers, too; repeatable.", rich_help_panel=TRAINING),
    ] = None
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; default: the cores.", rich_help_panel=TRAINING)
    ] = None


@reports_errors
@option_groups
def adapt(
    collection: CollectionArgument,
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.", show_default=False)],
    data: AdaptDataOptions,
    training: AdaptTrainingOptions,
    base: Annotated[str, typer.Option(help="Preset or folder to start from; default: the collection's encoder.")] = "",
    budget: Annotated[float, typer.Option(min=0.1, help="Minutes of training at most.")] = 60.0,
    plan: Annotated[bool, typer.Option("--plan", help="Count pairs and steps, estimate time; train nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write the encoder if it is not worse.")] = False,
    seed: Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """Train an encoder on judged queries and on the documents themselves.

    Part of the judged queries is held out: without judgments, sentences of documents are.  The weights of base and
    trained encoder are averaged, and the average is compared with the base on the held-out queries.  The folder is
    written only if the encoder is significantly better there, and forgets little of a foreign task; otherwise the
    command says why and exits with 3.  An interrupted run goes on when the command is given again.

    Examples:

      attendex adapt papers --out encoders/papers --queries queries.jsonl --qrels train.tsv

      attendex adapt scifact --out encoders/scifact --beir data/scifact --split train --plan

      attendex adapt notes --out encoders/notes --pairs title --pairs cloze --budget 30

      attendex reembed papers --encoder encoders/papers
    """
    from indexer.adapting.adapt import Adaptation
    from retrieval.encoder.runtime.quantization import refuse_existing

    refuse_existing(out)
    task = data.task()
    settings = _settings(data, training, budget * 60, seed, judged=task is not None, force=force)
    prepared = Adaptation(collection, settings, base=base, task=task, log=data.log, watch=_watch())
    if plan:
        _print_plan(prepared, as_json=as_json)
        return
    report = prepared.run(out)
    print_json(_as_json(report)) if as_json else _show(report)
    if not report.written:
        raise typer.Exit(NO_GAIN)


def _settings(
    data: AdaptDataOptions, training: AdaptTrainingOptions, budget_s: float, seed: int, *, judged: bool, force: bool
) -> AdaptSettings:
    from indexer.adapting.adapt import AdaptSettings

    return AdaptSettings(
        kinds=_kinds(data.pairs, judged=judged),
        document_pairs=data.document_pairs,
        batch=training.batch,
        negatives=training.negatives,
        epochs=training.epochs,
        rate=training.rate,
        layer_decay=training.layer_decay,
        dropout=training.dropout,
        dimensions=tuple(training.dimension or ()),
        budget_s=budget_s,
        seed=seed,
        threads=training.threads,
        force=force,
    )


def _kinds(named: list[str] | None, *, judged: bool) -> tuple[str, ...]:
    """Return the kinds of pairs.  Raises BadParameter for an unknown one."""
    from indexer.adapting.adapt import AdaptSettings
    from indexer.adapting.pairs import DOCUMENT_KINDS

    if named is None:
        return () if judged else AdaptSettings().kinds
    kinds = tuple(dict.fromkeys(name for name in named if name != "none"))
    if kinds and "none" in named:
        raise typer.BadParameter(f"none contradicts {', '.join(kinds)}; give one of the two", param_hint="--pairs")
    for name in kinds:
        if name not in DOCUMENT_KINDS:
            known = ", ".join([*DOCUMENT_KINDS, "none"])
            raise typer.BadParameter(f"there is no kind {name!r} of pairs; kinds: {known}", param_hint="--pairs")
    return kinds


def _watch() -> Watch:
    """Tell each stage, and the training at measurements and every 20 steps."""
    from indexer.adapting.adapt import Watch

    def point(point: CurvePoint, steps: int) -> None:
        if point.held_out is None and point.step % 20:
            return
        left = point.seconds / max(1, point.step) * (steps - point.step)
        held_out = "" if point.held_out is None else f"held-out nDCG@10 {point.held_out:.4f}, "
        rest = f"loss {point.loss:.3f}, {left / 60:.0f} min left" if point.step else "the base encoder"
        stderr().print(f"step {point.step} of {steps}: {held_out}{rest}")

    return Watch(lambda text: stderr().print(text), point)


def _as_json(report: AdaptReport) -> dict[str, Any]:
    answer = asdict(report)
    return answer | {"verdict": None if report.verdict is None else asdict(report.verdict)}


def _print_plan(prepared: Adaptation, *, as_json: bool) -> None:
    """Print the plan.  Raises Exit where the data are too few."""
    estimate = None if prepared.problem else prepared.estimate()
    if as_json:
        costs = {} if estimate is None else asdict(estimate)
        print_json(asdict(prepared.plan) | costs | {"problem": prepared.problem})
    else:
        _show_plan(prepared.plan, estimate, prepared.problem)
    if prepared.problem:
        raise typer.Exit(NO_GAIN)


def _show_plan(plan: AdaptPlan, estimate: AdaptEstimate | None, problem: str) -> None:
    console = stdout()
    pairs = ", ".join(f"{count:,} {kind}" for kind, count in plan.pairs.items()) or "none"
    source = "sentences taken out of documents" if plan.known_items else "judged"
    console.print(f"base {plan.base}; pairs: {pairs}")
    console.print(
        f"held out: {plan.development_queries} queries to choose, {plan.test_queries} to judge the choice ({source})"
    )
    if estimate is None:
        console.print(f"nothing to train: {problem}")
    else:
        cost = f"about {estimate.seconds / 60:.0f} min, {estimate.memory_mb:,} MB"
        console.print(f"{plan.steps} steps of {plan.batch} pairs, {cost}")


def _show(report: AdaptReport) -> None:
    console = stdout()
    if report.curve and report.curve[-1].step < report.plan.steps:
        console.print(f"--budget ended the training after {report.curve[-1].step} of {report.plan.steps} steps")
    if report.development:
        shares = ", ".join(f"{share}: {value:.4f}" for share, value in report.development.items())
        foreign = ", ".join(f"{share}: {value:.4f}" for share, value in report.foreign.items())
        console.print(f"share of the trained weights → nDCG@10: {shares}; of the foreign task: {foreign}")
        console.print(f"chosen share {report.share:g}; {report.reason}")
    else:
        console.print(report.reason)
    if report.written:
        console.print(f"{report.encoder} is written; `attendex reembed` switches a collection to it", style="bold")
    else:
        console.print(f"nothing is written: {report.encoder} stays", style="bold")
