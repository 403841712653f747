"""`attendex evaluate`: measure the ranking of one system, with gates for CI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import TaskOptions, named_mode
from retrieval.errors import InputError
from retrieval.util.terminal import FAILURE, JsonOption, option_groups, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.metrics.evaluation import Evaluation, GateResult
    from retrieval.metrics.tasks import EvaluationTask, TaskSource
    from retrieval.search.evaluated.systems import MeasuredSystem, SystemSpec

KNOWN_ITEM_MEASURES = "Success@1 Success@5 Success@10 RR@10"
OUTPUT, KNOWN_ITEM = "Output", "Without judgments"


@dataclass(frozen=True, slots=True)
class SystemOptions:
    """The system to measure, unless the argument names it."""

    into: Annotated[Path | None, typer.Option(help="Index the BEIR folder here if there is no collection.")] = None
    encoder: Annotated[str, typer.Option(help="Encoder for --into.", show_default=False)] = ""
    url: Annotated[str, typer.Option(help="Search in a running service; needs --collection.")] = ""
    collection: Annotated[str, typer.Option(help="Name of the service's collection.")] = ""
    mode: Annotated[str, typer.Option(help="dense, lexical, sparse or hybrid; default: the collection's.")] = ""

    def spec(self, system: str) -> SystemSpec:
        """Return the one system that the argument and the options name."""
        from retrieval.search.evaluated.systems import parse_system

        if self.url and not self.collection:
            raise typer.BadParameter("which collection of the service is meant?", param_hint="--collection")
        url = f"{self.url.rstrip('/')}/{self.collection}" if self.url else ""
        words = [word for word in (system, url, str(self.into or "")) if word]
        if len(words) != 1:
            raise typer.BadParameter("name one: DIR or a run file, --into with --beir, or --url", param_hint="system")
        spec = parse_system(words[0])
        mode = named_mode(self.mode)
        return spec if mode is None else replace(spec, request=replace(spec.request, mode=mode))


@dataclass(frozen=True, slots=True)
class KnownItemOptions:
    """Queries made from documents."""

    known_item: Annotated[int, typer.Option(help="Queries to make from documents.", rich_help_panel=KNOWN_ITEM)] = 0
    known_from: Annotated[str, typer.Option(help="sentence or title.", rich_help_panel=KNOWN_ITEM)] = "sentence"
    seed: Annotated[int, typer.Option(help="Seed of the choice of documents.", rich_help_panel=KNOWN_ITEM)] = 0


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The measures, slices, gates and output files."""

    measures: Annotated[str, typer.Option(help="Measures of ir-measures.", show_default="nDCG@10 R@100 RR@10 AP")] = ""
    slices: Annotated[list[str] | None, typer.Option("--slice", help="length, or a field of the queries.")] = None
    gates: Annotated[list[str] | None, typer.Option("--min", help="Gate, as nDCG@10=0.70; exit 1 below it.")] = None
    ignore_identical: Annotated[bool, typer.Option(help="Remove hits with the id of the query, as BEIR does.")] = False
    run_out: Annotated[Path | None, typer.Option(help="File for the run (.json: ranx).", rich_help_panel=OUTPUT)] = None
    per_query: Annotated[Path | None, typer.Option(help="Values of each query (TSV).", rich_help_panel=OUTPUT)] = None
    as_json: JsonOption = False

    def all_measures(self, default: str) -> str:
        """Return the measures, or the default ones, and the measures of the gates."""
        from retrieval.metrics.evaluation import parse_gate

        return " ".join([self.measures or default, *(parse_gate(text).measure for text in self.gates or ())])


@reports_errors
@option_groups
def evaluate(
    task: TaskOptions,
    system_options: SystemOptions,
    known_item: KnownItemOptions,
    options: EvaluationOptions,
    system: Annotated[
        str, typer.Argument(help="DIR, DIR:hybrid,weight=0.7, a run file, or http://host/NAME.", show_default=False)
    ] = "",
) -> None:
    """Measure a collection, a running service or a run file by judgments.

    Examples:

      attendex evaluate papers --queries queries.jsonl --qrels test.tsv

      attendex evaluate --beir data/scifact --into scifact --measures "nDCG@10 R@100"

      attendex evaluate run.trec.gz --qrels qrels.txt --min "nDCG@10=0.70"

      attendex evaluate papers --known-item 200
    """
    spec = system_options.spec(system)
    if known_item.known_item:
        _evaluate_known_items(spec, known_item, options)
        return
    source = task.source()
    if system_options.into is not None:
        _update_collection(source, system_options.into, system_options.encoder)
    _evaluate(spec, source, options)


def _evaluate(spec: SystemSpec, source: TaskSource, options: EvaluationOptions) -> None:
    from retrieval.metrics.measures import DEFAULT_DEPTH, DEFAULT_MEASURES, depth_needed, parse_measures
    from retrieval.metrics.tasks import read_task
    from retrieval.search.evaluated.systems import measure_system

    task = read_task(source)
    measures = options.all_measures(DEFAULT_MEASURES)
    depth = depth_needed(parse_measures(measures))
    if options.ignore_identical and depth < DEFAULT_DEPTH:
        depth += 1  # one hit may be removed
    with progress_bar("asking", len(task.topics)) as watch:
        measured = measure_system(spec, task.topics, depth, watch=watch)
    _report(measured, task, measures, options)


def _evaluate_known_items(spec: SystemSpec, known: KnownItemOptions, options: EvaluationOptions) -> None:
    """Measure whether the search finds drawn documents by a part of their text."""
    from indexer.evaluation.known_item import CAUTION, collection_without, known_item_task, known_items
    from retrieval.index.storage.manifest import read_manifest
    from retrieval.metrics.measures import depth_needed, parse_measures
    from retrieval.search.evaluated.systems import measure_system

    if spec.is_url or spec.is_run or spec.request.filter:
        raise InputError("known items need a collection on this machine, without a filter: name its directory")
    path = Path(spec.location)
    items = known_items(path, known.known_item, known.known_from, known.seed)
    task = known_item_task(items)
    measures = options.all_measures(KNOWN_ITEM_MEASURES)
    with collection_without(path, items) as copy, progress_bar("asking", len(items)) as watch:
        depth = depth_needed(parse_measures(measures))
        measured = measure_system(replace(spec, location=str(copy)), task.topics, depth, watch=watch)
    assert measured.provenance is not None
    provenance = replace(measured.provenance, generation=read_manifest(path).generation)  # not that of the copy
    measured = replace(measured, run=replace(measured.run, name=provenance.tag), provenance=provenance)
    _report(measured, task, measures, options, caution=CAUTION)


def _report(
    measured: MeasuredSystem, task: EvaluationTask, measures: str, options: EvaluationOptions, caution: str = ""
) -> None:
    """Evaluate a run, show and write the results; exit with 1 if a gate fails."""
    from retrieval.metrics.evaluation import check_gates, parse_gate
    from retrieval.metrics.evaluation import evaluate as evaluate_run
    from retrieval.metrics.files import write_run
    from retrieval.metrics.runs import without_identical

    if options.ignore_identical:
        measured = replace(measured, run=without_identical(measured.run))
    run = measured.run
    asked = {topic.id for topic in task.topics} if task.topics else None
    evaluation = evaluate_run(run, task.qrels, measures, asked=asked)
    coverage = replace(evaluation.coverage, unjudged=evaluation.coverage.unjudged + task.unjudged)
    evaluation = replace(evaluation, coverage=coverage)
    slices = {by: _slices(evaluation, measured, task, by) for by in options.slices or ()}
    gates = check_gates([parse_gate(text) for text in options.gates or ()], evaluation.aggregates)
    _show(measured, evaluation, slices, gates, options.as_json, caution)
    if options.run_out is not None:  # after the output, so that a write error does not lose the results
        write_run(run, options.run_out)
    if options.per_query is not None:
        _write_per_query(evaluation, options.per_query)
    if not all(gate.passed for gate in gates):
        raise typer.Exit(FAILURE)


def _slices(evaluation: Evaluation, measured: MeasuredSystem, task: EvaluationTask, by: str) -> dict[str, Evaluation]:
    from retrieval.metrics.evaluation import restrict_evaluation, slice_topics

    if not task.topics:
        raise InputError("slices need the queries: give --queries FILE")
    groups = slice_topics(task.topics, by)
    return {label: restrict_evaluation(evaluation, task.qrels, measured.run, group) for label, group in groups.items()}


def _write_per_query(evaluation: Evaluation, path: Path) -> None:
    from retrieval.metrics.files import write_text

    rows = ["\t".join(["query-id", *evaluation.values]) + "\n"]
    for query, values in evaluation.per_query().items():
        rows.append("\t".join([query, *map(repr, values.values())]) + "\n")
    write_text(path, rows)


def _show(
    measured: MeasuredSystem,
    evaluation: Evaluation,
    slices: Mapping[str, Mapping[str, Evaluation]],
    gates: tuple[GateResult, ...],
    as_json: bool,
    caution: str,
) -> None:
    from retrieval.commands.evaluation_output import evaluation_json, show_evaluation, show_slices

    if as_json:
        answer = evaluation_json(evaluation, measured.provenance, measured.seconds)
        if caution:
            answer["caution"] = caution
        answer["slices"] = {
            by: {
                label: {"queries": group.coverage.averaged, "measures": group.aggregates}
                for label, group in groups.items()
            }
            for by, groups in slices.items()
        }
        answer["gates"] = [
            {"measure": gate.gate.measure, "least": gate.gate.minimum, "value": gate.value, "passed": gate.passed}
            for gate in gates
        ]
        print_json(answer)
        return
    show_evaluation(stdout(), evaluation, measured.provenance)
    if caution:
        stdout().print(caution, style="italic")
    for by, groups in slices.items():
        show_slices(stdout(), by, groups)
    for gate in gates:
        stdout().print(str(gate), style="green" if gate.passed else "red")


def _update_collection(source: TaskSource, into: Path, encoder: str) -> None:
    """Index the BEIR folder; unchanged documents are not encoded again."""
    from indexer.building.pipeline import BuildSettings, build_collection

    if source.beir is None:
        raise typer.BadParameter("--into needs it: the documents to index", param_hint="--beir")
    with progress_bar("indexing", 0) as watch:
        build_collection([source.beir], into, BuildSettings(encoder=encoder), watch=lambda done: watch(done.documents))
