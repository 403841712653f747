"""Batches form under load, answers come as they are made, errors stay apart, and a full queue refuses at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import BadQuery, Overloaded
from service.queues.dynamic_batching import CALM_S, SHEDDING_SHARE, Batcher, BatchLimits

LIMITS = BatchLimits(items=8, cost=100, capacity=1_000, workers=1)


class Gate:
    """Doubles numbers; waits at a gate, records its batches, refuses negative numbers."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.open.wait(5)
        self.batches.append(list(items))
        return [BadQuery("negative") if item < 0 else item * 2 for item in items]


def run_with(
    limits: BatchLimits, use: Callable[[Batcher[int, int], Gate], Awaitable[None]], cost: Callable[[int], int] = abs
) -> Gate:
    gate = Gate()

    async def main() -> None:
        batcher = Batcher(gate, limits, name="tests", cost=cost)
        await use(batcher, gate)
        batcher.close()

    asyncio.run(main())
    return gate


def test_one_caller_alone_waits_for_nobody() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        gate.open.set()
        started = time.perf_counter()
        assert await batcher.submit(3) == 6
        assert time.perf_counter() - started < 0.5

    assert run_with(LIMITS, use).batches == [[3]]


def test_what_arrives_meanwhile_is_answered_together() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = [asyncio.create_task(batcher.submit(number)) for number in range(1, 7)]
        await asyncio.sleep(0.01)
        assert len(batcher) == 5
        gate.open.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8, 10, 12]

    assert run_with(LIMITS, use).batches == [[1], [2, 3, 4, 5, 6]]


def test_the_next_batch_begins_while_answers_of_the_last_are_made() -> None:
    begun: list[list[int]] = []
    second_began = threading.Event()

    def in_two_parts(items: Sequence[int]) -> Iterator[int]:
        begun.append(list(items))
        if len(begun) == 1:
            time.sleep(0.05)  # the others arrive
        else:
            second_began.set()
        return (answered(item) for item in items)

    def answered(item: int) -> int:
        assert second_began.wait(5), "the first batch is answered before the second has begun"
        return item * 2

    async def main() -> None:
        limits = BatchLimits(items=8, cost=100, capacity=1_000, workers=1, finishing=1)
        batcher: Batcher[int, int] = Batcher(in_two_parts, limits, name="tests")
        assert await asyncio.gather(*(batcher.submit(n) for n in range(1, 5))) == [2, 4, 6, 8]
        batcher.close()

    asyncio.run(main())
    assert begun == [[1], [2, 3, 4]]


def test_an_answer_does_not_wait_for_those_of_its_batch() -> None:
    rest = threading.Event()

    def slowly(items: Sequence[int]) -> Iterator[int]:
        for item in items:
            assert item < 3 or rest.wait(5)
            yield item * 2

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(slowly, LIMITS, name="tests")
        first, second, third = (asyncio.create_task(batcher.submit(number)) for number in (1, 2, 3))
        assert (await first, await second) == (2, 4)
        assert not third.done()
        rest.set()
        assert await third == 6
        batcher.close()

    asyncio.run(main())


def test_workers_beyond_the_eager_ones_wait_for_company() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = [asyncio.create_task(batcher.submit(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0.05)
        assert len(batcher) == 2
        waiting.append(asyncio.create_task(batcher.submit(4)))
        await asyncio.sleep(0.05)
        assert len(batcher) == 0
        gate.open.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8]

    gate = run_with(BatchLimits(items=8, cost=100, capacity=1_000, workers=2, eager=1, min_batch=3), use)
    assert sorted(gate.batches) == [[1], [2, 3, 4]]


def test_after_a_refusal_only_the_eager_workers_begin() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = [asyncio.create_task(batcher.submit(number)) for number in (1, 2)]
        await asyncio.sleep(0.02)
        batcher.refused()
        waiting += [asyncio.create_task(batcher.submit(number)) for number in (3, 4)]
        await asyncio.sleep(0.05)
        assert len(batcher) == 3
        await asyncio.sleep(CALM_S)
        waiting.append(asyncio.create_task(batcher.submit(5)))
        await asyncio.sleep(0.05)
        assert len(batcher) == 0
        gate.open.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8, 10]

    limits = BatchLimits(items=8, cost=100, capacity=1_000, workers=2, eager=1, min_batch=3)
    assert sorted(run_with(limits, use).batches) == [[1], [2, 3, 4, 5]]


def test_a_failure_among_the_answers_reaches_those_that_are_left() -> None:
    def fail(items: Sequence[int]) -> Iterator[int]:
        yield items[0]
        raise OSError("disk")

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(fail, LIMITS, name="tests")
        results = await asyncio.gather(*(batcher.submit(n) for n in range(4)), return_exceptions=True)
        assert [type(result) for result in results] == [int, int, OSError, OSError]
        batcher.close()

    asyncio.run(main())


def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = [asyncio.create_task(batcher.submit(number)) for number in range(3)]
        await asyncio.sleep(0.01)
        assert batcher.full
        started = time.perf_counter()
        with pytest.raises(Overloaded, match="the queue of tests is full"):
            await batcher.submit(13)
        assert time.perf_counter() - started < 0.05
        gate.open.set()
        await asyncio.gather(*waiting)
        assert await batcher.submit(4) == 8

    run_with(BatchLimits(items=8, cost=100, capacity=3, workers=1), use)


def test_after_a_refusal_there_is_a_part_of_the_room_for_a_second() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = [asyncio.create_task(batcher.submit(number)) for number in range(2 * SHEDDING_SHARE)]
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await batcher.submit(13)
        gate.open.set()
        await asyncio.gather(*waiting)
        gate.open.clear()
        waiting = [asyncio.create_task(batcher.submit(number)) for number in range(2)]
        await asyncio.sleep(0.01)
        assert batcher.full
        await asyncio.sleep(CALM_S)
        assert not batcher.full
        gate.open.set()
        await asyncio.gather(*waiting)

    run_with(BatchLimits(items=8, cost=100, capacity=2 * SHEDDING_SHARE, workers=1), use)


def test_an_item_whose_caller_has_gone_is_not_computed() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        first, gone, last = (asyncio.create_task(batcher.submit(number)) for number in (1, 2, 3))
        await asyncio.sleep(0.01)
        gone.cancel()
        gate.open.set()
        assert await asyncio.gather(first, last) == [2, 6]

    assert run_with(LIMITS, use).batches == [[1], [3]]


def test_a_failure_of_the_whole_batch_reaches_each_caller() -> None:
    def fail(_items: Sequence[int]) -> list[int]:
        raise OSError("disk")

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(fail, LIMITS, name="tests")
        results = await asyncio.gather(*(batcher.submit(n) for n in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [OSError] * 3
        batcher.close()

    asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(-30, 30), max_size=40),
    items=st.integers(1, 8),
    cost=st.integers(1, 60),
    workers=st.integers(1, 3),
    min_batch=st.integers(1, 4),
    finishing=st.integers(0, 2),
)
def test_every_item_gets_its_own_answer_within_the_limits(
    numbers: list[int], items: int, cost: int, workers: int, min_batch: int, finishing: int
) -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        gate.open.set()
        results = await asyncio.gather(*(batcher.submit(n) for n in numbers), return_exceptions=True)
        for number, result in zip(numbers, results, strict=True):
            assert isinstance(result, BadQuery) if number < 0 else result == number * 2

    limits = BatchLimits(items, cost, capacity=1_000, workers=workers, min_batch=min_batch, finishing=finishing)
    gate = run_with(limits, use)
    assert sorted(item for batch in gate.batches for item in batch) == sorted(numbers)
    for batch in gate.batches:
        assert len(batch) <= items
        assert len(batch) == 1 or sum(map(abs, batch)) <= cost


def test_what_was_let_in_goes_on_although_there_is_no_room() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await batcher.submit(2)
        more = asyncio.create_task(batcher.submit(3, admitted=True))
        await asyncio.sleep(0.01)
        gate.open.set()
        assert await asyncio.gather(first, more) == [2, 6]

    run_with(BatchLimits(items=8, cost=100, capacity=1, workers=1), use)


def test_on_one_core_the_next_batch_begins_while_answers_are_made() -> None:
    begun: list[int] = []
    second_began = threading.Event()

    def in_two_parts(items: Sequence[int]) -> Iterator[int]:
        begun.extend(items)
        if len(begun) > 1:
            second_began.set()
        return (answered(item) for item in items)

    def answered(item: int) -> int:
        assert item > 1 or second_began.wait(5), "the second item waits until the first one is answered"
        return item * 2

    async def main() -> None:
        limits = BatchLimits(items=8, cost=100, capacity=1_000, workers=1, finishing=1)
        batcher: Batcher[int, int] = Batcher(in_two_parts, limits, name="tests")
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.05)  # nothing else waits, so that the worker makes the answer itself
        assert await asyncio.gather(first, batcher.submit(2)) == [2, 4]
        batcher.close()

    asyncio.run(main())
