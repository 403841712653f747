"""A collection of a running service, asked over its HTTP API as a Searcher is asked in the process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

import httpx

from retrieval.errors import CollectionNotFound, InputError, Overloaded, RemoteError
from retrieval.types import EncoderFingerprint, Hit, Mode, SearchRequest, SearchResult, Timings

KEY_VARIABLE = "ATTENDEX_API_KEY"
SECONDS = 120.0  # for one batch of searches
MOST_HITS = 5_000  # of one batch; hits carry whole texts


class RemoteCollection:
    """One collection behind a URL.  What it answers carries ids and scores; texts are left where they are."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self._client = client
        self._path = f"/v1/collections/{quote(name, safe='')}"
        details = self._call("GET", self._path)
        known = {each.name for each in fields(EncoderFingerprint)}
        with _expected(client):
            self.collection = str(details["name"])
            self.generation = int(details["generation"])
            self.documents = int(details["documents"])
            self.encoder = EncoderFingerprint(
                **{key: value for key, value in details["fingerprint"].items() if key in known}
            )

    def answer(self, requests: Sequence[SearchRequest]) -> list[SearchResult]:
        """Answers in the order of the requests.  InputError when the collection changed meanwhile."""
        results: list[SearchResult] = []
        for some in _portions(requests):
            body = {"searches": [_wire(request) for request in some]}
            answer = self._call("POST", f"{self._path}/search/batch", body)
            with _expected(self._client):
                results += [_result(each) for each in answer["results"]]
        if any(each.generation != self.generation for each in results):
            raise InputError(f"{self.collection} was written to while it was asked; ask again")
        return results

    def _call(self, method: str, path: str, body: object = None) -> Any:
        try:
            response = self._client.request(method, path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RemoteError(
                f"{self._client.base_url}: {error or type(error).__name__}; is the service up?"
            ) from error
        if response.is_success:
            with _expected(self._client):
                return response.json()
        detail = _detail(response)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise CollectionNotFound(detail)
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise Overloaded(detail)
        raise RemoteError(f"{self._client.base_url}: {response.status_code}: {detail}")


@contextmanager
def open_remote(url: str) -> Iterator[RemoteCollection]:
    """The collection that the last part of the URL names; the key is taken from ATTENDEX_API_KEY."""
    parts = _parts(url)
    base, _, name = parts.path.rstrip("/").rpartition("/")
    if not name or not parts.netloc or parts.query or parts.fragment:
        raise InputError(f"{url!r} names no collection; write http://host:port/COLLECTION and nothing behind it")
    key = os.environ.get(KEY_VARIABLE, "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    root = f"{parts.scheme}://{parts.netloc}{base.removesuffix('/v1/collections')}"
    with httpx.Client(base_url=root, headers=headers, timeout=SECONDS) as client:
        yield RemoteCollection(client, unquote(name))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        httpx.URL(f"{parts.scheme}://{parts.netloc}")
    except (ValueError, httpx.InvalidURL) as error:
        raise RemoteError(f"{url!r} is no address ({error}); write http://host:port/COLLECTION") from error
    return parts


@contextmanager
def _expected(client: httpx.Client) -> Iterator[None]:
    """RemoteError where an answer is read that a service of ours would not give."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteError(
            f"{client.base_url}: the answer is not that of an Attendex service ({type(error).__name__}: {error}); "
            "check the address"
        ) from error


def _portions(requests: Sequence[SearchRequest]) -> Iterator[Sequence[SearchRequest]]:
    """Requests in groups whose answers stay small enough to be sent within the service's deadline."""
    size = max(1, MOST_HITS // max((request.k for request in requests), default=1))
    for start in range(0, len(requests), size):
        yield requests[start : start + size]


def _wire(request: SearchRequest) -> dict[str, object]:
    """The request as JSON; what is left at its default is left to the service."""
    default = SearchRequest("")
    given = {each.name: getattr(request, each.name) for each in fields(SearchRequest)}
    return {name: value for name, value in given.items() if value != getattr(default, name)}


def _result(answer: dict[str, Any]) -> SearchResult:
    hits = tuple(Hit(each["rank"], each["id"], each["score"], "", "", {}, ()) for each in answer["hits"])
    timings = Timings(**{each.name: answer["timings_ms"].get(each.name, 0.0) for each in fields(Timings)})
    return SearchResult(
        answer["query"], answer["collection"], answer["generation"], Mode(answer["mode"]), hits, timings
    )


def _detail(response: httpx.Response) -> str:
    """What the problem document says, or the start of whatever else came."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
