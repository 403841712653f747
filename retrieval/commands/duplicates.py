"""`attendex duplicates`: report near-duplicate documents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.index.collection.duplicates import DuplicateGroup

DEFAULT_THRESHOLD, LOWEST_THRESHOLD = 0.8, 0.5
SHOWN_GROUPS = 20
SHOWN_DOCUMENTS = 5  # of a group


@reports_errors
def duplicates(
    collection: CollectionArgument,
    threshold: Annotated[
        float,
        typer.Option(min=LOWEST_THRESHOLD, max=1.0, help="Least similarity of two texts: the share of equal letters."),
    ] = DEFAULT_THRESHOLD,
    as_json: JsonOption = False,
) -> None:
    """Report documents that are nearly equal, in groups, the largest first.

    Examples:

      attendex duplicates papers

      attendex duplicates papers --threshold 0.9 --json
    """
    from retrieval.index.collection.duplicates import find_duplicates
    from retrieval.index.collection.sharded_reader import open_reader

    started = time.perf_counter()
    with open_reader(collection) as reader:
        documents = reader.manifest.documents
        with progress_bar("reading and comparing", 2 * documents) as watch:
            groups = find_duplicates(reader, threshold, watch)
        generation = reader.manifest.generation
    seconds = time.perf_counter() - started
    if as_json:
        print_json(_report(groups, threshold, documents, generation, seconds))
    else:
        _show(groups, documents, seconds)


def _report(
    groups: Sequence[DuplicateGroup], threshold: float, documents: int, generation: int, seconds: float
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "generation": generation,
        "documents": documents,
        "threshold": threshold,
        "groups": [asdict(group) for group in groups],
        "seconds": round(seconds, 3),
    }


def _show(groups: Sequence[DuplicateGroup], documents: int, seconds: float) -> None:
    console = stdout()
    for group in groups[:SHOWN_GROUPS]:
        console.print(f"{len(group.documents)} documents", style="bold")
        for each in group.documents[:SHOWN_DOCUMENTS]:
            console.print(f"  {each.similarity:.3f}  {each.id}", end="")
            console.print(f"  {each.title}", style="dim")
        if len(group.documents) > SHOWN_DOCUMENTS:
            console.print(f"  and {len(group.documents) - SHOWN_DOCUMENTS:,} more", style="dim")
    if len(groups) > SHOWN_GROUPS:
        console.print(f"and {len(groups) - SHOWN_GROUPS:,} more groups; --json prints all of them", style="dim")
    members = sum(len(group.documents) for group in groups)
    console.print(f"{members:,} of {documents:,} documents in {len(groups):,} groups, in {seconds:.1f} s", style="dim")
