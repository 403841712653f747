"""Requests to a remote encoder: in bounds, repeated after failures, below a rate."""

from __future__ import annotations

import email.utils
import random
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from retrieval.encoder.remote.pace import Pace, wait
from retrieval.encoder.remote.spec import RemoteSpec
from retrieval.errors import EncoderError, EncoderUnavailable
from retrieval.util.visible_text import visible
from retrieval.util.work_budget import checkpoint

if TYPE_CHECKING:
    import httpx

CONNECT_S = 5.0
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 60.0  # between tries: doubled each time
ANSWER_BYTES_PER_TEXT, ANSWER_BYTES = 1 << 17, 1 << 20  # 8,192 dimensions as decimal numbers take the first
SHOWN_CHARACTERS = 200  # of a service's message
DOWN_S = 5.0  # in which queries do not try a service again that did not answer
PASSING = frozenset((408, 425, 429, 500, 502, 503, 504, 529))  # statuses of failures that pass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one call may take, and how often a request is tried."""

    seconds: float
    tries: int


@dataclass(slots=True)
class RemoteUsage:
    """The requests to a service so far."""

    requests: int = 0
    failed_requests: int = 0
    texts: int = 0
    tokens: int = 0  # as the service counts them; 0 if it does not
    cut_texts: int = 0


class PassingFailure(Exception):
    """A failure that may pass; `after_s` is the time that the service asks for."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


@dataclass(slots=True)
class _Outage:
    """The last failure of a service, for callers that must not wait for the next one."""

    until: float = 0.0
    reason: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class RemoteConnection:
    """Connections to one service.  Thread-safe."""

    def __init__(self, spec: RemoteSpec, key: str) -> None:
        import httpx

        self.spec = spec
        self._key = key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=spec.parallel + 4)
        self._client = httpx.Client(headers=headers, limits=limits, follow_redirects=False)
        weakref.finalize(self, self._client.close)
        self._pace = Pace(spec.rpm, spec.tpm)
        self._outage = _Outage()
        self.usage = RemoteUsage()

    def post(self, path: str, body: Mapping[str, Any], texts: int, tokens: int, patience: Patience) -> Any:
        """Return the JSON of an answer.

        Raises EncoderUnavailable if the service gives none in time, EncoderError if it refuses the request.
        """
        content = orjson.dumps(body)
        deadline = time.monotonic() + patience.seconds
        for attempt in range(1, patience.tries + 1):
            self._await_turn(tokens, deadline)
            try:
                answer = self._try(path, content, ANSWER_BYTES + texts * ANSWER_BYTES_PER_TEXT, deadline)
            except PassingFailure as failure:
                self.usage.failed_requests += 1
                pause = failure.after_s or min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
                if failure.after_s:
                    self._pace.pause(min(MAX_PAUSE_S, failure.after_s))
                if attempt == patience.tries or time.monotonic() + pause > deadline:
                    raise self._unavailable(str(failure)) from None
                wait(min(MAX_PAUSE_S, pause))
            else:
                self.usage.requests += 1
                self._outage.until = 0.0
                return answer
        raise AssertionError("patience has at least one try")

    def check_reachable(self) -> None:
        """Raise EncoderUnavailable at once while a recent failure lasts."""
        with self._outage.lock:
            remaining, reason = self._outage.until - time.monotonic(), self._outage.reason
        if remaining > 0:
            raise EncoderUnavailable(f"{reason}; the next try is in {remaining:.0f} s or less")

    def _await_turn(self, tokens: int, deadline: float) -> None:
        seconds = self._pace.reserve(tokens, deadline - time.monotonic())
        if seconds is None:
            raise EncoderUnavailable(f"{self.spec.url}: its limit of requests or tokens a minute is used up; wait")
        if seconds:
            wait(seconds)

    def _unavailable(self, reason: str) -> EncoderUnavailable:
        reason = f"the remote encoder {self.spec.url} gives no vectors ({reason}); lexical search needs none"
        with self._outage.lock:
            self._outage.until, self._outage.reason = time.monotonic() + DOWN_S, reason
        return EncoderUnavailable(reason)

    def _try(self, path: str, content: bytes, max_bytes: int, deadline: float) -> Any:
        import httpx

        seconds = max(0.05, min(self.spec.timeout, deadline - time.monotonic()))
        until = time.monotonic() + seconds
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_S, seconds))
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        url = self.spec.url + path
        try:
            with self._client.stream("POST", url, content=content, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    raise self._refusal(response, until)
                found = orjson.loads(_read(response, max_bytes, until))
        except httpx.HTTPError as error:
            raise PassingFailure(visible(str(error) or type(error).__name__)[:SHOWN_CHARACTERS]) from None
        except httpx.InvalidURL as error:
            raise EncoderError(f"{url!r} is not an address: {error}") from None
        except orjson.JSONDecodeError:
            raise EncoderError(f"{url}: the answer is not JSON; check the URL") from None
        return found

    def _refusal(self, response: httpx.Response, until: float) -> Exception:
        """Return the exception for an answer without success."""
        status = response.status_code
        where = f"{self.spec.url}: the answer is {status}"
        if status in (401, 403):
            return EncoderError(f"{where}: the key is missing or wrong; set ATTENDEX_REMOTE__KEY")
        if response.is_redirect:
            return EncoderError(f"{where}, a redirect, which would take the key elsewhere; give the final URL")
        said = visible(_message(_read(response, ANSWER_BYTES, until, cut=True)))
        said = (said.replace(self._key, "…") if self._key else said)[:SHOWN_CHARACTERS]
        if status in PASSING and "insufficient_quota" not in said:
            return PassingFailure(f"status {status} {said}".strip(), _seconds(response.headers.get("Retry-After", "")))
        if status == 413:
            return RequestTooLarge(f"{where}: {said}; give a smaller &batch=")
        return EncoderError(f"{where}: {said}")


class RequestTooLarge(EncoderError):
    """A service refuses a request for its size."""


def _read(response: httpx.Response, max_bytes: int, until: float, *, cut: bool = False) -> bytes:
    """Read a body within bounds.  A body that drips in must come in time as a whole."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        checkpoint()
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            if cut:
                break
            raise EncoderError(f"the answer of {response.url.host} has more than {max_bytes:,} bytes; check the URL")
        if time.monotonic() > until:
            raise PassingFailure("the answer came too slowly")
    return b"".join(parts)[:max_bytes]


def _message(body: bytes) -> str:
    """Return the message of an error in any of the three dialects."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body[:SHOWN_CHARACTERS].decode(errors="replace")
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, dict):
        parts = (error.get(name) for name in ("code", "message", "detail"))
        return " ".join(part for part in parts if isinstance(part, str))
    return str(error)


def _seconds(retry_after: str) -> float:
    """Return the seconds of Retry-After, which may be a date; 0 if it is neither."""
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(min(int(retry_after.strip()[:9]), 86_400))
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
