"""`attendex chunk`: show the documents and passages of a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.util.terminal import FAILURE, JsonOption, print_json, reports_errors, stderr, stdout
from retrieval.util.visible_text import visible

if TYPE_CHECKING:
    from retrieval.index.storage.settings import ChunkSettings
    from retrieval.protocols import Tokenizer
    from retrieval.types import Document


@reports_errors
def chunk(
    source: Annotated[str, typer.Argument(help="File, folder or - for standard input.", show_default=False)],
    encoder: Annotated[str, typer.Option(help="Encoder whose tokenizer counts; default: the packaged one.")] = "",
    passage_tokens: Annotated[int, typer.Option(help="Most tokens in a passage; 0: the encoder's limit.")] = 0,
    overlap_tokens: Annotated[int, typer.Option(help="Tokens that a passage repeats from the one before.")] = 32,
    least_tokens: Annotated[int, typer.Option(help="A passage with fewer tokens is joined to its neighbour.")] = 32,
    file_format: Annotated[str, typer.Option("--format", help="Format of the source; default: by content.")] = "",
    password: Annotated[str, typer.Option(help="Password of protected PDF and zip files.")] = "",
    ocr: Annotated[bool, typer.Option("--ocr", help="Read pages without a text layer with tesseract.")] = False,
    ocr_languages: Annotated[str, typer.Option(help="Languages by tesseract's names: eng+deu.")] = "eng",
    whole_text: Annotated[bool, typer.Option("--text", help="Print whole passages, not their first lines.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the documents and passages that a file becomes.

    Examples:

      attendex chunk report.pdf

      attendex chunk notes/ --passage-tokens 128 --json
    """
    from indexer.readers.base.options import ReadOptions
    from indexer.readers.base.outcomes import FileOutcome, FileStatus
    from indexer.readers.opening import open_documents
    from retrieval.index.storage.settings import ChunkSettings
    from retrieval.types import Document

    settings = ChunkSettings("passages", passage_tokens, overlap_tokens, least_tokens)
    tokenizer = _tokenizer(encoder)
    options = ReadOptions(format=file_format, password=password, ocr=ocr, ocr_languages=ocr_languages)
    shown, bad = [], 0

    def show_unread(outcome: FileOutcome) -> None:
        if outcome.reason and not outcome.bad and (outcome.status is FileStatus.READ or outcome.path != source):
            stderr().print(f"note: {outcome.path}: {outcome.reason}", style="yellow")

    for item in open_documents(source, options, show_unread):
        if not isinstance(item, Document):
            bad += 1
            stderr().print(f"error: {item}", style="red")
        elif as_json:
            shown.append(_describe(item, tokenizer, settings))
        else:
            _show(_describe(item, tokenizer, settings), whole_text)
    if as_json:
        print_json({"documents": shown, "bad": bad})
    if bad:
        raise typer.Exit(FAILURE)


def _tokenizer(encoder: str) -> Tokenizer:
    """Load the tokenizer of an encoder, without the weights."""
    from retrieval.encoder.checkpoint.hub import DEFAULT, locate
    from retrieval.encoder.checkpoint.model_folder import open_folder
    from retrieval.encoder.checkpoint.tokenizer import TextTokenizer

    return TextTokenizer(open_folder(locate(encoder or DEFAULT)))


def _describe(document: Document, tokenizer: Tokenizer, settings: ChunkSettings) -> dict[str, Any]:
    return {
        "id": document.id,
        "title": document.title,
        "metadata": dict(document.metadata),
        "characters": len(document.text),
        "passages": list(_passages(document, tokenizer, settings)),
    }


def _passages(document: Document, tokenizer: Tokenizer, settings: ChunkSettings) -> Iterator[dict[str, Any]]:
    from indexer.building.chunking import chunk as cut

    for passage in cut(document, tokenizer, settings):
        text = document.text[passage.start : passage.end]
        yield {
            "start": passage.start,
            "end": passage.end,
            "tokens": len(tokenizer.spans(text)),
            "location": passage.location,
            "heading": passage.heading,
            "text": text,
        }


def _show(document: dict[str, Any], whole_text: bool) -> None:
    from rich.text import Text

    console = stdout()
    about = ", ".join(f"{key}={value}" for key, value in document["metadata"].items())
    console.print(f"{document['id']}  {document['title']}", style="bold")
    console.print(f"  {about}", style="dim")
    for passage in document["passages"]:
        where = f"{passage['start']}-{passage['end']}  {passage['tokens']} tokens  {passage['location']}"
        console.print(f"  {where}", style="cyan")
        text = passage["text"] if whole_text else passage["text"].split("\n")[0][:100]
        console.print(Text(f"    {visible(text, lines=True)}"))
