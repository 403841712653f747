"""Send signed messages to their receivers, each receiver in its own time.

The headers and the signature follow Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 of id, time and
body.  Connections go to public addresses only, unless the settings allow others.  At most one message is on its way to
a host, so that a slow receiver takes one thread and does not delay the others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import httpcore
import httpx

from indexer.sources.public_network import PublicNetwork
from retrieval.errors import AttendexError, InputError
from retrieval.index.collection.standing_queries import Webhook
from service.observability.logs import LOGGER

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
HOSTS = 8  # that get messages at the same time
HOST_MESSAGES = 100  # that wait for one host in memory; the others are offered again
ATTEMPT_S = 10.0
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 3_600.0
SILENT_PAUSE_S = 60.0  # at most, until a host that did not answer gets a message of another sender
ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A message; one that is sent again has the same id."""

    id: str
    body: bytes
    last: int  # the number that the webhook has delivered with it


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that is due; `record` stores the webhook's state after an attempt."""

    key: tuple[Path, str]  # the collection, and the query or job
    webhook: Webhook
    message: WebhookMessage
    record: Callable[[Webhook], object]


class WebhookSender:
    """Sends messages on a few threads.  Thread-safe."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._threads = ThreadPoolExecutor(HOSTS, "attendex-webhook")
        self._turn = threading.Lock()
        self._queues: dict[str, deque[Delivery]] = {}  # by host, while it has a thread
        self._offered: set[tuple[Path, str]] = set()
        self._not_before: dict[tuple[Path, str] | str, float] = {}  # of keys and hosts, by the monotonic clock
        self._closed = False

    def close(self) -> None:
        """Begin no further attempt."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def offer(self, delivery: Delivery) -> None:
        """Send a message soon, unless it waits already or its time has not come."""
        host = _host(delivery.webhook.url)
        with self._turn:
            now = time.monotonic()
            early = any(now < self._not_before.get(each, 0.0) for each in (delivery.key, host))
            waiting = self._queues.get(host)
            if self._closed or early or delivery.key in self._offered or len(waiting or ()) >= HOST_MESSAGES:
                return
            self._offered.add(delivery.key)
            if waiting is not None:
                waiting.append(delivery)
                return
            self._queues[host] = deque([delivery])
            self._threads.submit(self._serve, host)

    def _serve(self, host: str) -> None:
        """Send the messages of a host, until there are none or it does not answer."""
        answers = True
        try:
            while answers:
                with self._turn:
                    if self._closed or not self._queues[host]:
                        break
                    delivery = self._queues[host].popleft()
                answers = self._deliver(delivery, host)
        finally:
            with self._turn:
                for delivery in self._queues.pop(host):
                    self._offered.discard(delivery.key)

    def _deliver(self, delivery: Delivery, host: str) -> bool:
        """Send a message once and record it; return whether the host has answered."""
        webhook = delivery.webhook
        error, has_answered = self._attempt(webhook, delivery.message)
        now = time.monotonic()
        with self._turn:
            self._not_before.pop(host, None)
            self._not_before.pop(delivery.key, None)
            if error:
                pause = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** min(webhook.failures, 20))
                self._not_before[delivery.key] = now + pause
                if not has_answered:
                    self._not_before[host] = now + min(pause, SILENT_PAUSE_S)
        try:
            if error:
                delivery.record(replace(webhook, failures=webhook.failures + 1, error=error[:ERROR_CHARACTERS]))
            else:
                delivery.record(replace(webhook, delivered=delivery.message.last, failures=0, error=""))
        except Exception as problem:  # the message is sent again
            logging.getLogger(LOGGER).error("a webhook's state cannot be stored: %s", problem)
        finally:
            with self._turn:
                self._offered.discard(delivery.key)
        return has_answered

    def _attempt(self, webhook: Webhook, message: WebhookMessage) -> tuple[str, bool]:
        """Send a message once; return the error, and whether the host can get others."""
        try:
            signature = signed(webhook, message, time.time())
        except ValueError as error:
            return f"the stored key is damaged ({error}); make the webhook anew", True
        network = PublicNetwork(allow_private=self._allow_private)
        network.start_deadline(ATTEMPT_S)
        headers: list[tuple[bytes | str, bytes | str]] = [
            ("Content-Type", "application/json"),
            ("User-Agent", "attendex"),
            *signature.items(),
        ]
        try:
            check_url(webhook.url, allow_private=self._allow_private)
            with (
                httpcore.ConnectionPool(network_backend=network) as pool,
                pool.stream("POST", webhook.url, headers=headers, content=message.body) as response,
            ):
                return "" if 200 <= response.status < 300 else f"the receiver answered {response.status}", True
        except AttendexError as error:
            return str(error), False
        except Exception as error:  # a receiver may answer anything; it must not stop the other messages
            return f"{type(error).__name__} {error}".rstrip(), False


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


def signed(webhook: Webhook, message: WebhookMessage, now: float) -> dict[str, str]:
    """Return the headers that name, date and sign a message."""
    timestamp = str(int(now))
    key = base64.b64decode(webhook.secret.removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, f"{message.id}.{timestamp}.".encode() + message.body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message.id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def _host(url: str) -> str:
    """Return host and port of an address; "" for an invalid one."""
    try:
        return httpx.URL(url).netloc.decode("ascii", "replace")
    except httpx.InvalidURL:
        return ""
