"""The messages that are due: matches of standing queries, ended jobs.

A message is sent at least once: the state of each webhook is stored with its query or job, also over a restart.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import orjson

from retrieval.errors import CollectionNotFound
from retrieval.index.collection.standing_queries import (
    STANDING,
    Queries,
    StandingMatch,
    StandingQuery,
    Webhook,
    change_standing,
    read_standing,
)
from service.runtime.job_folder import JobFolder, JobFolders, Record
from service.runtime.open_collections import OpenCollections
from service.runtime.webhook_sender import Delivery, WebhookMessage, WebhookSender

MESSAGE_MATCHES = 100


class Webhooks:
    """Finds the messages of all collections that are due.  One thread calls `deliver`."""

    def __init__(self, collections: OpenCollections, folders: JobFolders, *, allow_private: bool) -> None:
        self._collections = collections
        self._folders = folders
        self._sender = WebhookSender(allow_private=allow_private)
        self._idle: dict[Path, tuple[int, int]] = {}  # stamps of files with nothing to send

    def close(self) -> None:
        """Begin no further attempt."""
        self._sender.close()

    def deliver(self) -> None:
        """Offer one message of each query and job that has one to send."""
        for name in self._collections.names():
            with suppress(CollectionNotFound):
                path = self._collections.path(name)
                self._offer_matches(name, path)
                self._offer_jobs(name, path)

    def _offer_matches(self, name: str, path: Path) -> None:
        stamp = _stamp(path / STANDING)
        if stamp is None or self._idle.get(path) == stamp:
            return
        pending = [query for query in read_standing(path).values() if _is_pending(query)]
        for query in pending:
            assert query.webhook is not None, "a query without a webhook has nothing to send"
            message = message_of(name, query, query.webhook)
            record = partial(_record_match, path, query.name, query.webhook)
            self._sender.offer(Delivery((path, f"standing {query.name}"), query.webhook, message, record))
        if not pending:
            self._idle[path] = stamp

    def _offer_jobs(self, name: str, path: Path) -> None:
        folder = self._folders.of(path)
        for job_id, result in folder.finished().items():
            if result["webhook"] and not result["webhook"]["delivered"]:
                webhook = Webhook(**result["webhook"])
                record = partial(_record_job, folder, job_id)
                self._sender.offer(Delivery((path, f"job {job_id}"), webhook, job_message(name, result), record))


def message_of(collection: str, query: StandingQuery, webhook: Webhook) -> WebhookMessage:
    """Return the message with the first matches that the receiver lacks.

    Its id names the query, the time when the query was saved, and the numbers of the matches.
    """
    matches = [match for match in query.matches if match.number > webhook.delivered][:MESSAGE_MATCHES]
    made = "".join(filter(str.isdigit, query.created))
    id_ = f"{query.name}.{made}.{matches[0].number}-{matches[-1].number}"
    content = {"type": "standing.matches", "collection": collection, "standing": query.name, "matches": _plain(matches)}
    return WebhookMessage(id_, orjson.dumps(content), matches[-1].number)


def job_message(collection: str, result: Record) -> WebhookMessage:
    """Return the message about the end of a job: the job without its webhook."""
    job = {name: value for name, value in result.items() if name not in ("number", "webhook")}
    content = {"type": f"job.{result['status']}", "collection": collection, "job": job}
    return WebhookMessage(f"job.{result['id']}", orjson.dumps(content), 1)


def _record_match(path: Path, name: str, before: Webhook, after: Webhook) -> None:
    """Store the state of a query's webhook, unless it was replaced meanwhile."""

    def change(queries: Queries) -> Queries:
        now = queries.get(name)
        is_same = now is not None and now.webhook == before
        return {**queries, name: replace(now, webhook=after)} if now and is_same else queries

    change_standing(path, change)


def _record_job(folder: JobFolder, job_id: str, after: Webhook) -> None:
    folder.update(job_id, webhook=asdict(after))


def _plain(matches: list[StandingMatch]) -> list[dict[str, object]]:
    return [asdict(match) for match in matches]


def _is_pending(query: StandingQuery) -> bool:
    return query.webhook is not None and any(match.number > query.webhook.delivered for match in query.matches)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is replaced; None for a missing file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
