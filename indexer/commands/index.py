"""`attendex index`: documents in, a committed generation of a collection out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.terminal import JsonOption, print_json, reports_errors, stderr
from retrieval.types import FieldType, Schema

if TYPE_CHECKING:
    from indexer.chunking import ChunkSettings
    from indexer.pipeline import BuildReport, Progress

SHOWN_PROBLEMS = 20


@reports_errors
def index(
    sources: Annotated[list[Path], typer.Argument(help="Files or folders to read.", show_default=False)],
    into: Annotated[Path, typer.Option(help="Directory of the collection; made if missing.", show_default=False)],
    encoder: Annotated[
        str,
        typer.Option(help="sentence-transformers folder or hub name; default: the collection's own, or the packaged."),
    ] = "",
    runtime: Annotated[str, typer.Option(help="auto, torch or openvino.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, f32, bf16 or int8.")] = "auto",
    chunking: Annotated[
        str, typer.Option(help="auto, whole or passages; auto keeps the documents of BEIR folders whole.")
    ] = "auto",
    passage_tokens: Annotated[int, typer.Option(help="Most tokens of a passage; 0: what the encoder reads.")] = 0,
    overlap_tokens: Annotated[int, typer.Option(help="Tokens that a passage repeats of the one before.")] = 32,
    schema: Annotated[
        list[str] | None,
        typer.Option(help="Type of a metadata field, as year=number; default: inferred.", show_default=False),
    ] = None,
    id_field: Annotated[str, typer.Option(help="Field that holds the id; default: _id or id.")] = "",
    title_field: Annotated[str, typer.Option(help="Field that holds the title.")] = "title",
    text_field: Annotated[str, typer.Option(help="Field that holds the text.")] = "text",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count and list bad documents, and go on.")] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Delete what the collection holds and the sources do not.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Index documents into a collection, committed as one generation.

    Reads JSONL and BEIR folders (compressed too), CSV, TSV, Parquet, text and Markdown.  Indexing again updates: what
    has not changed is not encoded again.

    Examples:

      attendex index corpus.jsonl --into papers

      attendex index notes/ report.csv --into notes --schema year=number --skip-bad
    """
    from indexer.pipeline import BuildSettings, build_collection
    from indexer.readers import ReadOptions

    settings = BuildSettings(
        encoder=encoder,
        runtime=runtime,
        precision=precision,
        chunking=_chunking(chunking, passage_tokens, overlap_tokens),
        schema=_schema(schema or []),
        read=ReadOptions(id_field=id_field, title_field=title_field, text_field=text_field),
        skip_bad=skip_bad,
        sync=sync,
    )
    with build_progress() as watch:
        report = build_collection(sources, into, settings, watch=watch)
    if as_json:
        print_json(asdict(report))
    else:
        show_build(report)


def _chunking(strategy: str, passage_tokens: int, overlap_tokens: int) -> ChunkSettings | None:
    """None leaves the choice to the pipeline; a size that was given means passages."""
    from indexer.chunking import ChunkSettings

    if strategy == "whole":
        return ChunkSettings("whole")
    if strategy == "passages" or (strategy == "auto" and passage_tokens):
        return ChunkSettings("passages", max_tokens=passage_tokens, overlap_tokens=overlap_tokens)
    if strategy == "auto":
        return None
    raise typer.BadParameter(f"{strategy!r} is not auto, whole or passages", param_hint="--chunking")


def _schema(fields: list[str]) -> Schema | None:
    known = ", ".join(FieldType)
    schema: dict[str, FieldType] = {}
    for field in fields:
        name, equals, kind = field.rpartition("=")
        if not equals or not name or kind not in list(FieldType):
            raise typer.BadParameter(f"{field!r} is not NAME=TYPE with one of {known}", param_hint="--schema")
        schema[name] = FieldType(kind)
    return schema or None


@contextmanager
def build_progress() -> Iterator[Callable[[Progress], None] | None]:
    """A live line of documents and passages a second on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    started = time.perf_counter()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=stderr(), transient=True) as bar:
        line = bar.add_task("reading", total=None)

        def watch(progress: Progress) -> None:
            speed = progress.passages / (time.perf_counter() - started)
            bar.update(
                line,
                description=f"{progress.documents:,} documents, {progress.passages:,} passages, {speed:,.0f} a second",
            )

        yield watch


def show_build(report: BuildReport) -> None:
    """One summary line, and what was skipped."""
    console = stderr()
    parts = [f"{report.added:,} documents indexed"]
    parts += [
        f"{count:,} {word}"
        for count, word in (
            (report.unchanged, "unchanged"),
            (report.duplicates, "replaced by a later document of the same id"),
            (report.resumed, "taken over from an interrupted run"),
            (report.deleted, "deleted, since they are gone from the sources"),
            (report.bad, "bad and skipped"),
        )
        if count
    ]
    console.print(
        f"{', '.join(parts)}; {report.collection} generation {report.generation} has {report.documents:,} documents "
        f"in {report.passages:,} passages ({report.seconds:.1f} s, {report.encoder}, {report.runtime}, "
        f"{report.precision})",
        markup=False,
        highlight=False,
    )
    if report.schema:
        fields = ", ".join(f"{name} ({kind})" for name, kind in report.schema.items())
        console.print(f"fields: {fields}", markup=False, highlight=False)
    for problem in report.problems[:SHOWN_PROBLEMS]:
        console.print(f"skipped: {problem}", style="yellow", markup=False, highlight=False)
    if report.bad > SHOWN_PROBLEMS:
        console.print(f"… and {report.bad - SHOWN_PROBLEMS:,} more; --json lists them", style="yellow")
