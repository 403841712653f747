"""The budget of a request: cancelled work ends; answers and filters are bounded.

Work is cancelled when no caller waits for its result.  A loop over many units of work calls `checkpoint` between them,
and a function that makes a large part of an answer calls `spend_answer_bytes` before it does.  All act on the budget
of the running context; without one, as in commands, they do nothing.  A thread that works for a request runs in a copy
of the request's context.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from retrieval.errors import TooLarge, WorkCancelled

NUMBER_BYTES = 12  # of a float32 in an answer, on average

T = TypeVar("T")
R = TypeVar("R")


class WorkBudget:
    """The budget of the work for one request.  Safe to use from several threads."""

    def __init__(
        self,
        answer_bytes: float = math.inf,
        filter_values: float = math.inf,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.answer_bytes = answer_bytes
        self.filter_values = filter_values
        self.is_cancelled = is_cancelled
        self.spent = 0
        self.spent_filter_values = 0
        self._lock = threading.Lock()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the budget to the work in this block, and to contexts copied from it.

        Work that other threads still do when the block ends is cancelled.
        """
        token = _BUDGET.set(self)
        try:
            yield
        finally:
            _BUDGET.reset(token)
            self.is_cancelled = lambda: True

    def checkpoint(self) -> None:
        """Raise WorkCancelled if no caller waits for the work."""
        if self.is_cancelled():
            raise WorkCancelled("no caller waits for the result")

    def check(self, size: int) -> None:
        """Raise TooLarge if `size` further bytes do not fit into the answer."""
        if self.spent + size > self.answer_bytes:
            raise TooLarge(
                f"the answer would have {self.spent + size:,} bytes or more, over the limit of "
                f"{self.answer_bytes:,} (limits.answer_bytes); ask for less at once"
            )

    def spend(self, size: int) -> None:
        """Count `size` bytes of the answer.  Raises TooLarge."""
        with self._lock:
            self.check(size)
            self.spent += size

    def spend_filter_values(self, count: int) -> None:
        """Count `count` values that filters read.  Raises TooLarge."""
        with self._lock:
            total = self.spent_filter_values + count
            if total > self.filter_values:
                raise TooLarge(
                    f"the filters of the request read {total:,} values (documents times conditions) or more, over the "
                    f"limit of {self.filter_values:,} (limits.filter_values); use fewer conditions or searches at once"
                )
            self.spent_filter_values = total


_BUDGET: ContextVar[WorkBudget] = ContextVar("budget", default=WorkBudget())  # noqa: B039 -- unlimited, so unchanged


@contextmanager
def uncounted_answers() -> Iterator[None]:
    """Count no bytes in this block, because its results are not parts of the answer.

    The work of the block is cancelled with that of its caller.
    """
    outer = _BUDGET.get()
    with WorkBudget(is_cancelled=lambda: outer.is_cancelled()).applied():
        yield


def spent_answer_bytes() -> int:
    """Return the bytes that were counted for the answer of the running request."""
    return _BUDGET.get().spent


def checkpoint() -> None:
    """Raise WorkCancelled if no caller waits for the running work."""
    _BUDGET.get().checkpoint()


def stoppable(function: Callable[[T], R]) -> Callable[[T], R]:
    """Return a function for other threads, with a checkpoint of this context."""
    budget = _BUDGET.get()

    def call(argument: T) -> R:
        budget.checkpoint()
        return function(argument)

    return call


def spend_answer_bytes(size: int) -> None:
    """Count `size` bytes of the answer of the running request.  Raises TooLarge."""
    _BUDGET.get().spend(size)


def spend_filter_values(count: int) -> None:
    """Count values that a filter of the running request reads.  Raises TooLarge."""
    _BUDGET.get().spend_filter_values(count)


def check_answer_bytes(size: Callable[[], int]) -> None:
    """Raise TooLarge if an object of `size()` bytes does not fit into the answer."""
    budget = _BUDGET.get()
    if budget.answer_bytes < math.inf:
        budget.check(size())
