"""Fixtures that several packages' tests share."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.testing
from hypothesis import settings

from retrieval.encoder import loading
from retrieval.encoder.checkpoint import fingerprint
from retrieval.encoder.checkpoint.hub import DEFAULT, DEFAULT_SHA256, locate
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, weight_files
from retrieval.encoder.runtime.base import Runtime
from retrieval.types import EncoderFingerprint

settings.register_profile("attendex", deadline=None)  # a test must not fail because the machine is busy
settings.load_profile("attendex")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """Let commands be interrupted, and save CPU time in all processes of the tests."""
    # A shell starts background jobs with SIGINT ignored, which would pass on to the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles Attendex and rewrites the tests again
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else threads of torch and faiss spin, for other tests to wait
    gc.disable()  # while the test files are imported


def pytest_collection_finish() -> None:
    """Exempt the modules and tests from garbage collection: there are millions of objects, and all stay."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of BEIR-style test collections beside the checkout; tests that need it are skipped where it is missing."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the test collections, and {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def copy_of_shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that copies a folder, which one of the processes of the tests makes for all."""

    def copy(name: str, make: Callable[[Path], object]) -> Path:
        own = tmp_path_factory.getbasetemp()
        run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
        with (run / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (run / name).exists():
                make(run / f"{name}.unfinished")
                (run / f"{name}.unfinished").rename(run / name)
        return shutil.copytree(run / name, tmp_path_factory.mktemp("copy") / name)

    return copy


@pytest.fixture(scope="session", autouse=True)
def load_once() -> Iterator[None]:
    """Load in a process once: the default encoder, since a small build does little else, and the command line."""
    start, digest = loading._start_openvino, fingerprint._digest_file
    compiled: dict[tuple[str, bool], Runtime] = {}
    weights, digest_once = weight_files(locate(DEFAULT)), cache(digest)

    def reused(folder: EncoderFolder, identity: EncoderFingerprint, precision: str, *, bulk: bool) -> Runtime:
        if identity.weights_sha256 != DEFAULT_SHA256:
            return start(folder, identity, precision, bulk=bulk)
        if (precision, bulk) not in compiled:
            compiled[precision, bulk] = start(folder, identity, precision, bulk=bulk)
        return compiled[precision, bulk]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_start_openvino", reused)
        patch.setattr(fingerprint, "_digest_file", lambda path: (digest_once if path in weights else digest)(path))
        # A command line makes the whole tree of commands for each call, which takes longer than most commands do.
        patch.setattr(typer.testing, "_get_command", cache(typer.testing._get_command))  # type: ignore[attr-defined]
        yield
