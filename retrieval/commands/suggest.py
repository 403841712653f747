"""`attendex suggest`: complete a query that is being typed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout


@reports_errors
def suggest(
    collection: CollectionArgument,
    query: Annotated[str, typer.Argument(help="The start of a query.", show_default=False)],
    k: Annotated[int, typer.Option("-k", help="How many words, and how many titles.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Complete a query: words that begin with its last one, and titles.

    Examples:

      attendex suggest papers "rain ja"
    """
    from retrieval.index.collection.sharded_reader import open_reader
    from retrieval.search.suggestions import suggest

    with open_reader(collection) as reader:
        found = suggest(reader, query, k)
    if as_json:
        print_json(asdict(found))
        return
    console = stdout()
    for word in found.words:
        console.print(word)
    for title in found.titles:
        console.print(title.title, style="bold", end="  ")
        console.print(title.id, style="dim")
    if not found.words and not found.titles:
        console.print("no word and no title begins so", style="dim")
