"""The budget of a request: cancelled work ends, and answers have a maximum size."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from retrieval.errors import TooLarge, WorkCancelled
from retrieval.util.work_budget import (
    WorkBudget,
    check_answer_bytes,
    checkpoint,
    spend_answer_bytes,
    spent_answer_bytes,
    stoppable,
)


def test_without_a_budget_nothing_is_limited() -> None:
    checkpoint()
    spend_answer_bytes(10**12)
    check_answer_bytes(lambda: pytest.fail("the size is not needed"))


def test_work_ends_with_the_block_of_its_budget() -> None:
    ended, entered = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        try:
            while True:
                checkpoint()
        except WorkCancelled:
            ended.set()

    with WorkBudget().applied():
        checkpoint()
        thread = threading.Thread(target=copy_context().run, args=(work,))
        thread.start()
        assert entered.wait(60)
    assert ended.wait(60)
    thread.join()
    checkpoint()


def test_inner_work_may_outlive_its_caller() -> None:
    with WorkBudget(is_cancelled=lambda: True).applied():
        with WorkBudget().applied():
            checkpoint()
        with pytest.raises(WorkCancelled):
            checkpoint()


def test_other_threads_start_no_cancelled_work() -> None:
    with ThreadPoolExecutor(1) as pool:
        with WorkBudget().applied():
            double = stoppable(lambda number: 2 * number)
            assert list(pool.map(double, [1, 2])) == [2, 4]
        with pytest.raises(WorkCancelled):
            pool.submit(double, 3).result()


def test_the_parts_of_an_answer_share_its_bytes() -> None:
    with WorkBudget(100).applied():
        spend_answer_bytes(60)
        copy_context().run(spend_answer_bytes, 40)
        assert spent_answer_bytes() == 100
        check_answer_bytes(lambda: 0)
        with pytest.raises(TooLarge, match=r"101 bytes or more, over the limit of 100 \(limits.answer_bytes\)"):
            spend_answer_bytes(1)
        with pytest.raises(TooLarge):
            check_answer_bytes(lambda: 1)
        assert spent_answer_bytes() == 100
