"""Encoders are loaded beside requests, which do not wait for those that they do not ask for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import service.runtime.encoder_registry
from service.runtime.encoder_registry import Encoders


def test_nobody_waits_while_another_encoder_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoders = Encoders("auto", "auto")
    known = encoders.get("all-MiniLM-L6-v2")
    load, loading, go_on = service.runtime.encoder_registry.load_encoder, threading.Event(), threading.Event()

    def slow(_name: str, **settings: Any) -> Any:
        loading.set()
        assert go_on.wait(30)
        return load("all-MiniLM-L6-v2", **settings)

    monkeypatch.setattr(service.runtime.encoder_registry, "load_encoder", slow)
    thread = threading.Thread(target=encoders.get, args=("/models/another",), daemon=True)
    thread.start()
    assert loading.wait(30)
    found: list[object] = []
    asking = threading.Thread(
        target=lambda: found.extend((encoders.get("all-MiniLM-L6-v2"), encoders.names(), encoders.asked("default"))),
        daemon=True,
    )
    asking.start()
    asking.join(5)
    assert found == [known, ["all-MiniLM-L6-v2"], "all-MiniLM-L6-v2"], "it waits for the other one"
    go_on.set()
    thread.join(30)
    assert [Path(name).name for name in encoders.names()] == ["all-MiniLM-L6-v2", "another"]
