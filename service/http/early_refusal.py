"""Refusals at the door: while the queue of searches is full, more of them are answered before anything is made of them.

To refuse a search in the ordinary way takes an eighth of a millisecond of the interpreter, and a flood of those would
leave nothing for the searches that have been accepted.  Here it takes five microseconds.  Whatever is not plainly a
search by POST that needs the encoder, from somebody who may search, goes the ordinary way; so does everything while
there is room.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from retrieval.errors import Overloaded
from service.config.api_keys import KeyRing
from service.http.problems import NATIVE, problem_of
from service.http.request_log import SECURITY_HEADERS, new_request_id
from service.observability.metrics import Metrics

ROUTE = "/v1/collections/{name}/search"
_SEARCH = re.compile(rb"POST (/v1/collections/[\w.~%-]+/search) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,5})\r\n", re.IGNORECASE)
_SPECIAL = re.compile(
    rb"\r\n(?:transfer-encoding|expect|upgrade|origin|x-request-id|traceparent|connection:(?! *keep-alive))",
    re.IGNORECASE,
)
_KEY = re.compile(rb"\r\n(?:authorization: *bearer|x-api-key:) *(\S+)", re.IGNORECASE)
_WITHOUT_ENCODER = b"lexical"
_PATH, _ID = "/path", "0" * 16  # places in the answer


@dataclass(frozen=True, slots=True)
class Knock:
    """A search that has begun to arrive: its path, and the bytes of its head and of all of it."""

    path: bytes
    head: int
    size: int


class Door:
    """Knows when it is `closed`, and what to say then.  Refusals are counted, not logged."""

    def __init__(
        self, closed: Callable[[], bool], refused: Callable[[], None], keys: KeyRing, metrics: Metrics
    ) -> None:
        self.closed = closed
        self._keys = keys
        self._refused = refused
        self._metrics = metrics
        full = Overloaded("the queue of search is full; try again in a second")
        answer = NATIVE.respond(problem_of(full), _PATH, _ID)
        self._status = b"HTTP/1.1 %d Too Many Requests\r\n" % answer.status_code
        headers = {**SECURITY_HEADERS, **answer.headers}
        del headers["content-length"]
        self._head = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items()).encode()
        self._body = bytes(answer.body)

    def knock(self, data: bytes) -> Knock | None:
        """The search that the bytes begin with; None for anything else."""
        search = _SEARCH.match(data)
        end = data.find(b"\r\n\r\n") + 4
        if search is None or end < 4:
            return None
        head = data[:end]
        length = _LENGTH.search(head)
        if length is None or _SPECIAL.search(head) or not self._may_search(head):
            return None
        return Knock(search[1], end, end + int(length[1]))

    def _may_search(self, head: bytes) -> bool:
        """Whether the caller has a key, if one is asked for: a flood of strangers is not to leave less room."""
        key = _KEY.search(head)
        return self._keys.open or (key is not None and self._keys.caller(key[1].decode("latin-1")) is not None)

    def answer(self, data: bytes, knock: Knock, headers: bytes) -> bytes | None:
        """The refusal of a search that is all there, with more `headers` (lines); None where it may still have room."""
        if len(data) != knock.size or _WITHOUT_ENCODER in data[knock.head :]:
            return None
        self._refused()
        self._metrics.request(ROUTE, "POST", 429, 0.0)
        request_id = new_request_id().encode()
        body = self._body.replace(_PATH.encode(), knock.path).replace(_ID.encode(), request_id)
        own = b"x-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (request_id, len(body))
        return b"".join((self._status, headers, self._head, own, body))
