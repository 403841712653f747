"""`attendex pool`: collect the documents to judge."""

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
    collection: Annotated[
        str, typer.Argument(help="DIR or DIR:mode; it is searched, and gives the texts.", show_default=False)
    ],
    queries: Annotated[Path, typer.Option(help="Queries: JSONL, TSV or TREC.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Pool to write (TSV).", show_default=False)],
    runs: Annotated[list[str] | None, typer.Option(help="Another system: a run file, DIR:mode …; repeatable.")] = None,
    depth: Annotated[int, typer.Option(min=1, help="Documents taken from the top of each ranking.")] = 20,
    qrels: Annotated[Path | None, typer.Option(help="Judgments; judged documents are left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order within a query.")] = 0,
) -> None:
    """Collect the documents to judge: the top results of the systems for each query.

    The documents of a query are in random order.

    Examples:

      attendex pool papers --queries queries.jsonl --out pool.tsv

      attendex pool papers:dense --queries queries.jsonl --runs papers:lexical --runs old.run --out pool.tsv
    """
    from retrieval.metrics.files import read_qrels, write_text
    from retrieval.metrics.pooling import fill_pool, pool_documents, pool_lines
    from retrieval.metrics.tasks import read_topics
    from retrieval.search.evaluated.systems import open_texts, parse_system, texts_of

    topics = read_topics(queries)
    judged = read_qrels(qrels) if qrels else None
    with open_texts(parse_system(collection)) as reader:  # first: a wrong collection fails before the searches
        pooled = _runs([collection, *(runs or [])], topics, depth)
        found = pool_documents(pooled, topics, depth, judged=judged, seed=seed)
        ids = {document for documents in found.values() for document in documents}
        filled = fill_pool(found, topics, texts_of(reader, ids))
    write_text(out, pool_lines(filled))
    stderr().print(f"wrote {len(filled):,} documents to judge for {len(found):,} queries: {out}")
    stderr().print(f"next: attendex judge {out} --out qrels.txt")


def _runs(systems: Sequence[str], topics: Sequence[Topic], depth: int) -> list[RetrievalRun]:
    from retrieval.commands.evaluation_output import progress_bar
    from retrieval.search.evaluated.systems import measure_system, parse_system

    runs = []
    for spec in map(parse_system, systems):
        with progress_bar(f"asking {spec.word}", len(topics)) as watch:
            runs.append(measure_system(spec, topics, depth, watch=watch).run)
    return runs
