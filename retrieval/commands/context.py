"""`attendex context`: the best passages for a query, for a language model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from retrieval.commands.options import CollectionArgument
from retrieval.commands.search import AnswerOptions, RankingOptions, RerankingOptions, search_request
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stderr
from retrieval.util.visible_text import visible


@dataclass(frozen=True, slots=True)
class ContextRanking(RankingOptions):
    """Options that choose the passages and their order."""

    k: Annotated[int, typer.Option("-k", help="How many passages to choose from, the best ones.")] = 50


@option_groups
@reports_errors
def context(
    collection: CollectionArgument,
    query: Annotated[str, typer.Argument(help="Words or a question.", show_default=False)],
    ranking: ContextRanking,
    reranking: RerankingOptions,
    max_tokens: Annotated[int, typer.Option(help="Maximum size of the whole text.")] = 2_000,
    unit: Annotated[str, typer.Option(help="Unit of --max-tokens: tokens, words, characters or bytes.")] = "tokens",
    neighbours: Annotated[int, typer.Option(help="Passages to add before and after each passage.")] = 0,
    by_document: Annotated[
        bool, typer.Option("--by-document", help="Take at most two passages of each document.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the best passages for a query in a limited size, with citations.

    Examples:

      attendex context papers "does aspirin lower the risk of stroke"

      attendex context papers "wing in a slipstream" --max-tokens 800 --filter 'year >= 1960' --json
    """
    from retrieval.search.answers.context import ContextLimit
    from retrieval.search.answers.packing import find_context
    from retrieval.search.searcher import open_searcher

    request = search_request(query, ranking, reranking, AnswerOptions(neighbours=neighbours))
    limit = ContextLimit(max_tokens, unit)  # type: ignore[arg-type]  # checked by find_context
    with open_searcher(collection) as searcher:
        found = find_context(searcher, request, limit, by_document=by_document)
    if as_json:
        print_json(asdict(found))
        return
    print(visible(found.text, lines=True))
    more = f"; shortened, go on with --offset {found.next_offset}" if found.truncated else ""
    stderr().print(f"{len(found.citations)} citations, {found.tokens:,} {found.unit}{more}", style="dim")
