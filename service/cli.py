"""`attendex`: the commands of the three packages in one program."""

from __future__ import annotations

import faulthandler
import gc
import logging
from typing import Annotated

import typer

from indexer.commands.adapt import adapt
from indexer.commands.backup import restore, snapshot
from indexer.commands.calibrate import calibrate
from indexer.commands.chunk import chunk
from indexer.commands.distil import distil
from indexer.commands.evaluate import evaluate
from indexer.commands.generations import delete, log, merge, rollback
from indexer.commands.index import add, index
from indexer.commands.pins import pins
from indexer.commands.publish import publish
from indexer.commands.quantize import quantize
from indexer.commands.reembed import reembed
from indexer.commands.reindex import reindex
from indexer.commands.sweep import sweep
from indexer.commands.synonyms import synonyms
from indexer.commands.train import train
from indexer.commands.tune import tune
from indexer.commands.update import update
from indexer.commands.verify import verify
from retrieval.commands.compare import compare, report
from retrieval.commands.context import context
from retrieval.commands.duplicates import duplicates
from retrieval.commands.encoders import encoders
from retrieval.commands.explain import explain
from retrieval.commands.export import export
from retrieval.commands.info import info
from retrieval.commands.interleaved import interleaved
from retrieval.commands.judge import judge
from retrieval.commands.pool import pool
from retrieval.commands.search import search
from retrieval.commands.suggest import suggest
from retrieval.util.terminal import ForeignTextGroup
from retrieval.util.visible_text import VisibleFormatter
from service import __version__
from service.commands.answer import answer
from service.commands.keys import keys
from service.commands.mcp import mcp
from service.commands.restart import restart
from service.commands.serve import serve
from service.commands.settings import settings
from service.commands.sync import sync
from service.commands.upload import upload

app = typer.Typer(
    name="attendex",
    cls=ForeignTextGroup,
    help="Semantic search you can measure: index documents, query them, evaluate the ranking.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(index)
app.command()(search)
app.command()(context)
app.command()(answer)
app.command()(suggest)
app.command()(chunk)
app.command()(explain)
app.command()(evaluate)
app.command()(compare)
app.command()(tune)
app.command()(sweep)
app.command()(report)
app.command()(pool)
app.command()(judge)
app.command()(interleaved)
app.command()(info)
app.command()(duplicates)
app.command()(export)
app.command()(quantize)
app.add_typer(encoders, name="encoders")
app.command()(serve)
app.command()(restart)
app.command()(mcp)
app.command()(sync)
app.command()(add)
app.command()(upload)
app.command()(update)
app.command()(delete)
app.command()(synonyms)
app.command()(pins)
app.command()(merge)
app.command()(log)
app.command()(rollback)
app.command()(verify)
app.command()(snapshot)
app.command()(restore)
app.command()(publish)
app.command()(reembed)
app.command()(reindex)
app.command()(adapt)
app.command()(distil)
app.command()(train)
app.command()(calibrate)
app.command()(settings)
app.add_typer(keys, name="keys")


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"attendex {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Semantic search you can measure."""


def main() -> None:
    """Run the `attendex` command."""
    faulthandler.enable()  # the death by a signal, as by SIGBUS when a mapped file is truncated, is reported
    if logging.lastResort is not None:  # prints the warnings of every logger that has no handler
        logging.lastResort.setFormatter(VisibleFormatter())
    try:
        app()
    finally:
        gc.freeze()  # skip the final garbage collection, which takes 0.2 s after a build
