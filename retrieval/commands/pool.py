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
    out: Annotated[Path, typer.Option(help="Pool to write (TSV).", show_default=False)],
    queries: Annotated[Path | None, typer.Option(help="Queries: JSONL, TSV or TREC.", show_default=False)] = None,
    from_log: Annotated[
        Path | None, typer.Option(help="Query log of a collection, instead of --queries.", show_default=False)
    ] = None,
    log_queries: Annotated[int, typer.Option(min=1, help="Most frequent queries to take from the log.")] = 100,
    save_queries: Annotated[
        Path | None, typer.Option(help="File to write the queries of the log to (JSONL).", show_default=False)
    ] = None,
    runs: Annotated[list[str] | None, typer.Option(help="Another system: a run file, DIR:mode …; repeatable.")] = None,
    depth: Annotated[int, typer.Option(min=1, help="Documents taken from the top of each ranking.")] = 20,
    qrels: Annotated[Path | None, typer.Option(help="Judgments; judged documents are left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order within a query.")] = 0,
) -> None:
    """Collect the documents to judge: the top results of the systems for each query.

    The documents of a query are in random order. With --from-log, the queries are the most frequent ones of a
    service's query log, and the documents clicked for them are pooled, too.

    Examples:

      attendex pool papers --queries queries.jsonl --out pool.tsv

      attendex pool papers:dense --queries queries.jsonl --runs papers:lexical --runs old.run --out pool.tsv

      attendex pool papers --from-log log/papers --save-queries queries.jsonl --out pool.tsv
    """
    from retrieval.metrics.files import read_qrels, write_text
    from retrieval.metrics.pooling import fill_pool, pool_documents, pool_lines
    from retrieval.metrics.tasks import topic_lines
    from retrieval.search.evaluated.systems import open_texts, parse_system, texts_of

    topics, clicks = _topics(queries, from_log, log_queries)
    judged = read_qrels(qrels) if qrels else None
    with open_texts(parse_system(collection)) as reader:  # first: a wrong collection fails before the searches
        pooled = [*_runs([collection, *(runs or [])], topics, depth), *clicks]
        found = pool_documents(pooled, topics, depth, judged=judged, seed=seed)
        ids = {document for documents in found.values() for document in documents}
        filled = fill_pool(found, topics, texts_of(reader, ids))
    write_text(out, pool_lines(filled))
    if save_queries:
        write_text(save_queries, topic_lines(topics))
    stderr().print(f"wrote {len(filled):,} documents to judge for {len(found):,} queries: {out}")
    stderr().print(f"next: attendex judge {out} --out qrels.txt")


def _topics(queries: Path | None, log: Path | None, count: int) -> tuple[Sequence[Topic], list[RetrievalRun]]:
    """Return the queries, and the run of clicks if they come from a log."""
    from retrieval.metrics.logged_topics import read_logged_topics
    from retrieval.metrics.tasks import read_topics

    if queries is not None and log is None:
        return read_topics(queries), []
    if log is None or queries is not None:
        raise typer.BadParameter("give one of: --queries FILE, --from-log FOLDER", param_hint="queries")
    logged = read_logged_topics(log, count)
    return logged.topics, [logged.clicks]


def _runs(systems: Sequence[str], topics: Sequence[Topic], depth: int) -> list[RetrievalRun]:
    from retrieval.commands.evaluation_output import progress_bar
    from retrieval.search.evaluated.systems import measure_system, parse_system

    runs = []
    for spec in map(parse_system, systems):
        with progress_bar(f"asking {spec.word}", len(topics)) as watch:
            runs.append(measure_system(spec, topics, depth, watch=watch).run)
    return runs
