"""How many threads FAISS uses, for the calling thread alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss


@contextmanager
def threads_for(queries: int) -> Iterator[None]:
    """No more threads than queries: FAISS would wake a team for a single one, and let it spin beside other requests."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(min(threads, max(1, queries)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
