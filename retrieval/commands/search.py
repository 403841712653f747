"""`attendex search`: ask a collection from the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.terminal import JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.types import Hit, SearchResult

SNIPPET_CHARACTERS = 240


@reports_errors
def search(
    collection: Annotated[Path, typer.Argument(help="Directory of the collection.", show_default=False)],
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", help="How many documents to return.")] = 10,
    offset: Annotated[int, typer.Option(help="How many to skip first, for paging.")] = 0,
    encoder: Annotated[
        str, typer.Option(help="Encoder to use instead of the recorded one; it must be the same.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Search a collection.

    Examples:

      attendex search papers "does aspirin lower the risk of stroke"

      attendex search papers "wing in a slipstream" -k 3 --json
    """
    from retrieval.encoder.loading import load_encoder
    from retrieval.search.searcher import open_searcher
    from retrieval.types import SearchRequest

    chosen = load_encoder(encoder) if encoder else None
    with open_searcher(collection, encoder=chosen) as searcher:
        result = searcher.search(SearchRequest(query, k=k, offset=offset))
    if as_json:
        print_json(asdict(result))
    else:
        _show(result)


def _show(result: SearchResult) -> None:
    console = stdout()
    for hit in result.hits:
        console.print(f"{hit.rank:>3}  {hit.score:.4f}  ", end="", highlight=False)
        console.print(hit.title or hit.id, style="bold", end="", markup=False, highlight=False)
        console.print(f"  [dim]{_escape(hit.id) if hit.title else ''}[/dim]", highlight=False)
        console.print("     " + _snippet(hit), markup=False, highlight=False)
    if not result.hits:
        console.print("no documents matched")
    console.print(f"[dim]{len(result.hits)} hits in {result.timings_ms.total:.1f} ms[/dim]", highlight=False)


def _snippet(hit: Hit) -> str:
    best = hit.passages[0]
    text = " ".join(best.text.split())
    place = f"[{best.location}] " if best.location else ""
    return place + (text if len(text) <= SNIPPET_CHARACTERS else text[: SNIPPET_CHARACTERS - 1] + "…")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
