"""Encoders are loaded beside requests for other encoders; vectors are cached."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import service.runtime.encoder_registry
from retrieval.errors import EncoderError, NotFound
from service.runtime.encoder_registry import CachingEncoder, EncoderRegistry
from tests.service.conftest import eventually


def test_nobody_waits_while_another_encoder_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    another = tmp_path / "another"
    another.mkdir()
    encoders = EncoderRegistry("auto", "auto")
    known = encoders.get("all-MiniLM-L6-v2")
    load, loading, go_on = service.runtime.encoder_registry.load_encoder, threading.Event(), threading.Event()

    def slow(_name: str, **settings: Any) -> Any:
        loading.set()
        assert go_on.wait(30)
        return load("all-MiniLM-L6-v2", **settings)

    monkeypatch.setattr(service.runtime.encoder_registry, "load_encoder", slow)
    thread = threading.Thread(target=encoders.get, args=(str(another),), daemon=True)
    thread.start()
    assert loading.wait(30)
    found: list[object] = []
    asking = threading.Thread(
        target=lambda: found.extend((encoders.get("all-MiniLM-L6-v2"), encoders.names(), encoders.resolve("default"))),
        daemon=True,
    )
    asking.start()
    asking.join(5)
    assert found == [known, ["all-MiniLM-L6-v2"], "all-MiniLM-L6-v2"], "it waits for the other one"
    go_on.set()
    thread.join(30)
    assert [Path(name).name for name in encoders.names()] == ["all-MiniLM-L6-v2", "another"]


def test_a_silent_hub_delays_no_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    encoders, answers = EncoderRegistry("auto", "auto"), threading.Event()

    def silent(_name: str) -> Path:
        assert answers.wait(60)  # a caller that waited for the hub would wait so long, and then fail
        raise EncoderError("the hub does not answer")

    monkeypatch.setattr(service.runtime.encoder_registry, "locate", silent)
    for _ in range(3):
        with pytest.raises(EncoderError, match="'someone/else' is not on this machine and is being fetched"):
            encoders.get("someone/else")
    assert encoders.get("all-MiniLM-L6-v2")
    answers.set()
    eventually(lambda: "does not answer" in reason(encoders))


def reason(encoders: EncoderRegistry) -> str:
    with pytest.raises(EncoderError) as caught:
        encoders.get("someone/else")
    return str(caught.value)


@pytest.fixture(scope="module")
def plain(encoders: EncoderRegistry) -> CachingEncoder:
    return CachingEncoder(encoders.get("all-MiniLM-L6-v2"), capacity=0)


def test_vectors_are_those_of_the_encoder(plain: CachingEncoder) -> None:
    remembering = CachingEncoder(plain, capacity=8)
    texts = ["cats", "a longer question about heat transfer", "cats", "größer"]
    for _ in range(2):
        np.testing.assert_allclose(remembering.encode_queries(texts), plain.encode_queries(texts), atol=5e-3)
    assert remembering.encode_queries([]).shape == (0, 384)


def test_threads_and_batches_get_bit_equal_vectors(plain: CachingEncoder) -> None:
    remembering = CachingEncoder(plain, capacity=64)
    batches = [["cats"] + [f"noise {number} " * (number % 5) + "x" for number in range(size)] for size in range(8)] * 3
    with ThreadPoolExecutor(4) as threads:
        found = [vectors[0].tobytes() for vectors in threads.map(remembering.encode_queries, batches)]
    assert len(set(found)) == 1


def test_only_the_last_queries_are_kept(plain: CachingEncoder) -> None:
    remembering = CachingEncoder(plain, capacity=2)
    for text in ("one", "two", "one", "three" * 10_000):
        remembering.encode_queries([text])
    assert list(remembering._vectors) == [hashlib.sha256(text.encode()).digest() for text in ("one", "three" * 10_000)]
    assert remembering.encode_queries(["a", "b", "c", "d"]).shape == (4, 384)


def test_a_preset_is_asked_for_with_and_without_its_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTENDEX_CACHE", str(tmp_path))
    (tmp_path / "presets" / "english@hub").mkdir(parents=True)
    encoders = EncoderRegistry("auto", "auto", preferred="english")
    assert encoders.names() == ["english@hub"]
    assert [encoders.resolve(name) for name in ("english", "english@hub", "default")] == ["english@hub"] * 3
    with pytest.raises(NotFound, match="no model 'multilingual' here"):
        encoders.resolve("multilingual")
    assert EncoderRegistry("auto", "auto", preferred="english-small").names() == ["all-MiniLM-L6-v2"]
