"""Work that goes on in other threads while the caller is busy, bounded and in order."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.1  # how soon a reader notices that nobody listens any more


class _End:
    """What a reader puts last: the error that stopped it, or None."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def ahead(items: Iterable[T], depth: int) -> Generator[Iterator[T]]:
    """Iterate over `items` in a thread of their own, at most `depth` of them ahead of the reader.

    An error of `items` is raised in the reader, at its place in the order.  On leaving, the thread ends after the
    item that it is working on.
    """
    queue: Queue[T | _End] = Queue(depth)
    stop = Event()
    thread = Thread(target=_fill, args=(items, queue, stop), name="attendex-reader", daemon=True)
    thread.start()
    try:
        yield _drain(queue)
    finally:
        stop.set()
        thread.join()


def _fill(items: Iterable[T], queue: Queue[T | _End], stop: Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(queue, item, stop):
                return
    except BaseException as caught:
        error = caught
    _put(queue, _End(error), stop)


def _put(queue: Queue[T | _End], item: T | _End, stop: Event) -> bool:
    while not stop.is_set():
        try:
            queue.put(item, timeout=_POLL_S)
            return True
        except Full:
            continue
    return False


def _drain(queue: Queue[T | _End]) -> Iterator[T]:
    while True:
        item = queue.get()
        if not isinstance(item, _End):
            yield item
        elif item.error is None:
            return
        else:
            raise item.error
