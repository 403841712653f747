"""`attendex pool`: the list of documents that a person should judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.util.terminal import reports_errors, stderr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrieval.metrics.runs import RetrievalRun, Topic


@reports_errors
def pool(
    collection: Annotated[str, typer.Argument(help="DIR or DIR:mode; asked, and read for texts.", show_default=False)],
    queries: Annotated[Path, typer.Option(help="Queries: .jsonl or id<TAB>text.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The pool to write (TSV).", show_default=False)],
    runs: Annotated[list[str] | None, typer.Option(help="Further systems: run files, DIR:mode …; repeat it.")] = None,
    depth: Annotated[int, typer.Option(min=1, help="Documents taken from the top of each ranking.")] = 20,
    qrels: Annotated[Path | None, typer.Option(help="Judgments there are; what they judge is left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order within a query.")] = 0,
) -> None:
    """Make the list to judge: what the systems found for each query, in an order that tells nothing.

    Examples:

      attendex pool papers --queries queries.jsonl --out pool.tsv

      attendex pool papers:dense --queries queries.jsonl --runs papers:lexical --runs old.run --out pool.tsv
    """
    from retrieval.metrics.files import read_qrels
    from retrieval.metrics.line_files import write_text
    from retrieval.metrics.pooling import fill_pool, pool_documents, pool_lines
    from retrieval.metrics.tasks import read_topics
    from retrieval.search.evaluated.systems import open_texts, parse_system, texts_of

    topics = read_topics(queries)
    judged = read_qrels(qrels) if qrels else None
    with open_texts(parse_system(collection)) as reader:  # before anything is asked
        asked = _ask([collection, *(runs or [])], topics, depth)
        found = pool_documents(asked, topics, depth, judged=judged, seed=seed)
        ids = {document for documents in found.values() for document in documents}
        filled = fill_pool(found, topics, texts_of(reader, ids))
    write_text(out, pool_lines(filled))
    stderr().print(f"wrote {len(filled):,} documents to judge for {len(found):,} queries: {out}", markup=False)
    stderr().print(f"next: attendex judge {out} --out qrels.txt", markup=False)


def _ask(systems: Sequence[str], topics: Sequence[Topic], depth: int) -> list[RetrievalRun]:
    from retrieval.commands.evaluation_output import progress_bar
    from retrieval.search.evaluated.systems import measure_system, parse_system

    runs = []
    for spec in map(parse_system, systems):
        with progress_bar(f"asking {spec.word}", len(topics)) as watch:
            runs.append(measure_system(spec, topics, depth, watch=watch).run)
    return runs
