"""Send the matches of standing queries, signed, until their receivers have them.

The headers and the signature follow Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 of id, time and
body.  A match is sent at least once.  A message that is sent again has the same id.  Connections go to public addresses
only, unless the settings allow others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpcore
import httpx
import orjson

from indexer.sources.public_network import PublicNetwork
from retrieval.errors import AttendexError, CollectionNotFound, InputError
from retrieval.index.collection.standing_queries import (
    STANDING,
    Queries,
    StandingMatch,
    StandingQuery,
    Webhook,
    change_standing,
    read_standing,
)
from service.runtime.open_collections import OpenCollections

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
MESSAGE_MATCHES = 100
ATTEMPT_S = 10.0
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 3_600.0
ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A message about the next matches of a query."""

    id: str
    body: bytes
    last: int  # number of its last match


class Webhooks:
    """Delivers the matches of all collections.  One thread calls `deliver`."""

    def __init__(self, collections: OpenCollections, *, allow_private: bool) -> None:
        self._collections = collections
        self._allow_private = allow_private
        self._not_before: dict[tuple[Path, str], float] = {}  # by the monotonic clock, after a failure
        self._idle: dict[Path, tuple[int, int]] = {}  # stamps of files with nothing to send
        self._closed = False

    def close(self) -> None:
        """Begin no further attempt."""
        self._closed = True

    def deliver(self) -> None:
        """Send one message for each query that has one to send now."""
        for name in self._collections.names():
            with suppress(CollectionNotFound):
                path = self._collections.path(name)
                stamp = _stamp(path / STANDING)
                if stamp is None or self._idle.get(path) == stamp:
                    continue
                pending = [query for query in read_standing(path).values() if _is_pending(query)]
                for query in pending:
                    if not self._closed and time.monotonic() >= self._not_before.get((path, query.name), 0.0):
                        self._deliver(name, path, query)
                if not pending:
                    self._idle[path] = stamp

    def _deliver(self, collection: str, path: Path, query: StandingQuery) -> None:
        webhook = query.webhook
        assert webhook is not None, "a query without a webhook has nothing to send"
        message = message_of(collection, query, webhook)
        error = self._attempt(webhook, message)
        if error:
            pause = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(webhook.failures, 20))
            self._not_before[path, query.name] = time.monotonic() + pause
            after = replace(webhook, failures=webhook.failures + 1, error=error[:ERROR_CHARACTERS])
        else:
            self._not_before.pop((path, query.name), None)
            after = replace(webhook, delivered=message.last, failures=0, error="")

        def change(queries: Queries) -> Queries:
            now = queries.get(query.name)
            is_same = now is not None and now.webhook == webhook
            return {**queries, query.name: replace(now, webhook=after)} if now and is_same else queries

        change_standing(path, change)

    def _attempt(self, webhook: Webhook, message: WebhookMessage) -> str:
        """Send a message once; return the error, empty for a success."""
        network = PublicNetwork(allow_private=self._allow_private)
        network.start_deadline(ATTEMPT_S)
        headers: list[tuple[bytes | str, bytes | str]] = [
            ("Content-Type", "application/json"),
            ("User-Agent", "attendex"),
            *signed(webhook, message, time.time()).items(),
        ]
        try:
            check_url(webhook.url, allow_private=self._allow_private)
            with (
                httpcore.ConnectionPool(network_backend=network) as pool,
                pool.stream("POST", webhook.url, headers=headers, content=message.body) as response,
            ):
                return "" if 200 <= response.status < 300 else f"the receiver answered {response.status}"
        except AttendexError as error:
            return str(error)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            return f"{type(error).__name__} {error}".rstrip()


def check_url(url: str, *, allow_private: bool) -> None:
    """Raise InputError for an address that webhooks cannot have."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InputError(f"the webhook's address {url[:ERROR_CHARACTERS]!r} is no URL: {error}") from error
    if parsed.scheme != "https" and not (allow_private and parsed.scheme == "http"):
        raise InputError(f"the webhook's address begins with {parsed.scheme!r}; it must be an https address")
    if not parsed.host or parsed.userinfo:
        raise InputError("the webhook's address has no host, or a user name; give https://HOST/PATH")


def new_secret() -> str:
    """Return a new key for signatures."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def message_of(collection: str, query: StandingQuery, webhook: Webhook) -> WebhookMessage:
    """Return the message with the first matches that the receiver lacks.

    Its id names the query, the time when the query was saved, and the numbers of the matches.
    """
    matches = [match for match in query.matches if match.number > webhook.delivered][:MESSAGE_MATCHES]
    made = "".join(filter(str.isdigit, query.created))
    id_ = f"{query.name}.{made}.{matches[0].number}-{matches[-1].number}"
    content = {"type": "standing.matches", "collection": collection, "standing": query.name, "matches": _plain(matches)}
    return WebhookMessage(id_, orjson.dumps(content), matches[-1].number)


def signed(webhook: Webhook, message: WebhookMessage, now: float) -> dict[str, str]:
    """Return the headers that name, date and sign a message."""
    timestamp = str(int(now))
    key = base64.b64decode(webhook.secret.removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, f"{message.id}.{timestamp}.".encode() + message.body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message.id, "webhook-timestamp": timestamp, "webhook-signature": signature}


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
