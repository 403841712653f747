"""`attendex export`: write the documents of a collection to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retrieval.commands.evaluation_output import progress_bar
from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout


@reports_errors
def export(
    collection: CollectionArgument,
    out: Annotated[Path, typer.Option(help="File to write; it is replaced.", show_default=False)],
    to: Annotated[str, typer.Option(help="jsonl or parquet; default: by the suffix of the file.")] = "",
    vectors: Annotated[bool, typer.Option("--vectors", help="Write the vector of each passage, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write documents and passages to a file, which `attendex index` reads.

    Examples:

      attendex export papers --out papers.jsonl

      attendex export papers --out papers.parquet --vectors
    """
    from retrieval.index.collection.export import FORMATS, write_export
    from retrieval.index.collection.sharded_reader import open_reader

    to = to or out.suffix.removeprefix(".")
    if to not in FORMATS:
        raise typer.BadParameter(f"{to!r} is not {' or '.join(FORMATS)}", param_hint="--to")
    with open_reader(collection) as reader:
        generation = reader.manifest.generation
        with progress_bar("writing", reader.manifest.documents) as watch:
            count = write_export(reader, out, to, watch, vectors=vectors)
    if as_json:
        print_json({"out": str(out), "documents": count, "generation": generation})
    else:
        stdout().print(f"{count:,} documents of generation {generation} in {out}")
