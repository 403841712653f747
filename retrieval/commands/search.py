"""`attendex search`: search a collection from the terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.boosts import parse_each_boost
from retrieval.commands.options import CollectionArgument, named_mode, named_syntax
from retrieval.results import Confidence, TotalRelation
from retrieval.search.fusion_methods import DEFAULT_FUSION, FUSIONS, PARAMETERS
from retrieval.search.request_limits import RERANK_DEPTH, RERANK_WEIGHT
from retrieval.types import Detail, GroupBy, Included, Matching, Prefix, RerankOptions, SearchRequest, Syntax
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stdout
from retrieval.util.visible_text import visible

if TYPE_CHECKING:
    from rich.text import Text

    from retrieval.results import Hit, PassageHit, SearchResult

SNIPPET_CHARACTERS = 240
SHOWN_VALUES = 10

_METHODS = " or ".join(f"{each.name} ({each.description})" for each in FUSIONS.values())


def _parameter_help(name: str) -> str:
    parameter = PARAMETERS[name]
    return f"{parameter.description[0].upper()}{parameter.description[1:]}, {parameter.low:,} to {parameter.high:,}"


@dataclass(frozen=True, slots=True)
class RankingOptions:
    """Options that choose the documents and their order."""

    k: Annotated[int, typer.Option("-k", help="How many documents to return.")] = 10
    offset: Annotated[int, typer.Option(help="How many documents to skip first, for paging.")] = 0
    like: Annotated[
        list[str] | None, typer.Option(help="Id of a document that the hits should be like; repeatable.")
    ] = None
    unlike: Annotated[
        list[str] | None, typer.Option(help="Id of a document that the hits should not be like; repeatable.")
    ] = None
    vector: Annotated[
        Path | None,
        typer.Option(help="JSON file with a list of numbers: a vector beside the query; - for standard input."),
    ] = None
    mode: Annotated[
        str, typer.Option(help="dense, lexical, sparse or hybrid; default: hybrid; without a lexical index, dense.")
    ] = ""
    syntax: Annotated[str, typer.Option(help='plain, or operators: "phrases in quotes" and -excluded words.')] = (
        Syntax.PLAIN.value
    )
    typos: Annotated[
        bool, typer.Option(help="Match words that the collection lacks to the nearest ones; not in mode dense.")
    ] = True
    prefix: Annotated[str, typer.Option(help="last: the last word is the start of a word.")] = Prefix.NONE.value
    synonyms: Annotated[bool, typer.Option(help="Expand words by the synonyms of the collection.")] = True
    pins: Annotated[bool, typer.Option(help="Begin with the documents that are pinned for the query.")] = True
    where: Annotated[
        str, typer.Option("--filter", help='Condition on metadata fields: \'year >= 2019 AND topic IN ["nlp", "ir"]\'.')
    ] = ""
    fusion: Annotated[str, typer.Option(help=f"How hybrid mode joins the rankings: {_METHODS}.")] = DEFAULT_FUSION
    weight: Annotated[
        float | None,
        typer.Option(help=f"{_parameter_help('weight')}; default: chosen, and the answer gives the reason."),
    ] = None
    feedback: Annotated[
        float | None, typer.Option(help=f"{_parameter_help('feedback')}; 0 for none; default: chosen.")
    ] = None
    sparse_weight: Annotated[
        float | None, typer.Option(help=f"{_parameter_help('sparse_weight')}; default: chosen.")
    ] = None
    window_share: Annotated[float | None, typer.Option(help=f"{_parameter_help('window_share')}; default: chosen.")] = (
        None
    )
    rrf_k: Annotated[int, typer.Option(help=f"{_parameter_help('rrf_k')}.")] = int(PARAMETERS["rrf_k"].default)
    matching: Annotated[str, typer.Option(help="Documents that facets, totals and sorting count: relevant or all.")] = (
        Matching.RELEVANT.value
    )
    relevant_share: Annotated[
        float | None, typer.Option(help="Share of the best score that a relevant document has, 0 to 1; default: 0.4.")
    ] = None
    count: Annotated[bool, typer.Option("--count", help="Count all matches, also beyond those returned.")] = False
    sort: Annotated[
        str, typer.Option(help="Fields to order by, such as topic,-year (- for descending); default: the score.")
    ] = ""
    collapse: Annotated[str, typer.Option(help="Field: of the documents with one value only the best is a hit.")] = ""
    collapse_near: Annotated[
        float | None, typer.Option(help="Cosine, such as 0.97: of hits that are at least so near only the first stays.")
    ] = None
    boost: Annotated[
        list[str] | None,
        typer.Option(help='Factor of scores, as JSON: \'{"filter": "in_stock", "weight": 1.5}\'; repeatable.'),
    ] = None
    diversity: Annotated[float, typer.Option(help="How much the first hits should differ from each other, 0 to 1.")] = (
        0.0
    )
    diversity_depth: Annotated[
        int | None, typer.Option(help="Hits that --diversity chooses from.  Default: 100.", show_default=False)
    ] = None
    min_score: Annotated[float | None, typer.Option(help="Leave out documents that score less.")] = None
    exact: Annotated[bool, typer.Option("--exact", help="Compare the query with every vector.")] = False


@dataclass(frozen=True, slots=True)
class RerankingOptions:
    """Options that rank the first documents again, by a reranker."""

    rerank: Annotated[
        str,
        typer.Option(help="Preset or folder of a reranker; default: do not rerank.", show_default=False),
    ] = ""
    rerank_depth: Annotated[
        int | None, typer.Option(help="How many documents to rerank.", show_default=str(RERANK_DEPTH))
    ] = None
    rerank_weight: Annotated[
        float | None,
        typer.Option(help="Share of the reranker in the score, 0 to 1.", show_default=str(RERANK_WEIGHT)),
    ] = None

    def record(self) -> RerankOptions | None:
        """Return the options for a search request; None if they ask for nothing."""
        if not self.rerank:
            if self.rerank_depth is not None or self.rerank_weight is not None:
                raise typer.BadParameter("give --rerank too", param_hint="--rerank-depth, --rerank-weight")
            return None
        return RerankOptions(self.rerank, self.rerank_depth, self.rerank_weight)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """Options that choose the contents of the answer."""

    facet: Annotated[
        list[str] | None,
        typer.Option(help="Count the values of this field over all matches, or ranges: 'price [10, 50]'; repeatable."),
    ] = None
    disjunctive: Annotated[
        list[str] | None, typer.Option(help="Facet field whose counts ignore conditions on it in the filter.")
    ] = None
    facet_prefix: Annotated[str, typer.Option(help="Count only values of facets that begin so.")] = ""
    field: Annotated[
        list[str] | None, typer.Option(help="Metadata field to return; repeatable.  Default: all fields.")
    ] = None
    text: Annotated[bool, typer.Option("--text", help="Return the whole text of the documents, with --json.")] = False
    detail: Annotated[str, typer.Option(help="Contents of a hit: ids, passages or full.")] = Detail.PASSAGES.value
    group_by: Annotated[str, typer.Option(help="A hit is a document, or with none a passage.")] = GroupBy.DOCUMENT.value
    neighbours: Annotated[int, typer.Option(help="Passages before and after each passage to return, with --json.")] = 0
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens of all passages together; default: no limit.", show_default=False)
    ] = None
    highlight: Annotated[bool, typer.Option("--highlight", help="Mark the matches in the passages.")] = False


@option_groups
@reports_errors
def search(
    collection: CollectionArgument,
    query: Annotated[str, typer.Argument(help="Words or a question; * lists all documents.", show_default=False)],
    ranking: RankingOptions,
    reranking: RerankingOptions,
    answer: AnswerOptions,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Directory of a further collection to search together; repeatable."),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(help="The recorded encoder elsewhere: a folder, or openai:URL#model.", show_default=False),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Search a collection.

    The query is plain text: quotes and dashes are punctuation.  With --syntax operators, a passage must contain each
    "quoted phrase", and a document with an -excluded word is left out; in all modes but dense.

    Examples:

      attendex search papers "does aspirin lower the risk of stroke"

      attendex search papers '"boundary layer" -turbulent' --syntax operators --filter 'year >= 1960' --facet author

      attendex search papers "wing in a slipstream" -k 3 --mode dense --json

      attendex search papers "*" --like pubmed-42 --unlike pubmed-7

      attendex search papers "wing in a slipstream" --with reports

      attendex search papers "wing in a slipstream" --rerank reranker-english --rerank-depth 20
    """
    from retrieval.encoder.loading import load_encoder
    from retrieval.search.joined_searcher import join_searchers
    from retrieval.search.searcher import open_searcher

    request = search_request(query, ranking, reranking, answer)
    chosen = load_encoder(encoder) if encoder else None
    with ExitStack() as opened:
        first = opened.enter_context(open_searcher(collection, encoder=chosen))
        further = [opened.enter_context(open_searcher(each, encoder=first.encoder)) for each in others or ()]
        result = (join_searchers([first, *further]) if further else first).search(request)
    if as_json:
        print_json(asdict(result))
    else:
        _show(result)


def search_request(
    query: str, ranking: RankingOptions, reranking: RerankingOptions, answer: AnswerOptions
) -> SearchRequest:
    """Return the search that the options ask for."""
    return SearchRequest(
        query,
        k=ranking.k,
        offset=ranking.offset,
        like=tuple(ranking.like or ()),
        unlike=tuple(ranking.unlike or ()),
        vector=None if ranking.vector is None else _read_vector(ranking.vector),
        mode=named_mode(ranking.mode),
        syntax=named_syntax(ranking.syntax),
        typos=ranking.typos,
        synonyms=ranking.synonyms,
        pins=ranking.pins,
        prefix=ranking.prefix,  # type: ignore[arg-type]  # as matching
        filter=ranking.where,
        fusion=ranking.fusion,
        weight=ranking.weight,
        feedback=ranking.feedback,
        sparse_weight=ranking.sparse_weight,
        window_share=ranking.window_share,
        rrf_k=ranking.rrf_k,
        facets=tuple(answer.facet or ()),
        disjunctive=tuple(answer.disjunctive or ()),
        facet_prefix=answer.facet_prefix,
        sort=ranking.sort,
        collapse=ranking.collapse,
        boosts=parse_each_boost(ranking.boost or ()),
        collapse_near=ranking.collapse_near,
        diversity=ranking.diversity,
        diversity_depth=ranking.diversity_depth,
        matching=ranking.matching,  # type: ignore[arg-type]  # the searcher checks the name
        relevant_share=ranking.relevant_share,
        count=ranking.count,
        min_score=ranking.min_score,
        fields=tuple(answer.field) if answer.field else None,
        include=(Included.TEXT,) if answer.text else (),
        detail=answer.detail,  # type: ignore[arg-type]  # as matching
        group_by=answer.group_by,  # type: ignore[arg-type]  # as matching
        neighbours=answer.neighbours,
        max_tokens=answer.max_tokens,
        highlight=answer.highlight,
        exact=ranking.exact,
        rerank=reranking.record(),
    )


def _read_vector(path: Path) -> tuple[float, ...]:
    """Return the numbers of a JSON file; wrong usage for other data."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        numbers = json.loads(text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} is not readable as JSON: {error}", param_hint="--vector") from error
    if not isinstance(numbers, list) or not all(type(each) in (int, float) for each in numbers):
        raise typer.BadParameter(f"{path} is not a list of numbers", param_hint="--vector")
    return tuple(map(float, numbers))


def _show(result: SearchResult) -> None:
    console = stdout()
    for hit in result.hits:
        console.print(f"{hit.rank:>3}  {hit.score:.4f}  ", end="")
        console.print(hit.title or hit.id, style="bold", end="")
        named = [hit.collection or "", hit.id if hit.title else ""]
        console.print("".join(f"  {each}" for each in named if each), style="dim")
        if hit.passages:
            console.print(_snippet(hit))
        if hit.pinned:
            console.print("     pinned", style="dim")
        if hit.collapsed is not None and hit.collapsed.more:
            value = hit.collapsed.value
            console.print(
                f"     +{hit.collapsed.more} {'similar' if value is None else f'more with {value}'}", style="dim"
            )
    if not result.hits:
        console.print("no documents matched")
    for field in {**result.facets, **result.facet_stats}:
        console.print(field, style="bold", end="  ")
        console.print(", ".join(_facet_parts(result, field)) or "no values")
    for word in result.replacements:
        if word.reason == "typo":
            console.print(f"searched for {word.text} instead of {word.word}, which no document has", style="dim")
    if result.truncated:
        console.print(f"shortened to --max-tokens; go on with --offset {result.next_offset}", style="dim")
    if result.confidence is Confidence.LOW:
        console.print("nothing close: the best document is far from the query", style="dim")
    weight = f", weight {result.weight:g} ({result.weight_reason})" if result.weight_reason else ""
    more = " or more" if result.total.relation is TotalRelation.AT_LEAST else ""
    found = f"{len(result.hits)} hits, {result.total.value:,}{more} relevant"
    console.print(f"{found}, in {result.timings_ms.total:.1f} ms, {result.mode}{weight}", style="dim")


def _facet_parts(result: SearchResult, field: str) -> Iterator[str]:
    """Yield the values of a facet, its ranges, and its extremes, as text."""
    for each in result.facets.get(field, ())[:SHOWN_VALUES]:
        yield f"{each.value} {each.count}"
    if (stats := result.facet_stats.get(field)) is None:
        return
    for part in stats.ranges:
        start, end = ("" if bound is None else f"{bound}" for bound in (part.start, part.end))
        yield f"{start}..{end} {part.count}"
    if stats.min is not None:
        yield f"from {stats.min} to {stats.max}"


def _snippet(hit: Hit) -> Text:
    """Return a window of the best passage, from near its first match, on one line."""
    from rich.text import Text

    best = hit.passages[0]
    first = best.highlights[0][0] if best.highlights else 0
    start = max(0, first - SNIPPET_CHARACTERS // 4) if first > SNIPPET_CHARACTERS // 2 else 0
    end = start + SNIPPET_CHARACTERS
    location = f"[{best.location}] " if best.location else ""
    before = f"     {location}{'…' if start else ''}"
    pieces = [(visible(_on_one_line(text)), style) for text, style in _marked(best, start, end)]
    return Text.assemble(visible(before), *pieces, "…" if end < len(best.text) else "")


def _marked(passage: PassageHit, start: int, end: int) -> Iterator[tuple[str, str]]:
    """Yield the pieces of `text[start:end]` and their styles."""
    position = start
    for first, last in passage.highlights:
        first, last = max(position, first), min(last, end)
        if first < last:
            yield passage.text[position:first], ""
            yield passage.text[first:last], "underline"
            position = last
    yield passage.text[position:end], ""


def _on_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)
