"""Load the encoder of a build.

A thread can load it while the caller imports other modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from retrieval.encoder.checkpoint.hub import DEFAULT, is_local
from retrieval.encoder.loading import load_encoder, load_recorded_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import NotACollection
from retrieval.index.storage.sharded_manifest import read_whole_manifest
from retrieval.types import EncoderFingerprint


def load_build_encoder(into: Path, name: str, runtime: str, precision: str) -> SentenceEncoder:
    """Load the encoder `name`.

    An empty name stands for the encoder that made the collection, or the default for a new one.
    """
    recorded = None if name else _recorded(into)
    if recorded is not None:
        return load_recorded_encoder(recorded, runtime=runtime, precision=precision, bulk=True)
    return load_encoder(name or DEFAULT, runtime=runtime, precision=precision, bulk=True)


@contextmanager
def preload_encoder(into: Path, name: str, runtime: str, precision: str) -> Iterator[Future[SentenceEncoder] | None]:
    """Start `load_build_encoder` in a thread, and yield its future.

    The future carries its errors.  Yield None if the encoder is not on this machine: a user who mistyped an option must
    not wait for a download.  The block ends after the thread, because an interpreter that exits while an encoder loads
    breaks that thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="attendex-encoder") as pool:
        recorded = None if name else _recorded(into)
        local = is_local(recorded.name if recorded else name or DEFAULT)
        yield pool.submit(load_build_encoder, into, name, runtime, precision) if local else None


def _recorded(into: Path) -> EncoderFingerprint | None:
    """Return the encoder of a collection; None if there is no collection."""
    try:
        return read_whole_manifest(into).encoder
    except NotACollection:
        return None
