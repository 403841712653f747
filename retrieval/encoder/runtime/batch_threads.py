"""Run the batches of one call in several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from retrieval.util.work_budget import stoppable

T = TypeVar("T")
R = TypeVar("R")


def run_batches(run: Callable[[T], R], batches: Iterable[T], threads: int) -> Iterator[R]:
    """Yield the result of each batch, in order.

    After an error, or when the request's work is cancelled, no further batch starts.
    """
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from pool.map(stoppable(run), batches)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
