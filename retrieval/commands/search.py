"""`attendex search`: ask a collection from the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import named_mode
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.types import Hit, PassageHit, SearchResult

SNIPPET_CHARACTERS = 240
SHOWN_VALUES = 10


@reports_errors
def search(
    collection: Annotated[Path, typer.Argument(help="Directory of the collection.", show_default=False)],
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", help="How many documents to return.")] = 10,
    offset: Annotated[int, typer.Option(help="How many to skip first, for paging.")] = 0,
    mode: Annotated[
        str, typer.Option(help="dense, lexical or hybrid; default: hybrid where the collection has words.")
    ] = "",
    where: Annotated[
        str, typer.Option("--filter", help="Expression over metadata fields: 'year >= 2019 AND topic IN [nlp, ir]'.")
    ] = "",
    fusion: Annotated[str, typer.Option(help="How hybrid joins both rankings: convex or rrf.")] = "convex",
    weight: Annotated[
        float | None, typer.Option(help="Dense share of fusion, 0 to 1; default: chosen, and the answer says why.")
    ] = None,
    rrf_k: Annotated[int, typer.Option(help="Constant of reciprocal rank fusion.")] = 60,
    facet: Annotated[
        list[str] | None, typer.Option(help="Count the values of this field over all matches; repeatable.")
    ] = None,
    sort: Annotated[str, typer.Option(help="Field to order by, -FIELD for descending; default: the score.")] = "",
    min_score: Annotated[float | None, typer.Option(help="Leave out documents that score less.")] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Metadata field to return; repeatable.  Default: all.")
    ] = None,
    highlight: Annotated[bool, typer.Option("--highlight", help="Mark what matches in the passages.")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every vector.")] = False,
    encoder: Annotated[
        str, typer.Option(help="Encoder to use instead of the recorded one; it must be the same.", show_default=False)
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Search a collection.

    In the query, "quoted phrases" must occur in a passage, and documents with -excluded words are left out (hybrid and
    lexical mode).

    Examples:

      attendex search papers "does aspirin lower the risk of stroke"

      attendex search papers '"boundary layer" -turbulent' --filter 'year >= 1960' --facet author

      attendex search papers "wing in a slipstream" -k 3 --mode dense --json
    """
    from retrieval.encoder.loading import load_encoder
    from retrieval.search.searcher import open_searcher
    from retrieval.types import SearchRequest

    request = SearchRequest(
        query,
        k=k,
        offset=offset,
        mode=named_mode(mode),
        filter=where,
        fusion=fusion,
        weight=weight,
        rrf_k=rrf_k,
        facets=tuple(facet or ()),
        sort=sort,
        min_score=min_score,
        fields=tuple(field) if field else None,
        highlight=highlight,
        exact=exact,
    )
    chosen = load_encoder(encoder) if encoder else None
    with open_searcher(collection, encoder=chosen) as searcher:
        result = searcher.search(request)
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
        console.print("     " + _snippet(hit), highlight=False)
    if not result.hits:
        console.print("no documents matched")
    for field, counts in result.facets.items():
        shown = ", ".join(f"{_escape(str(each.value))} [dim]{each.count}[/dim]" for each in counts[:SHOWN_VALUES])
        console.print(f"[bold]{_escape(field)}[/bold]  {shown or 'no values'}", highlight=False)
    how = f"{result.mode}" + (f", weight {result.weight:g} ({result.weight_reason})" if result.weight_reason else "")
    console.print(f"[dim]{len(result.hits)} hits in {result.timings_ms.total:.1f} ms, {how}[/dim]", highlight=False)


def _snippet(hit: Hit) -> str:
    """The best passage as markup: matches underlined, cut to a window that begins near the first one."""
    best = hit.passages[0]
    first = best.highlights[0][0] if best.highlights else 0
    start = max(0, first - SNIPPET_CHARACTERS // 4) if first > SNIPPET_CHARACTERS // 2 else 0
    end = start + SNIPPET_CHARACTERS
    place = f"[{best.location}] " if best.location else ""
    cut = "…" if start else "", "…" if end < len(best.text) else ""
    return _escape(place) + cut[0] + _marked(best, start, end) + cut[1]


def _marked(passage: PassageHit, start: int, end: int) -> str:
    """`text[start:end]` on one line, its highlights underlined."""
    pieces = []
    at = start
    for first, last in passage.highlights:
        first, last = max(at, first), min(last, end)
        if first < last:
            pieces += [_escape(passage.text[at:first]), f"[underline]{_escape(passage.text[first:last])}[/underline]"]
            at = last
    return " ".join("".join([*pieces, _escape(passage.text[at:end])]).split())


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
