"""`attendex answer`: answer a question from a collection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.commands.context import ContextRanking
from retrieval.commands.options import CollectionArgument
from retrieval.commands.search import AnswerOptions, RerankingOptions, search_request
from retrieval.util.terminal import JsonOption, option_groups, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from retrieval.types import SearchRequest
    from service.config.answer_settings import AnswerSettings
    from service.queues.answering import AnswerEvent


@option_groups
@reports_errors
def answer(
    collection: CollectionArgument,
    question: Annotated[str, typer.Argument(help="A question.", show_default=False)],
    ranking: ContextRanking,
    reranking: RerankingOptions,
    max_tokens: Annotated[
        int | None, typer.Option(help="Tokens of the passages; default: answer.context_tokens.", show_default=False)
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).", show_default=False)] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of `attendex settings`.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from a collection, each sentence with its sources.

    A language model writes the answer if the settings name one (answer.url, answer.model); its key is best given as
    ATTENDEX_ANSWER__KEY. Without a model, the answer is the best sentences of the documents.

    Examples:

      attendex answer papers "does aspirin lower the risk of stroke"

      attendex answer papers "…" --set answer.url=http://127.0.0.1:11434/v1 --set answer.model=qwen3
    """
    from service.config.settings import load_settings, parse_assignments

    flags = parse_assignments(assignments or []) | ({"config": config} if config else {})
    settings = load_settings(flags).answer
    request = search_request(question, ranking, reranking, AnswerOptions())
    found = asyncio.run(_answered(collection, request, max_tokens, settings, show=not as_json))
    if as_json:
        print_json(found)


async def _answered(
    collection: Path, request: SearchRequest, max_tokens: int | None, settings: AnswerSettings, *, show: bool
) -> dict[str, Any]:
    """Return the whole answer; with `show`, print its sentences as they come."""
    content: dict[str, Any] = {"sentences": []}
    cited: set[int] = set()
    async with aclosing(_events(collection, request, max_tokens, settings)) as events:
        async for event in events:
            made = asdict(event.content)
            if event.name == "context":
                content["context"] = made
            elif event.name == "sentence":
                content["sentences"].append(made)
                cited |= {each["id"] for each in made["citations"]}
                if show:
                    _show_sentence(made)
            else:
                content = {**made, **content}
    if show:
        _show_sources(content, cited)
    return content


async def _events(
    collection: Path, request: SearchRequest, max_tokens: int | None, settings: AnswerSettings
) -> AsyncGenerator[AnswerEvent]:
    from retrieval.search.answers.context import ContextLimit
    from retrieval.search.answers.packing import find_context
    from retrieval.search.searcher import open_searcher
    from service.observability.metrics import Metrics
    from service.processes.peers import Peers
    from service.processes.shared_numbers import Column
    from service.queues.answering import Answering
    from service.queues.thread_pool import BoundedThreadPool

    metrics = Metrics()
    peers = Peers.alone()
    threads = BoundedThreadPool(1, 8, peers.count(Column.LONG_CALLS), metrics)
    with closing(threads), open_searcher(collection) as searcher:
        context = find_context(searcher, request, ContextLimit(max_tokens or settings.context_tokens))
        deadline = asyncio.get_running_loop().time() + settings.seconds
        async with (
            Answering(settings, threads, peers.count(Column.ANSWERS), metrics) as answering,
            aclosing(answering.events(request.query, context, searcher, deadline)) as events,
        ):
            async for event in events:
                yield event


def _show_sentence(sentence: dict[str, Any]) -> None:
    marks = "".join(f" [{each['id']}]" for each in sentence["citations"])
    console = stdout()
    console.print(sentence["text"] + marks, end="\n" if sentence["supported"] else "")
    if not sentence["supported"]:
        console.print("  no passage supports this sentence", style="yellow")


def _show_sources(content: dict[str, Any], cited: set[int]) -> None:
    """Print where the cited passages stand, or that there is no answer."""
    console = stdout()
    if not content["found"]:
        console.print(content["answer"])
    for each in content["context"]["citations"]:
        if each["id"] in cited:
            named = ", ".join(part for part in (each["title"] or each["document"], each["location"]) if part)
            console.print(f"[{each['id']}] {named} ({each['document']}, {each['start']} to {each['end']})", style="dim")
