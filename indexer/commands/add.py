"""`attendex add`: more documents into a collection that is there."""

from __future__ import annotations

from typing import Annotated

import typer

from indexer.commands.index import run_build
from indexer.commands.options import CollectionArgument, WaitOption
from retrieval.util.terminal import JsonOption, reports_errors


@reports_errors
def add(
    collection: CollectionArgument,
    sources: Annotated[list[str], typer.Argument(help="Files or folders to read.", show_default=False)],
    id_field: Annotated[str, typer.Option(help="Field that holds the id; default: _id or id.")] = "",
    title_field: Annotated[str, typer.Option(help="Field that holds the title.")] = "title",
    text_field: Annotated[str, typer.Option(help="Field that holds the text.")] = "text",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count and list bad documents, and go on.")] = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Add documents to a collection, or new versions of them, with the encoder and settings that it has.

    A document replaces the one of the same id; one that has not changed is not encoded again.

    Examples:

      attendex add papers new.jsonl
    """
    from indexer.building.pipeline import BuildSettings
    from indexer.readers import ReadOptions
    from retrieval.index.storage.manifest import read_manifest

    read_manifest(collection)  # adding makes no collection
    read = ReadOptions(id_field=id_field, title_field=title_field, text_field=text_field)
    settings = BuildSettings(read=read, skip_bad=skip_bad)
    run_build(sources, collection, settings, None, strict=False, wait=wait, as_json=as_json)
