"""Fixtures that several packages' tests share."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest
import typer.testing
from hypothesis import settings

from retrieval.encoder import loading
from retrieval.encoder.checkpoint import fingerprint
from retrieval.encoder.checkpoint.hub import DEFAULT, DEFAULT_SHA256, locate
from retrieval.encoder.checkpoint.model_folder import EncoderFolder, open_folder, weight_files
from retrieval.encoder.checkpoint.tokenizer import TextTokenizer
from retrieval.encoder.runtime.base import Runtime
from retrieval.encoder.runtime.token_batches import TokenBatch
from retrieval.types import EncoderFingerprint, Vectors

settings.register_profile("attendex", deadline=None)  # a test must not fail because the machine is busy
settings.load_profile("attendex")

REPOSITORY = Path(__file__).resolve().parent.parent
LONG_FILES = (  # few tests, and each takes seconds
    "test_offline.py",
    "test_crash.py",
    "test_operations.py",
    "test_jobs.py",
    "test_power_cut.py",
    "test_processes.py",
)


def pytest_configure() -> None:
    """Let commands be interrupted, and save CPU time in all processes of the tests."""
    # A shell starts background jobs with SIGINT ignored, which would pass on to the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles Attendex and rewrites the tests again
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else threads of torch and faiss spin, for other tests to wait
    # In the workers of pytest-xdist and in commands; OpenBLAS has threads that always spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()  # while the test files are imported


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, so that no process of the tests ends long after the others."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.name not in LONG_FILES, -tests[item.path]))


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


MAX_REMEMBERED = 5_000  # batches


class BatchMemory:
    """Vectors of batches that the default encoder ran before.

    Each collection that a test builds or opens has the same canary texts, and most have texts of other tests.
    """

    def __init__(self) -> None:
        self.on = True  # off where the encoder is under test
        self._known: dict[tuple[object, ...], Vectors] = {}

    def remembering(self, run: Callable[..., Vectors]) -> Callable[..., Vectors]:
        """Return `run` of a runtime, with this memory."""

        def remembered(batch: TokenBatch, *, save_cpu: bool = False) -> Vectors:
            key = (run, batch.ids.tobytes(), batch.lengths, batch.skip, save_cpu)
            vectors = self._known.get(key) if self.on else None
            if vectors is None:
                if len(self._known) >= MAX_REMEMBERED:
                    self._known.clear()
                self._known[key] = vectors = run(batch, save_cpu=save_cpu)
            return vectors.copy()

        return remembered


@pytest.fixture(scope="session")
def batch_memory() -> BatchMemory:
    return BatchMemory()


@pytest.fixture(scope="session", autouse=True)
def load_once(batch_memory: BatchMemory) -> Iterator[None]:
    """Load in a process once: the default encoder, the command line, and the certificates of TLS."""
    start, digest = loading._start_openvino, fingerprint._digest_file
    compiled: dict[tuple[str, bool], Runtime] = {}
    weights, digest_once = weight_files(locate(DEFAULT)), cache(digest)
    default = open_folder(locate(DEFAULT))
    default_tokenizer = cache(lambda: TextTokenizer(default))

    def reused(folder: EncoderFolder, identity: EncoderFingerprint, precision: str, *, bulk: bool) -> Runtime:
        if identity.weights_sha256 != DEFAULT_SHA256:
            return start(folder, identity, precision, bulk=bulk)
        if (precision, bulk) not in compiled:
            compiled[precision, bulk] = started = start(folder, identity, precision, bulk=bulk)
            started.run = batch_memory.remembering(started.run)  # type: ignore[method-assign]
        return compiled[precision, bulk]

    def tokenizer_of(folder: EncoderFolder) -> TextTokenizer:
        return default_tokenizer() if folder.path == default.path else TextTokenizer(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_start_openvino", reused)
        patch.setattr(loading, "TextTokenizer", tokenizer_of)
        patch.setattr(fingerprint, "_digest_file", lambda path: (digest_once if path in weights else digest)(path))
        # A command line makes the whole tree of commands for each call, which takes longer than most commands do.
        patch.setattr(typer.testing, "_get_command", cache(typer.testing._get_command))  # type: ignore[attr-defined]
        # Each client reads the certificates of all authorities, which takes longer than ten requests do.
        patch.setattr(httpx._transports.default, "create_ssl_context", cache(httpx.create_ssl_context))
        yield
