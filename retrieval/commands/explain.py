"""`attendex explain`: explain the score of a document for a query, word by word."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import CollectionArgument, named_mode, named_syntax
from retrieval.commands.search import RerankingOptions
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stdout
from retrieval.util.visible_text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from retrieval.explanations import (
        DenseExplanation,
        Explanation,
        RerankExplanation,
        Span,
        SparseExplanation,
        TermPart,
    )
    from retrieval.search.searcher import Searcher
    from retrieval.types import Document, SearchRequest

SHOWN_WORDS = 12  # of the passage, strongest first
SHOWN_SPANS = 3
BAR = 24  # characters


@option_groups
@reports_errors
def explain(
    collection: CollectionArgument,
    query: Annotated[str, typer.Argument(help="The query.", show_default=False)],
    document: Annotated[
        str, typer.Argument(help="Id of any document, also of one that the search does not find.", metavar="ID")
    ],
    reranking: RerankingOptions,
    mode: Annotated[
        str, typer.Option(help="Score to explain: dense, lexical, sparse or hybrid.", show_default=False)
    ] = "",
    syntax: Annotated[str, typer.Option(help="plain or operators, as in a search.")] = "plain",
    encoder: Annotated[
        str,
        typer.Option(help="The recorded encoder elsewhere: a folder, or openai:URL#model.", show_default=False),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Explain why a document matches a query.

    The output shows the share of each word in the cosine, and of each term in the BM25 and the sparse score.  With
    --rerank, it shows the parts of the reranked score, and the share of each word in a score of late interaction.

    Examples:

      attendex explain papers "does aspirin lower the risk of stroke" pubmed-42

      attendex explain papers "wing in a slipstream" 486 --json

      attendex explain papers "wing in a slipstream" 486 --rerank colbert-english
    """
    from retrieval.encoder.loading import load_encoder
    from retrieval.search.request import checked
    from retrieval.search.searcher import open_searcher
    from retrieval.types import SearchRequest

    request = SearchRequest(query, mode=named_mode(mode), syntax=named_syntax(syntax), rerank=reranking.record())
    with open_searcher(collection, encoder=load_encoder(encoder) if encoder else None) as searcher:
        request, shown = checked(request), searcher.document(document)
        found = _explanation(searcher, request, document)
    if as_json:
        print_json({"query": request.query, "id": document, **asdict(found)})
    else:
        _show(shown, found)


def _explanation(searcher: Searcher, request: SearchRequest, document: str) -> Explanation:
    from retrieval.search.reranked_explanation import explain_reranked

    if request.rerank is not None:
        return explain_reranked(searcher, request, document)
    return searcher.explain(request.query, document, request.mode, syntax=request.syntax)


def _show(document: Document, found: Explanation) -> None:
    from rich.text import Text

    console = stdout()
    console.print(document.title or document.id, style="bold")
    text = document.text[found.start : found.end]
    if found.dense is None:
        console.print(" ".join(text.split()))
    else:
        console.print(Text.assemble(*_marked(text, found.dense.spans[:SHOWN_SPANS])))
        _show_words(console, found.dense, "cosine")
    if found.lexical is not None:
        _show_score(console, f"{found.lexical.score:.3f}", "BM25")
        console.print(_bars("terms", [(_with_fields(term), term.score) for term in found.lexical.terms]))
        if found.lexical.stop_words:
            left_out = f"left out as stop words: {', '.join(found.lexical.stop_words)}"
            console.print(left_out, style="dim")
    if found.sparse is not None:
        _show_sparse(console, found.sparse)
    if found.rerank is not None:
        _show_rerank(console, found.rerank)


def _show_rerank(console: Console, rerank: RerankExplanation) -> None:
    first, own = (1 - rerank.weight) * rerank.first, rerank.weight * rerank.rescaled
    _show_score(console, f"{first + own:.4f}", f"after reranking by {visible(rerank.model)}")
    console.print(f"{first:.4f} from the score before reranking, {own:.4f} from that of the model", style="dim")
    if rerank.words is not None:
        _show_words(console, rerank.words, "late interaction")


def _show_sparse(console: Console, sparse: SparseExplanation) -> None:
    _show_score(console, f"{sparse.score:.3f}", "sparse score")
    rows = [
        (f"{visible(each.term)} ({each.query_weight:.2f} × {each.passage_weight:.2f})", each.score)
        for each in sparse.terms[:SHOWN_WORDS]
    ]
    console.print(_bars("strongest terms (weight in the query × in the passage)", rows))


def _marked(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, str]]:
    """Yield the pieces of a text and their styles; its spans may overlap."""
    bounds = sorted({0, len(text), *(bound for span in spans for bound in (span.start, span.end))})
    for start, end in itertools.pairwise(bounds):
        inside = any(span.start <= start and end <= span.end for span in spans)
        yield visible(text[start:end], lines=True), "black on cyan" if inside else ""


def _show_score(console: Console, score: str, name: str) -> None:
    console.print()
    console.print(score, style="bold", end="  ")
    console.print(name)


def _show_words(console: Console, dense: DenseExplanation, name: str) -> None:
    """Show a score as shares of words; `name` names the score."""
    _show_score(console, f"{dense.score:.4f}", name)
    if dense.note:
        console.print(dense.note, style="dim")
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
            f"The shares of all {len(dense.passage)} words add up to the {name}; {special:.4f} of it belongs to "
            f"special tokens, {dense.remainder:+.1e} is rounding.",
            style="dim",
        )


def _with_fields(part: TermPart) -> str:
    return f"{part.term} (in {', '.join(part.fields)})" if part.fields else part.term


def _bars(title: str, rows: list[tuple[str, float]]) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=True, header_style="dim")
    table.add_column(title)
    table.add_column("", justify="right")
    table.add_column("", style="cyan")
    max_score = max((score for _, score in rows), default=0.0)
    for word, score in rows:
        length = round(BAR * max(0.0, score) / max_score) if max_score > 0 else 0
        table.add_row(word, f"{score:.4f}", "█" * length)
    return table
