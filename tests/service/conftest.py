"""A small real collection, served over real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from indexer.building.pipeline import build_collection
from retrieval.index.collection.sharded_reader import JoinShards, ShardedReader
from service.app import create_app
from service.config.settings import load_settings
from service.http.listening import listen
from service.http.request_limits import Lifecycle
from service.http.server import Server, make_server
from service.runtime.encoder_registry import EncoderRegistry

DOCUMENTS = [
    {"id": "aspirin", "title": "Aspirin", "text": "Aspirin lowers the risk of stroke in adults.", "year": 2003},
    {"id": "wing", "title": "Wings", "text": "A wing in the slipstream of a propeller lifts more.", "year": 1953},
    {"id": "cat/1", "title": "Cats", "text": "Cats sleep for most of the day and hunt at night.", "year": 2020},
    {"id": "größe", "title": "", "text": "Die Größe eines Dokuments zählt nicht.", "year": 1999},
    {"id": "heat", "title": "Heat", "text": "Heat flows from the boundary layer into the cooled plate.", "year": 1961},
]


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    http: httpx.Client
    lifecycle: Lifecycle
    root: Path
    server: Server


Serve = Callable[..., AbstractContextManager[Served]]


def eventually(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds that another thread or process brings about."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come about in time"
        pause.wait(0.02)


def write_documents(path: Path, documents: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in documents), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def encoders() -> EncoderRegistry:
    """Return one loaded encoder for all services of the tests."""
    return EncoderRegistry("auto", "auto")


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the collection `small`; tests must not change it."""
    root = tmp_path_factory.mktemp("collections")
    source = write_documents(tmp_path_factory.mktemp("source") / "documents.jsonl", DOCUMENTS)
    build_collection([source], root / "small")
    return root


@pytest.fixture(scope="session")
def serve(encoders: EncoderRegistry) -> Serve:
    """Return a function that starts services.

    Example: `with serve(folder, **{"limits.k": 5}) as served`.
    """

    @contextmanager
    def serving(root: Path, join: JoinShards = ShardedReader, **flags: Any) -> Iterator[Served]:
        settings = load_settings({"port": 0, "log.requests": False, "drain_seconds": 0} | flags)
        lifecycle = Lifecycle()
        listener = listen(settings)
        server = make_server(create_app(root, settings, lifecycle, encoders, join=join), lifecycle, settings)
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            eventually(lambda: server.started or not thread.is_alive(), 120)
            assert server.started, "the service did not start; the log says why"
            with httpx.Client(base_url=url, timeout=120) as http:
                yield Served(url, http, lifecycle, root, server)
        finally:
            server.should_exit = True
            thread.join(30)

    return serving


@pytest.fixture(scope="session")
def small(collections: Path, serve: Serve) -> Iterator[Served]:
    """Return the service with default settings, for tests that do not change it."""
    with serve(collections) as served:
        yield served
