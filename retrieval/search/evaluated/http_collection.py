"""A collection of a running service, searched over its HTTP API."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from retrieval.errors import CollectionNotFound, InputError, Overloaded, RemoteError
from retrieval.results import Hit, SearchResult, Timings
from retrieval.search.request_limits import depth_of
from retrieval.types import EncoderFingerprint, Mode, SearchRequest

KEY_VARIABLE = "ATTENDEX_API_KEY"
TIMEOUT_S = 120.0  # of one batch of searches
MAX_BATCH_HITS = 5_000  # hits carry whole texts
MAX_BATCH_RERANKED = 200  # documents: the default of limits.reranked


class RemoteCollection:
    """One collection behind a URL.  Its hits have ids and scores, but no texts."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self._client = client
        self._path = f"/v1/collections/{quote(name, safe='')}"
        details = self._call("GET", self._path)
        known = {each.name for each in fields(EncoderFingerprint)}
        with _readable(client):
            self.collection = str(details["name"])
            self.generation = int(details["generation"])
            self.documents = int(details["documents"])
            fingerprint = {key: value for key, value in details["fingerprint"].items() if key in known}
            self.encoder = EncoderFingerprint(**fingerprint)

    def answer(self, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """Answer in order.  Raises InputError if the collection changes meanwhile."""
        results: list[SearchResult] = []
        # so few searches that the answer to a batch is ready within the service's deadline
        size = max(1, MAX_BATCH_HITS // max((request.k for request in requests), default=1))
        if reranked := max((depth_of(request.rerank) for request in requests), default=0):
            size = max(1, min(size, MAX_BATCH_RERANKED // reranked))
        for start in range(0, len(requests), size):
            body = {"searches": [_request_json(request) for request in requests[start : start + size]]}
            answer = self._call("POST", f"{self._path}/search/batch", body)
            with _readable(self._client):
                results += [_result(result) for result in answer["results"]]
        if any(result.generation != self.generation for result in results):
            raise InputError(f"{self.collection} was changed during the run; run the queries again")
        return results

    def _call(self, method: str, path: str, body: object = None) -> Any:
        try:
            response = self._client.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise RemoteError(f"{self._client.base_url}: {reason}; is the service up?") from error
        if response.is_success:
            with _readable(self._client):
                return response.json()
        detail = _detail(response)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise CollectionNotFound(detail)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise Overloaded(detail)
        raise RemoteError(f"{self._client.base_url}: {response.status_code}: {detail}")


@contextmanager
def open_remote(url: str) -> Iterator[RemoteCollection]:
    """Open the collection at a URL, with the key of ATTENDEX_API_KEY."""
    try:
        parts = urlsplit(url)
        httpx.URL(f"{parts.scheme}://{parts.netloc}")
    except (ValueError, httpx.InvalidURL) as error:
        raise RemoteError(f"{url!r} is not an address ({error}); write http://host:port/COLLECTION") from error
    base, _, name = parts.path.rstrip("/").rpartition("/")
    if not name or not parts.netloc or parts.query or parts.fragment:
        raise InputError(f"{url!r} names no collection; write http://host:port/COLLECTION without anything after it")
    key = os.environ.get(KEY_VARIABLE, "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    root = f"{parts.scheme}://{parts.netloc}{base.removesuffix('/v1/collections')}"
    with httpx.Client(base_url=root, headers=headers, timeout=TIMEOUT_S) as client:
        yield RemoteCollection(client, unquote(name))


@contextmanager
def _readable(client: httpx.Client) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteError(
            f"{client.base_url}: the answer is not one of an Attendex service ({type(error).__name__}: {error}); "
            "check the address"
        ) from error


def _request_json(request: SearchRequest) -> dict[str, object]:
    default = SearchRequest("")
    given = {each.name: getattr(request, each.name) for each in fields(SearchRequest)}
    changed = {name: value for name, value in given.items() if value != getattr(default, name)}
    if request.bm25 is not None:
        changed["bm25"] = request.bm25.given
    if request.boosts:
        changed["boosts"] = [each.options for each in request.boosts]
    return changed | ({"rerank": asdict(request.rerank)} if request.rerank else {})


def _result(answer: dict[str, Any]) -> SearchResult:
    hits = tuple(Hit(each["rank"], each["id"], each["score"], "", "", {}, ()) for each in answer["hits"])
    timings = Timings(**{each.name: answer["timings_ms"].get(each.name, 0.0) for each in fields(Timings)})
    return SearchResult(
        answer["query"], answer["collection"], answer["generation"], Mode(answer["mode"]), hits, timings
    )


def _detail(response: httpx.Response) -> str:
    """Return the detail of the problem document, or the start of another answer."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
