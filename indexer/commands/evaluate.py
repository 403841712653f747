"""`attendex evaluate`: how good is this ranking, over how many queries, and is it good enough?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import task_source
from retrieval.errors import InputError
from retrieval.util.terminal import FAILURE, JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.metrics.evaluation import Evaluation, GateResult
    from retrieval.metrics.tasks import EvaluationTask, TaskSource
    from retrieval.search.evaluated.systems import MeasuredSystem, SystemSpec

KNOWN_MEASURES = "Success@1 Success@5 Success@10 RR@10"
DATA, OUTPUT, KNOWN = "Queries and judgments", "Output", "Without judgments"


@dataclass(frozen=True, slots=True)
class EvaluationOutput:
    """What the command was asked for."""

    measures: str
    slices: tuple[str, ...]
    gates: tuple[str, ...]
    run_out: Path | None
    per_query: Path | None
    ignore_identical: bool
    as_json: bool


@reports_errors
def evaluate(
    system: Annotated[
        str, typer.Argument(help="DIR, DIR:hybrid,weight=0.7, a run file, or http://host/NAME.", show_default=False)
    ] = "",
    queries: Annotated[Path | None, typer.Option(help="Queries: .jsonl or id<TAB>text.", rich_help_panel=DATA)] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgments: TREC, BEIR or JSON.", rich_help_panel=DATA)] = None,
    beir: Annotated[Path | None, typer.Option(help="A BEIR folder that has both.", rich_help_panel=DATA)] = None,
    split: Annotated[str, typer.Option(help="Split of the BEIR folder.", rich_help_panel=DATA)] = "test",
    dataset: Annotated[str, typer.Option(help="An ir_datasets id that has both.", rich_help_panel=DATA)] = "",
    into: Annotated[Path | None, typer.Option(help="Index the BEIR folder here if no collection is there.")] = None,
    encoder: Annotated[str, typer.Option(help="Encoder for --into.", show_default=False)] = "",
    url: Annotated[str, typer.Option(help="Ask a running service instead; needs --collection.")] = "",
    collection: Annotated[str, typer.Option(help="Name of the collection of the service.")] = "",
    mode: Annotated[str, typer.Option(help="dense, lexical or hybrid; default: the collection's.")] = "",
    measures: Annotated[str, typer.Option(help="Measures of ir-measures.", show_default="nDCG@10 R@100 RR@10 AP")] = "",
    slice_by: Annotated[list[str] | None, typer.Option("--slice", help="length, or a field of the queries.")] = None,
    minimum: Annotated[list[str] | None, typer.Option("--min", help="Gate, as nDCG@10=0.70; exit 1 below.")] = None,
    ignore_identical: Annotated[bool, typer.Option(help="Leave out hits whose id is the query's, as BEIR.")] = False,
    known_item: Annotated[int, typer.Option(help="Make this many queries from documents.", rich_help_panel=KNOWN)] = 0,
    known_from: Annotated[str, typer.Option(help="sentence or title.", rich_help_panel=KNOWN)] = "sentence",
    seed: Annotated[int, typer.Option(help="Which documents are drawn.", rich_help_panel=KNOWN)] = 0,
    run_out: Annotated[
        Path | None, typer.Option(help="Write the run here (.json: ranx).", rich_help_panel=OUTPUT)
    ] = None,
    per_query: Annotated[Path | None, typer.Option(help="Values of each query (TSV).", rich_help_panel=OUTPUT)] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a collection, a running service or a run file against judgments.

    Examples:

      attendex evaluate papers --queries queries.jsonl --qrels test.tsv

      attendex evaluate --beir data/scifact --into scifact --measures "nDCG@10 R@100"

      attendex evaluate run.trec.gz --qrels qrels.txt --min "nDCG@10=0.70"

      attendex evaluate papers --known-item 200
    """
    wanted = EvaluationOutput(
        measures, tuple(slice_by or ()), tuple(minimum or ()), run_out, per_query, ignore_identical, as_json
    )
    spec = _system(system, url, collection, mode, into)
    if known_item:
        _known_item(spec, known_item, known_from, seed, wanted)
        return
    source = task_source(queries, qrels, beir, split, dataset)
    if into is not None:
        _index_if_needed(source, into, encoder)
    _evaluate(spec, source, wanted)


def _system(system: str, url: str, collection: str, mode: str, into: Path | None) -> SystemSpec:
    """The one system that the arguments name."""
    from retrieval.search.evaluated.systems import parse_system
    from retrieval.types import Mode

    if url and not collection:
        raise typer.BadParameter("which collection of the service is meant?", param_hint="--collection")
    words = [word for word in (system, f"{url.rstrip('/')}/{collection}" if url else "", str(into or "")) if word]
    if len(words) != 1:
        raise typer.BadParameter("name one: DIR or a run file, --into with --beir, or --url", param_hint="system")
    spec = parse_system(words[0])
    if not mode:
        return spec
    if mode not in list(Mode):
        raise typer.BadParameter(f"{mode!r} is none of {', '.join(Mode)}", param_hint="--mode")
    return replace(spec, request=replace(spec.request, mode=Mode(mode)))


def _evaluate(spec: SystemSpec, source: TaskSource, wanted: EvaluationOutput) -> None:
    from retrieval.metrics.measures import DEFAULT_DEPTH, DEFAULT_MEASURES, depth_needed, parse_measures
    from retrieval.metrics.tasks import read_task
    from retrieval.search.evaluated.systems import measure_system

    task = read_task(source)
    names = _with_gates(replace(wanted, measures=wanted.measures or DEFAULT_MEASURES))
    depth = depth_needed(parse_measures(names))
    if wanted.ignore_identical and depth < DEFAULT_DEPTH:
        depth += 1  # one hit may be left out
    with progress_bar("asking", len(task.topics)) as watch:
        measured = measure_system(spec, task.topics, depth, watch=watch)
    report(measured, task, names, wanted)


def report(
    measured: MeasuredSystem, task: EvaluationTask, measures: str, wanted: EvaluationOutput, caution: str = ""
) -> None:
    """Evaluate a run, write and show what was asked for; exit 1 when a gate is not reached."""
    from retrieval.metrics.evaluation import check_gates, parse_gate
    from retrieval.metrics.evaluation import evaluate as evaluate_run
    from retrieval.metrics.files import write_run
    from retrieval.metrics.runs import without_identical

    if wanted.ignore_identical:
        measured = replace(measured, run=without_identical(measured.run))
    run = measured.run
    asked = {topic.id for topic in task.topics} if task.topics else None
    evaluation = evaluate_run(run, task.qrels, measures, asked=asked)
    left_aside = replace(evaluation.coverage, unjudged=evaluation.coverage.unjudged + task.unjudged)
    evaluation = replace(evaluation, coverage=left_aside)
    slices = {by: _slices(evaluation, measured, task, by) for by in wanted.slices}
    gates = check_gates([parse_gate(text) for text in wanted.gates], evaluation.aggregates)
    _show(measured, evaluation, slices, gates, wanted.as_json, caution)
    if wanted.run_out is not None:  # after the figures: a file that cannot be written must not cost them
        write_run(run, wanted.run_out)
    if wanted.per_query is not None:
        _write_per_query(evaluation, wanted.per_query)
    if not all(gate.passed for gate in gates):
        raise typer.Exit(FAILURE)


def _with_gates(wanted: EvaluationOutput) -> str:
    """The measures asked for, and those that only a gate names."""
    from retrieval.metrics.evaluation import parse_gate

    return " ".join([wanted.measures, *(parse_gate(text).measure for text in wanted.gates)])


def _slices(evaluation: Evaluation, measured: MeasuredSystem, task: EvaluationTask, by: str) -> dict[str, Evaluation]:
    from retrieval.metrics.evaluation import restrict_evaluation, slice_topics

    if not task.topics:
        raise InputError("slices need the queries: give --queries FILE")
    groups = slice_topics(task.topics, by)
    return {label: restrict_evaluation(evaluation, task.qrels, measured.run, group) for label, group in groups.items()}


def _write_per_query(evaluation: Evaluation, path: Path) -> None:
    """A table: one line a query, one column a measure."""
    from retrieval.metrics.line_files import write_text

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
            by: {label: _slice_json(each) for label, each in parts.items()} for by, parts in slices.items()
        }
        answer["gates"] = [
            {"measure": each.gate.measure, "least": each.gate.minimum, "value": each.value, "passed": each.passed}
            for each in gates
        ]
        print_json(answer)
        return
    show_evaluation(stdout(), evaluation, measured.provenance)
    if caution:
        stdout().print(caution, style="italic", highlight=False)
    for by, parts in slices.items():
        show_slices(stdout(), by, parts)
    for gate in gates:
        stdout().print(str(gate), style="green" if gate.passed else "red", highlight=False)


def _slice_json(evaluation: Evaluation) -> dict[str, Any]:
    return {"queries": evaluation.coverage.averaged, "measures": evaluation.aggregates}


def _index_if_needed(source: TaskSource, into: Path, encoder: str) -> None:
    """Bring the collection of a BEIR folder up to date; documents that are there as they are stay."""
    from indexer.building.pipeline import BuildSettings, build_collection

    if source.beir is None:
        raise typer.BadParameter("--into needs it: the documents to index", param_hint="--beir")
    with progress_bar("indexing", 0) as watch:
        build_collection([source.beir], into, BuildSettings(encoder=encoder), watch=lambda done: watch(done.documents))


def _known_item(spec: SystemSpec, count: int, part: str, seed: int, wanted: EvaluationOutput) -> None:
    """Draw documents, take queries out of them, and see whether the documents are found again."""
    from indexer.evaluation.known_item import CAUTION, collection_without, known_item_task, known_items
    from retrieval.index.storage.manifest import read_manifest
    from retrieval.metrics.measures import depth_needed, parse_measures
    from retrieval.search.evaluated.systems import measure_system

    if spec.is_url or spec.is_run or spec.request.filter:
        raise InputError(
            "known items are drawn from a collection on this machine, without a filter: name its directory"
        )
    place = Path(spec.location)
    items = known_items(place, count, part, seed)
    task = known_item_task(items)
    names = _with_gates(replace(wanted, measures=wanted.measures or KNOWN_MEASURES))
    with collection_without(place, items) as copy, progress_bar("asking", len(items)) as watch:
        changed = replace(spec, location=str(copy))
        measured = measure_system(changed, task.topics, depth_needed(parse_measures(names)), watch=watch)
    assert measured.provenance is not None
    provenance = replace(measured.provenance, generation=read_manifest(place).generation)  # not the copy's
    measured = replace(measured, run=replace(measured.run, name=provenance.tag), provenance=provenance)
    report(measured, task, names, wanted, caution=CAUTION)
