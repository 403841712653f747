"""`attendex index` and `add`: read documents and commit them as a generation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.commands.build_output import build_progress, show_build, show_files, show_plan, show_problems
from indexer.commands.encoder_advice import EncoderAdvice
from indexer.commands.lexical_options import searched_field, stop_words_of
from retrieval.commands.options import CollectionArgument, WaitOption
from retrieval.errors import SchemaError
from retrieval.util.terminal import FAILURE, JsonOption, option_groups, print_json, reports_errors

if TYPE_CHECKING:
    from concurrent.futures import Future

    from indexer.building.engine import BuildEngine
    from indexer.building.pipeline import BuildSettings
    from indexer.readers.base.options import ReadOptions
    from retrieval.encoder.sentence import SentenceEncoder
    from retrieval.index.storage.settings import ChunkSettings, LexicalSettings, VectorSettings
    from retrieval.types import Schema

READING, PASSAGES, ENCODER, SEARCH = "Reading", "Passages", "Encoder", "Search indexes"


def _option(panel: str, help: str, *names: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=True)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The conduct and the output of the command."""

    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip, count and list bad records.")] = False
    sync: Annotated[bool, typer.Option("--sync", help="Delete documents that the sources no longer have.")] = False
    plan: Annotated[bool, typer.Option("--plan", help="Estimate time and size; index nothing.")] = False
    price: Annotated[
        float | None, typer.Option(min=0, help="With --plan: price of a million tokens of a remote encoder.")
    ] = None
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a file cannot be read.")] = False
    report: Annotated[Path | None, typer.Option(help="Write the result of each file to this JSONL file.")] = None
    shards: Annotated[
        int, typer.Option(min=0, max=256, help="Number of shards of a new collection; 0: one collection.")
    ] = 0
    engine: Annotated[str, typer.Option(help="Where texts are encoded and shards built: local, or a ray cluster.")] = (
        "local"
    )
    ray_address: Annotated[
        str, typer.Option(help="HOST:PORT of the cluster; default: RAY_ADDRESS, or this machine alone.")
    ] = ""
    wait: WaitOption = 0.0
    as_json: JsonOption = False

    def check(self) -> None:
        """Refuse a price without a plan, and an unknown engine."""
        if self.engine not in ("local", "ray") or (self.ray_address and self.engine != "ray"):
            raise typer.BadParameter("write local, or ray, which alone takes --ray-address", param_hint="--engine")
        if self.price is not None and not self.plan:
            raise typer.BadParameter("a price is for --plan alone; add --plan", param_hint="--price")

    def open_engine(self) -> AbstractContextManager[BuildEngine | None]:
        """Open the engine; None is this process.  Raises ClusterError, MissingExtra."""
        if self.engine == "local":
            return nullcontext()
        from indexer.cluster.engine import cluster_engine

        return cluster_engine(self.ray_address)

    def settings(self) -> dict[str, Any]:
        """Return the fields of `BuildSettings` by name."""
        return {"skip_bad": self.skip_bad, "sync": self.sync, "shards": self.shards}


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """The encoder and its runtime."""

    encoder: Annotated[
        str,
        _option(
            ENCODER,
            "english-small, english, multilingual, a sentence-transformers folder, a hub name, or a service as "
            "openai:URL#MODEL, tei:URL or ollama:URL#MODEL; default: the collection's, or english-small.",
        ),
    ] = ""
    runtime: Annotated[str, _option(ENCODER, "auto, torch or openvino.")] = "auto"
    precision: Annotated[str, _option(ENCODER, "auto, f32, bf16 or int8.")] = "auto"


@dataclass(frozen=True, slots=True)
class PassageOptions:
    """How documents are cut into passages."""

    chunking: Annotated[str, _option(PASSAGES, "auto, whole or passages; auto keeps BEIR documents whole.")] = "auto"
    passage_tokens: Annotated[int, _option(PASSAGES, "Most tokens in a passage; 0: the encoder's limit.")] = 0
    overlap_tokens: Annotated[int, _option(PASSAGES, "Tokens that a passage repeats from the one before.")] = 32

    def settings(self) -> ChunkSettings | None:
        """Return the settings; None lets the pipeline choose; a size means passages."""
        from retrieval.index.storage.settings import ChunkSettings

        if self.chunking == "whole":
            return ChunkSettings("whole")
        if self.chunking == "passages" or (self.chunking == "auto" and self.passage_tokens):
            return ChunkSettings("passages", max_tokens=self.passage_tokens, overlap_tokens=self.overlap_tokens)
        if self.chunking == "auto":
            return None
        raise typer.BadParameter(f"{self.chunking!r} is not auto, whole or passages", param_hint="--chunking")


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """Which files are read, and how."""

    schema: Annotated[
        list[str] | None, _option(READING, "Type of a metadata field, as year=number; others are inferred.")
    ] = None
    id_field: Annotated[str, _option(READING, "Field with the id; default: _id or id.")] = ""
    expires: Annotated[str, _option(READING, "Date field that tells until when a document is found.")] = ""
    title_field: Annotated[str, _option(READING, "Field with the title.")] = "title"
    text_field: Annotated[
        list[str] | None, _option(READING, "Field with the text; several are joined. Default: text.")
    ] = None
    list_separator: Annotated[str, _option(READING, "Separator of the values of a list in a cell of CSV or TSV.")] = ";"
    format_: Annotated[str, _option(READING, "Format of all files; default: by content.", "--format")] = ""
    root: Annotated[
        Path | None, _option(READING, "Folder that the sources are parts of: files keep the ids that they have in it.")
    ] = None
    include: Annotated[list[str] | None, _option(READING, "Read only matching files of folders, as *.pdf.")] = None
    exclude: Annotated[list[str] | None, _option(READING, "Skip matching files of folders.")] = None
    hidden: Annotated[bool, _option(READING, "Read hidden files too.", "--hidden")] = False
    ignore_files: Annotated[bool, _option(READING, "Obey .gitignore, .ignore and .attendexignore.")] = True
    password: Annotated[str, _option(READING, "Password of protected PDF files.")] = ""
    ocr: Annotated[bool, _option(READING, "Read pages without a text layer with tesseract.", "--ocr")] = False
    ocr_languages: Annotated[str, _option(READING, "Languages by tesseract's names: eng+deu.")] = "eng"
    web: Annotated[bool, _option(READING, "Fetch pages and sitemaps; obeys robots.txt.", "--web")] = False
    web_host: Annotated[list[str] | None, _option(READING, "Another host to fetch from.")] = None

    def settings(self) -> dict[str, Any]:
        """Return the fields of `BuildSettings` by name."""
        types = self.types()
        return {"schema": types, "expires": self.expires, "read": self.read_options(types)}

    def types(self) -> Schema:
        """Return the types that --schema gives."""
        if not self.schema:
            return {}
        from retrieval.index.metadata.schema import parse_schema

        try:
            return parse_schema(",".join(self.schema))
        except SchemaError as error:
            raise typer.BadParameter(str(error), param_hint="--schema") from error

    def read_options(self, types: Schema) -> ReadOptions:
        from indexer.readers.base.options import ReadOptions, WebOptions

        return ReadOptions(
            types=types,
            format=self.format_,
            id_field=self.id_field,
            title_field=self.title_field,
            text_fields=tuple(self.text_field or ("text",)),
            list_separator=self.list_separator,
            root=str(self.root) if self.root else "",
            include=tuple(self.include or ()),
            exclude=tuple(self.exclude or ()),
            hidden=self.hidden,
            ignore_files=self.ignore_files,
            password=self.password,
            ocr=self.ocr,
            ocr_languages=self.ocr_languages,
            web=WebOptions(hosts=tuple(self.web_host or ())) if self.web else None,
        )


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """The lexical index and the vector index."""

    language: Annotated[str, _option(SEARCH, "Snowball stemmer for the terms, or none; several: english,german.")] = (
        "english"
    )
    stop_words: Annotated[
        str, _option(SEARCH, "Words that queries leave out: those of the language, none, or those of a file.")
    ] = "language"
    k1: Annotated[float, _option(SEARCH, "BM25: weight of a term's repetition.")] = 1.5
    b: Annotated[float, _option(SEARCH, "BM25: penalty for the length of a passage, 0 to 1.")] = 0.75
    title_weight: Annotated[float, _option(SEARCH, "How many times a term in the title counts.")] = 1.0
    searched_field: Annotated[
        list[str] | None,
        _option(SEARCH, "Metadata field, or id, whose terms are searched, as brand or brand=2 with its weight."),
    ] = None
    recall: Annotated[float, _option(SEARCH, "Recall@10 that approximate search must reach.")] = 0.98
    memory: Annotated[str, _option(SEARCH, "auto, small or exact.")] = "auto"
    structure: Annotated[str, _option(SEARCH, "FAISS factory string, for experts.")] = ""
    keep: Annotated[str, _option(SEARCH, "Storage of vectors: float16 or float32.")] = "float16"
    vectors_of: Annotated[
        str,
        _option(SEARCH, "plain, or fine: vectors of about three sentences inside each passage, too.", "--passages"),
    ] = "plain"
    late_interaction: Annotated[
        str, _option(SEARCH, "Store token vectors of this model, as colbert-english, for reranking.")
    ] = ""
    token_bits: Annotated[int, _option(SEARCH, "Bits of a dimension of a token vector: 4 or 1.")] = 4
    sparse: Annotated[
        str,
        _option(SEARCH, "Sparse encoder for a third index: sparse-english, or the folder of a SparseEncoder."),
    ] = ""

    def settings(self) -> dict[str, Any]:
        """Return the fields of `BuildSettings` by name."""
        models = {name: getattr(self, name) for name in ("late_interaction", "token_bits", "sparse")}
        return {"lexical": self.lexical(), "vectors": self.vectors(), **models}

    def lexical(self) -> LexicalSettings:
        from retrieval.index.storage.settings import LexicalSettings

        return LexicalSettings(
            language=self.language,
            k1=self.k1,
            b=self.b,
            title_weight=self.title_weight,
            searched=tuple(map(searched_field, self.searched_field or ())),
            stop_words=stop_words_of(self.stop_words),
        )

    def vectors(self) -> VectorSettings:
        from retrieval.errors import InputError
        from retrieval.index.storage.settings import FINE_SENTENCES, VectorSettings

        if self.vectors_of not in ("plain", "fine"):
            raise InputError(f"--passages is {self.vectors_of!r}; choose plain or fine")
        sentences = FINE_SENTENCES if self.vectors_of == "fine" else 0
        return VectorSettings(self.keep, self.recall, self.memory, self.structure, sentences)


@reports_errors
@option_groups
def index(
    sources: Annotated[
        list[str], typer.Argument(help="Files, folders, - for standard input, or URLs with --web.", show_default=False)
    ],
    into: Annotated[Path, typer.Option(help="Directory of the collection; made if missing.", show_default=False)],
    run: RunOptions,
    encoder: EncoderOptions,
    passages: PassageOptions,
    reading: ReadingOptions,
    indexes: IndexOptions,
) -> None:
    """Index documents into a collection and commit them as one generation.

    Reads JSONL and BEIR folders, CSV, TSV, Parquet, and folders of PDF, Word, HTML, Markdown and other documents, also
    compressed.  To update, index again: unchanged documents are not encoded again.

    Examples:

      attendex index corpus.jsonl --into papers

      attendex index ~/papers --into papers --report files.jsonl

      attendex index notes-zh/ --into notes-zh --encoder multilingual

      attendex index notes/ report.csv --into notes --schema year=number --skip-bad

      attendex index ~/papers/2024/new.pdf --into papers --root ~/papers

      attendex index corpus.jsonl.gz --into big --plan

      attendex index corpus.jsonl --into papers --sparse sparse-english
    """
    from indexer.building.encoder_loading import preload_encoder

    with nullcontext() if run.plan else preload_encoder(into, *astuple(encoder)) as loading:
        from indexer.building.pipeline import BuildSettings  # imported while the encoder loads

        run.check()
        settings = BuildSettings(
            **asdict(encoder),
            chunking=passages.settings(),
            **indexes.settings(),
            **reading.settings(),
            **run.settings(),
        )
        _build_or_plan(sources, into, settings, run, loading)


def _build_or_plan(
    sources: list[str],
    into: Path,
    settings: BuildSettings,
    run: RunOptions,
    loading: Future[SentenceEncoder] | None,
) -> None:
    if run.plan:
        _plan(sources, into, settings, run)
    else:
        _build(sources, into, settings, run, loading)


@reports_errors
def add(
    collection: CollectionArgument,
    sources: Annotated[list[str], typer.Argument(help="Files or folders to read.", show_default=False)],
    id_field: Annotated[str, typer.Option(help="Field with the id; default: _id or id.")] = "",
    title_field: Annotated[str, typer.Option(help="Field with the title.")] = "title",
    text_field: Annotated[
        list[str] | None, typer.Option(help="Field with the text; several are joined. Default: text.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip, count and list bad documents.")] = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Add documents, or new versions of documents, to a collection.

    The command uses the encoder and settings of the collection.  A document replaces the document with the same id.
    An unchanged document is not encoded again.

    Examples:

      attendex add papers new.jsonl
    """
    from indexer.building.pipeline import BuildSettings
    from indexer.readers.base.options import ReadOptions
    from retrieval.index.storage.sharded_manifest import read_whole_manifest

    read_whole_manifest(collection)  # fails if there is no collection; `add` makes none
    read = ReadOptions(id_field=id_field, title_field=title_field, text_fields=tuple(text_field or ("text",)))
    settings = BuildSettings(read=read, skip_bad=skip_bad)
    _build(sources, collection, settings, RunOptions(wait=wait, as_json=as_json))


def _build(
    sources: list[str],
    into: Path,
    settings: BuildSettings,
    run: RunOptions,
    loading: Future[SentenceEncoder] | None = None,
) -> None:
    """Build and show the result; exit with 1 if --strict meets an unreadable file."""
    from indexer.building.pipeline import build_collection
    from indexer.readers.base.outcomes import FileReport

    advice = EncoderAdvice(sources, into)
    with (
        run.open_engine() as engine,
        FileReport(run.report) as files,
        build_progress(sources, settings.read) as watch,
    ):
        done = build_collection(
            sources,
            into,
            settings,
            watch=watch,
            on_file=files,
            on_unreadable=advice.at_start,
            wait_s=run.wait,
            loading=loading,
            engine=engine,
        )
    if run.as_json:
        print_json({**asdict(done), "files": {status.value: count for status, count in files.counts.items()}})
    else:
        show_build(done)
        if files.counts.total() > 1 or files.skipped or any(not file.bad for file in files.troubled):
            show_files(files, done)
        else:
            show_problems(done)
    advice.at_end(done)
    if run.strict and files.failed:
        raise typer.Exit(FAILURE)


def _plan(sources: list[str], into: Path, settings: BuildSettings, run: RunOptions) -> None:
    from indexer.building.build_plan import plan_build

    with run.open_engine() as engine:
        workers = engine.workers if engine else 1
        expected = plan_build(sources, into, settings, price=run.price, workers=workers)
    if run.as_json:
        print_json(asdict(expected))
    else:
        show_plan(expected)
