"""`attendex index`: documents in, a committed generation of a collection out."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.commands.build_output import build_progress, show_build, show_files, show_plan, show_problems
from indexer.commands.options import WaitOption
from retrieval.errors import SchemaError
from retrieval.util.terminal import FAILURE, JsonOption, print_json, reports_errors

if TYPE_CHECKING:
    from concurrent.futures import Future

    from indexer.building.pipeline import BuildSettings
    from retrieval.encoder.sentence import SentenceEncoder
    from retrieval.index.storage.settings import ChunkSettings
    from retrieval.types import Schema

READING, PASSAGES, ENCODER, SEARCH = "Reading", "Passages", "Encoder", "Search structures"


def _option(panel: str, help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=True)


@reports_errors
def index(
    sources: Annotated[
        list[str], typer.Argument(help="Files, folders, - for standard input, or URLs with --web.", show_default=False)
    ],
    into: Annotated[Path, typer.Option(help="Directory of the collection; made if missing.", show_default=False)],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count and list bad records, and go on.")] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Delete what the collection holds and the sources do not.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it would take, and do nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any file could not be read.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write what became of each file here, as JSONL.")] = None,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
    encoder: Annotated[
        str,
        _option(ENCODER, "sentence-transformers folder or hub name; default: the collection's own or the packaged."),
    ] = "",
    runtime: Annotated[str, _option(ENCODER, "auto, torch or openvino.")] = "auto",
    precision: Annotated[str, _option(ENCODER, "auto, f32, bf16 or int8.")] = "auto",
    chunking: Annotated[
        str, _option(PASSAGES, "auto, whole or passages; auto keeps the documents of BEIR folders whole.")
    ] = "auto",
    passage_tokens: Annotated[int, _option(PASSAGES, "Most tokens of a passage; 0: what the encoder reads.")] = 0,
    overlap_tokens: Annotated[int, _option(PASSAGES, "Tokens that a passage repeats of the one before.")] = 32,
    schema: Annotated[
        list[str] | None, _option(READING, "Type of a metadata field, as year=number; others are inferred.")
    ] = None,
    id_field: Annotated[str, _option(READING, "Field that holds the id; default: _id or id.")] = "",
    title_field: Annotated[str, _option(READING, "Field that holds the title.")] = "title",
    text_field: Annotated[str, _option(READING, "Field that holds the text.")] = "text",
    format_: Annotated[str, _option(READING, "Format of all files; default: by content.", "--format")] = "",
    include: Annotated[list[str] | None, _option(READING, "Only files of folders that match, as *.pdf.")] = None,
    exclude: Annotated[list[str] | None, _option(READING, "No files of folders that match.")] = None,
    hidden: Annotated[bool, _option(READING, "Hidden files too.", "--hidden")] = False,
    ignore_files: Annotated[bool, _option(READING, "Honour .gitignore, .ignore and .attendexignore.")] = True,
    password: Annotated[str, _option(READING, "Password of protected PDF files.")] = "",
    ocr: Annotated[bool, _option(READING, "Read pages without a text layer with tesseract.", "--ocr")] = False,
    ocr_languages: Annotated[str, _option(READING, "As tesseract names them: eng+deu.")] = "eng",
    web: Annotated[bool, _option(READING, "Fetch pages and sitemaps; robots.txt is honoured.", "--web")] = False,
    web_host: Annotated[list[str] | None, _option(READING, "A further host that may be fetched from.")] = None,
    language: Annotated[str, _option(SEARCH, "Snowball stemmer of the words, or none.")] = "english",
    k1: Annotated[float, _option(SEARCH, "BM25: how much a word's repetition counts.")] = 1.5,
    b: Annotated[float, _option(SEARCH, "BM25: how much a passage's length counts against it, 0 to 1.")] = 0.75,
    title_weight: Annotated[float, _option(SEARCH, "How many times a word in the title counts.")] = 1.0,
    recall: Annotated[float, _option(SEARCH, "Recall@10 that approximate search must reach.")] = 0.98,
    memory: Annotated[str, _option(SEARCH, "auto, small or exact.")] = "auto",
    structure: Annotated[str, _option(SEARCH, "A FAISS factory string, for experts.")] = "",
    keep: Annotated[str, _option(SEARCH, "How vectors are kept: float16 or float32.")] = "float16",
) -> None:
    """Index documents into a collection, committed as one generation.

    Reads JSONL and BEIR folders, CSV, TSV, Parquet, and folders of PDF, Word, HTML, Markdown and other documents,
    compressed too.  Indexing again updates: what has not changed is not encoded again.

    Examples:

      attendex index corpus.jsonl --into papers

      attendex index ~/papers --into papers --report files.jsonl

      attendex index notes/ report.csv --into notes --schema year=number --skip-bad

      attendex index corpus.jsonl.gz --into big --plan
    """
    from indexer.building.encoder_loading import preload_encoder

    with nullcontext() if plan else preload_encoder(into, encoder, runtime, precision) as loading:
        from indexer.building.pipeline import BuildSettings  # imported while the encoder loads
        from indexer.readers import ReadOptions, WebOptions
        from retrieval.index.storage.settings import LexicalSettings, VectorSettings

        types = _schema(schema or [])
        read = ReadOptions(
            types=types,
            format=format_,
            id_field=id_field,
            title_field=title_field,
            text_field=text_field,
            include=tuple(include or ()),
            exclude=tuple(exclude or ()),
            hidden=hidden,
            ignore_files=ignore_files,
            password=password,
            ocr=ocr,
            ocr_languages=ocr_languages,
            web=WebOptions(hosts=tuple(web_host or ())) if web else None,
        )
        settings = BuildSettings(
            encoder=encoder,
            runtime=runtime,
            precision=precision,
            chunking=_chunking(chunking, passage_tokens, overlap_tokens),
            lexical=LexicalSettings(language=language, k1=k1, b=b, title_weight=title_weight),
            schema=types,
            read=read,
            skip_bad=skip_bad,
            sync=sync,
            vectors=VectorSettings(dtype=keep, recall=recall, memory=memory, structure=structure),
        )
        if plan:
            _plan(sources, into, settings, as_json=as_json)
        else:
            run_build(sources, into, settings, report, strict=strict, wait=wait, as_json=as_json, loading=loading)


def run_build(
    sources: list[str],
    into: Path,
    settings: BuildSettings,
    report: Path | None,
    *,
    strict: bool,
    wait: float,
    as_json: bool,
    loading: Future[SentenceEncoder] | None = None,
) -> None:
    """Build, show what was done, and exit with 1 where `strict` finds a file that could not be read."""
    from indexer.building.pipeline import build_collection
    from indexer.readers import FileReport

    with FileReport(report) as files, build_progress(sources, settings.read) as watch:
        done = build_collection(sources, into, settings, watch=watch, on_file=files, wait_s=wait, loading=loading)
    if as_json:
        print_json({**asdict(done), "files": {status.value: count for status, count in files.counts.items()}})
    else:
        show_build(done)
        if files.counts.total() > 1:
            show_files(files, done)
        else:
            show_problems(done)
    if strict and files.failed:
        raise typer.Exit(FAILURE)


def _plan(sources: list[str], into: Path, settings: BuildSettings, *, as_json: bool) -> None:
    from indexer.building.build_plan import plan_build

    expected = plan_build(sources, into, settings)
    if as_json:
        print_json(asdict(expected))
    else:
        show_plan(expected)


def _chunking(strategy: str, passage_tokens: int, overlap_tokens: int) -> ChunkSettings | None:
    """None leaves the choice to the pipeline; a size that was given means passages."""
    from retrieval.index.storage.settings import ChunkSettings

    if strategy == "whole":
        return ChunkSettings("whole")
    if strategy == "passages" or (strategy == "auto" and passage_tokens):
        return ChunkSettings("passages", max_tokens=passage_tokens, overlap_tokens=overlap_tokens)
    if strategy == "auto":
        return None
    raise typer.BadParameter(f"{strategy!r} is not auto, whole or passages", param_hint="--chunking")


def _schema(fields: list[str]) -> Schema:
    if not fields:
        return {}
    from retrieval.index.metadata.schema import parse_schema

    try:
        return parse_schema(",".join(fields))
    except SchemaError as error:
        raise typer.BadParameter(str(error), param_hint="--schema") from error
