"""`attendex explain`: explain the score of a document for a query, word by word."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import CollectionArgument, named_mode, named_syntax
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from retrieval.types import DenseExplanation, Document, Explanation

SHOWN_WORDS = 12  # of the passage, strongest first
BAR = 24  # characters


@reports_errors
def explain(
    collection: CollectionArgument,
    query: Annotated[str, typer.Argument(help="The query.", show_default=False)],
    document: Annotated[
        str, typer.Argument(help="Id of any document, also of one that the search does not find.", metavar="ID")
    ],
    mode: Annotated[str, typer.Option(help="Score to explain: dense, lexical or hybrid.", show_default=False)] = "",
    syntax: Annotated[str, typer.Option(help="plain or operators, as in a search.")] = "plain",
    encoder: Annotated[
        str,
        typer.Option(
            help="Another path of the collection's encoder; its weights must be the same.", show_default=False
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Explain why a document matches a query.

    The output shows the share of each word in the cosine, and of each term in the BM25 score.

    Examples:

      attendex explain papers "does aspirin lower the risk of stroke" pubmed-42

      attendex explain papers "wing in a slipstream" 486 --json
    """
    from retrieval.encoder.loading import load_encoder
    from retrieval.search.request import checked
    from retrieval.search.searcher import open_searcher
    from retrieval.types import SearchRequest

    wanted, meaning = named_mode(mode), named_syntax(syntax)
    chosen = load_encoder(encoder) if encoder else None
    with open_searcher(collection, encoder=chosen) as searcher:
        text = checked(SearchRequest(query)).query
        found = searcher.explain(text, document, wanted, syntax=meaning)
        shown = searcher.document(document)
    if as_json:
        print_json({"query": text, "id": document, **asdict(found)})
    else:
        _show(shown, found)


def _show(document: Document, found: Explanation) -> None:
    from rich.text import Text

    console = stdout()
    console.print(Text(document.title or document.id, style="bold"))
    text = document.text[found.start : found.end]
    passage = Text(" ".join(text.split()) if found.dense is None else text)
    if found.dense is not None:
        for span in found.dense.spans[:3]:
            passage.stylize("black on cyan", span.start, span.end)
    console.print(passage)
    if found.dense is not None:
        _show_dense(console, found.dense)
    if found.lexical is not None:
        console.print(f"\n[bold]{found.lexical.score:.3f}[/bold]  BM25", highlight=False)
        console.print(_bars("terms", [(term.term, term.score) for term in found.lexical.terms]))
        if found.lexical.stop_words:
            left_out = f"left out as stop words: {', '.join(found.lexical.stop_words)}"
            console.print(left_out, style="dim", markup=False, highlight=False)


def _show_dense(console: Console, dense: DenseExplanation) -> None:
    console.print(f"\n[bold]{dense.score:.4f}[/bold]  cosine", highlight=False)
    if dense.note:
        console.print(dense.note, style="dim", markup=False)
    words = sorted((word for word in dense.passage if word.word), key=lambda word: -word.score)
    console.print(_bars("words of the query", [(word.word, word.score) for word in dense.query if word.word]))
    strongest = [
        (word.word if word.place == "text" else f"{word.word} ({word.place})", word.score)
        for word in words[:SHOWN_WORDS]
    ]
    console.print(_bars("strongest words of the passage", strongest))
    if dense.exact:
        special = sum(word.score for word in dense.passage if not word.word)
        console.print(
            f"[dim]The shares of all {len(dense.passage)} words add up to the cosine; {special:.4f} of it belongs to "
            f"special tokens, {dense.remainder:+.1e} is rounding.[/dim]",
            highlight=False,
        )


def _bars(title: str, rows: list[tuple[str, float]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=True, header_style="dim")
    table.add_column(title)
    table.add_column("", justify="right")
    table.add_column("")
    max_score = max((score for _, score in rows), default=0.0)
    for word, score in rows:
        length = round(BAR * max(0.0, score) / max_score) if max_score > 0 else 0
        table.add_row(escape(word), f"{score:.4f}", "[cyan]" + "█" * length + "[/cyan]")
    return table
