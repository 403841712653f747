"""Fixtures that several packages' tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from retrieval.encoder import loading
from retrieval.encoder.checkpoint.hub import DEFAULT_SHA256
from retrieval.encoder.checkpoint.model_folder import EncoderFolder
from retrieval.encoder.runtime.base import Runtime
from retrieval.types import EncoderFingerprint

settings.register_profile("attendex", deadline=None)  # a test must not fail because the machine is busy
settings.load_profile("attendex")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of BEIR-style test collections beside the checkout; tests that need it are skipped where it is missing."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the test collections, and {folder} is not there")
    return folder


@pytest.fixture(scope="session", autouse=True)
def compile_once() -> Iterator[None]:
    """Compile the default encoder once in a process: a build of a few documents spends most of its time on that."""
    start = loading._start_openvino
    compiled: dict[tuple[str, bool], Runtime] = {}

    def reused(folder: EncoderFolder, fingerprint: EncoderFingerprint, precision: str, *, bulk: bool) -> Runtime:
        if fingerprint.weights_sha256 != DEFAULT_SHA256:
            return start(folder, fingerprint, precision, bulk=bulk)
        if (precision, bulk) not in compiled:
            compiled[precision, bulk] = start(folder, fingerprint, precision, bulk=bulk)
        return compiled[precision, bulk]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_start_openvino", reused)
        yield
