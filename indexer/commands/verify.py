"""`attendex verify`: check a collection for damage."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import FAILURE, JsonOption, print_json, reports_errors, stdout

if TYPE_CHECKING:
    from indexer.maintenance.verify import Verification
    from retrieval.protocols import Encoder

SHOWN_PROBLEMS = 20


@reports_errors
def verify(
    collection: CollectionArgument,
    sample: Annotated[int, typer.Option(help="Number of passages to search by their own vectors.", min=0)] = 200,
    canaries: Annotated[bool, typer.Option(help="Load the encoder and encode the canary texts again.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Check every byte, count, id and vector of a collection.

    The output names each damaged file or record, and the exit code is 1 if there is one.

    Examples:

      attendex verify papers

      attendex verify papers --no-canaries --json
    """
    from indexer.maintenance.sharded_verify import verify_collection as examine

    found = examine(collection, sample=sample, encoder=_encoder(collection) if canaries else None)
    if as_json:
        print_json({"ok": found.ok, **asdict(found)})
    else:
        _show(found)
    if not found.ok:
        raise typer.Exit(FAILURE)


def _encoder(collection: Path) -> Encoder | None:
    """Load the encoder of the collection; None if the manifest is damaged."""
    from retrieval.encoder.loading import load_recorded_encoder
    from retrieval.errors import CorruptCollection
    from retrieval.index.storage.sharded_manifest import read_whole_manifest

    try:
        return load_recorded_encoder(read_whole_manifest(collection).encoder)
    except CorruptCollection:
        return None


def _show(found: Verification) -> None:
    console = stdout()
    for check in found.checks:
        verdict = "ok" if not check.problems else f"{len(check.problems):,} problems"
        console.print(f"{check.name}: {verdict} ({check.examined:,} examined)")
        for problem in check.problems[:SHOWN_PROBLEMS]:
            console.print(f"  {problem}", style="red")
    for orphan in found.orphans:
        console.print(f"in no generation, the next writer removes it: {orphan}")
    console.print(f"{found.collection} generation {found.generation}: {'whole' if found.ok else 'damaged'}")
