"""Topics from a query log: frequent queries, and the documents clicked for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.errors import InputError
from retrieval.metrics.query_log import QuerySummary, most_frequent, query_key, read_records, summarize
from retrieval.metrics.runs import RankedDocuments, RetrievalRun, Topic, query_id
from retrieval.util.redaction import is_altered


@dataclass(frozen=True, slots=True)
class LoggedTopics:
    """Queries of a log as topics, and the documents clicked for each, as a run."""

    topics: tuple[Topic, ...]
    clicks: RetrievalRun


def read_logged_topics(folder: Path, count: int) -> LoggedTopics:
    """Return the most frequent queries of a collection's log.

    The id of a topic is a digest of its query: it is the same in every pool.  Queries that redaction changed are left
    out.  Raises InputError if no query is left.
    """
    found = [each for each in summarize(read_records(folder)).values() if not is_altered(each.query)]
    chosen = most_frequent(found, count)
    if not chosen:
        raise InputError(f"{folder}: the log has no queries; name the folder of a collection's query log")
    topics = {query_id(query_key(each.query)): each for each in chosen}
    clicks = {topic: _ranked(each) for topic, each in topics.items() if each.clicks}
    return LoggedTopics(
        tuple(Topic(topic, " ".join(each.query.split())) for topic, each in topics.items()),
        RetrievalRun("clicks", clicks),
    )


def _ranked(summary: QuerySummary) -> RankedDocuments:
    documents = summary.clicked.most_common()
    return RankedDocuments(tuple(id_ for id_, _ in documents), np.array([count for _, count in documents], np.float64))
