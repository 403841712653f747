"""Read an iterable ahead of its consumer, in a thread, bounded and in order."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.1  # seconds until the thread notices that the consumer has left


class _EndOfItems:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def read_ahead(items: Iterable[T], depth: int) -> Generator[Iterator[T]]:
    """Iterate over `items` in a thread, at most `depth` items ahead of the consumer.

    The consumer gets an error of `items` after the items that came before the error.  On leaving the context, the
    thread ends after its current item.
    """
    queue: Queue[T | _EndOfItems] = Queue(depth)
    stop = Event()
    thread = Thread(target=_fill, args=(items, queue, stop), name="attendex-reader", daemon=True)
    thread.start()
    try:
        yield _drain(queue)
    finally:
        stop.set()
        thread.join()


def _fill(items: Iterable[T], queue: Queue[T | _EndOfItems], stop: Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(queue, item, stop):
                return
    except BaseException as caught:
        error = caught
    _put(queue, _EndOfItems(error), stop)


def _put(queue: Queue[T | _EndOfItems], item: T | _EndOfItems, stop: Event) -> bool:
    while not stop.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
            return True
        except Full:
            continue
    return False


def _drain(queue: Queue[T | _EndOfItems]) -> Iterator[T]:
    while True:
        item = queue.get()
        if not isinstance(item, _EndOfItems):
            yield item
        elif item.error is None:
            return
        else:
            raise item.error
