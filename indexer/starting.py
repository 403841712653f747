"""The encoder of a build, loaded in a thread of its own for whoever has other things to import meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from retrieval.encoder.hub import DEFAULT
from retrieval.encoder.loading import load_encoder
from retrieval.encoder.sentence import SentenceEncoder
from retrieval.errors import NotACollection
from retrieval.index.manifest import read_manifest


def encoder_for(into: Path, name: str, runtime: str, precision: str) -> SentenceEncoder:
    """The encoder `name`; where that is "", the one that made the collection, else the default."""
    if not name:
        try:
            name = read_manifest(into).encoder.name
        except NotACollection:
            name = DEFAULT
    return load_encoder(name, runtime=runtime, precision=precision, bulk=True)


@contextmanager
def encoder_ahead(into: Path, name: str, runtime: str, precision: str) -> Iterator[Future[SentenceEncoder]]:
    """`encoder_for`, begun at once; its errors are raised by the future.

    The thread is waited for at the end of the block: an interpreter that ends under a loading encoder breaks it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="attendex-encoder") as pool:
        yield pool.submit(encoder_for, into, name, runtime, precision)
