"""Dynamic batching: batches, answers, errors, refusals and load shedding."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import BadQuery, Overloaded
from retrieval.util.work_budget import WorkBudget, checkpoint, spend_answer_bytes, spent_answer_bytes
from service.queues.dynamic_batching import SHEDDING_SECONDS, SHEDDING_SHARE, Batcher, BatchLimits, LoadShedding

LIMITS = BatchLimits(items=8, cost=100, workers=1)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """Doubles numbers; waits at a gate, records its batches, refuses negative numbers."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.clock = Clock()
        self.batches: list[list[int]] = []
        self._begun = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self._begun.release()
        self.open.wait(60)
        self.batches.append(list(items))
        return [BadQuery("negative") if item < 0 else item * 2 for item in items]

    async def batch_begins(self) -> None:
        """Wait until a worker has taken one more batch."""
        assert await asyncio.to_thread(self._begun.acquire, timeout=60)


Submitted = list[asyncio.Task[int]]


async def submit(batcher: Batcher[int, int], *numbers: int, admitted: bool = False) -> Submitted:
    """Queue the numbers, and return the tasks that wait for their answers."""
    tasks = [asyncio.create_task(batcher.submit(number, admitted=admitted)) for number in numbers]
    await asyncio.sleep(0)  # each task runs until it waits
    return tasks


def run_with(
    limits: BatchLimits,
    use: Callable[[Batcher[int, int], Gate], Awaitable[None]],
    cost: Callable[[int], int] = abs,
    capacity: int = 1_000,
) -> Gate:
    gate = Gate()

    async def main() -> None:
        batcher = Batcher(gate, limits, LoadShedding(capacity, gate.clock), name="tests", cost=cost)
        await use(batcher, gate)
        batcher.close()

    asyncio.run(main())
    return gate


def batcher_of(
    run: Callable[[Sequence[int]], Iterator[int] | list[int]], limits: BatchLimits = LIMITS
) -> Batcher[int, int]:
    return Batcher(run, limits, LoadShedding(1_000), name="tests")


def test_a_single_request_is_not_delayed() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        gate.open.set()
        assert await batcher.submit(3) == 6

    assert run_with(LIMITS, use).batches == [[3]]


def test_items_that_arrive_meanwhile_are_answered_together() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = await submit(batcher, 1)
        await gate.batch_begins()
        waiting += await submit(batcher, 2, 3, 4, 5, 6)
        assert len(batcher) == 5
        gate.open.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8, 10, 12]

    assert run_with(LIMITS, use).batches == [[1], [2, 3, 4, 5, 6]]


def test_the_next_batch_begins_while_answers_of_the_last_are_made() -> None:
    begun: list[list[int]] = []
    first_began, others_wait, second_began = threading.Event(), threading.Event(), threading.Event()

    def in_two_parts(items: Sequence[int]) -> Iterator[int]:
        begun.append(list(items))
        if len(begun) == 1:
            first_began.set()
            assert others_wait.wait(60)
        else:
            second_began.set()
        return (answered(item) for item in items)

    def answered(item: int) -> int:
        assert second_began.wait(60), "the first batch is answered before the second has begun"
        return item * 2

    async def main() -> None:
        batcher = batcher_of(in_two_parts, BatchLimits(items=8, cost=100, workers=1, finishing=1))
        tasks = await submit(batcher, 1)
        assert await asyncio.to_thread(first_began.wait, 5)
        tasks += await submit(batcher, 2, 3, 4)
        others_wait.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
        batcher.close()

    asyncio.run(main())
    assert begun == [[1], [2, 3, 4]]


def test_an_answer_does_not_wait_for_those_of_its_batch() -> None:
    rest = threading.Event()

    def slowly(items: Sequence[int]) -> Iterator[int]:
        for item in items:
            assert item < 3 or rest.wait(60)
            yield item * 2

    async def main() -> None:
        batcher = batcher_of(slowly)
        first, second, third = await submit(batcher, 1, 2, 3)
        assert (await first, await second) == (2, 4)
        assert not third.done()
        rest.set()
        assert await third == 6
        batcher.close()

    asyncio.run(main())


def test_workers_beyond_the_eager_ones_wait_for_a_batch() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = await submit(batcher, 1)
        await gate.batch_begins()
        waiting += await submit(batcher, 2, 3)
        assert len(batcher) == 2
        waiting += await submit(batcher, 4)
        await gate.batch_begins()
        assert len(batcher) == 0
        gate.open.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8]

    gate = run_with(BatchLimits(items=8, cost=100, workers=2, eager=1, min_batch=3), use)
    assert sorted(gate.batches) == [[1], [2, 3, 4]]


def test_after_a_refusal_only_the_eager_workers_begin() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = await submit(batcher, 1)
        await gate.batch_begins()
        batcher.record_refusal()
        waiting += await submit(batcher, 2, 3, 4)
        assert len(batcher) == 3
        gate.clock.now += SHEDDING_SECONDS
        waiting += await submit(batcher, 5)
        await gate.batch_begins()
        assert len(batcher) == 0
        gate.open.set()
        assert await asyncio.gather(*waiting) == [2, 4, 6, 8, 10]

    limits = BatchLimits(items=8, cost=100, workers=2, eager=1, min_batch=3)
    assert sorted(run_with(limits, use).batches) == [[1], [2, 3, 4, 5]]


def test_a_failure_among_the_answers_reaches_those_that_are_left() -> None:
    def fail(items: Sequence[int]) -> Iterator[int]:
        yield items[0]
        raise OSError("disk")

    async def main() -> None:
        batcher = batcher_of(fail)
        results = await asyncio.gather(*(batcher.submit(n) for n in range(4)), return_exceptions=True)
        assert [type(result) for result in results] == [int, int, OSError, OSError]
        batcher.close()

    asyncio.run(main())


def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = await submit(batcher, 0, 1, 2)
        assert batcher.full
        with pytest.raises(Overloaded, match="the queue of tests is full"):
            await batcher.submit(13)
        gate.open.set()
        await asyncio.gather(*waiting)
        assert await batcher.submit(4) == 8

    run_with(LIMITS, use, capacity=3)


def test_after_a_refusal_the_queue_holds_a_part_of_its_capacity_for_a_second() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        waiting = await submit(batcher, *range(2 * SHEDDING_SHARE))
        with pytest.raises(Overloaded):
            await batcher.submit(13)
        gate.open.set()
        await asyncio.gather(*waiting)
        gate.open.clear()
        waiting = await submit(batcher, 0, 1)
        assert batcher.full
        gate.clock.now += SHEDDING_SECONDS
        assert not batcher.full
        gate.open.set()
        await asyncio.gather(*waiting)

    run_with(LIMITS, use, capacity=2 * SHEDDING_SHARE)


def test_load_shedding_ends_a_second_after_the_last_refusal() -> None:
    clock = Clock()
    shedding = LoadShedding(60, clock)
    assert (shedding.active, shedding.capacity) == (False, 60)
    shedding.record_refusal()
    assert (shedding.active, shedding.capacity) == (True, 10)
    clock.now = 0.9
    shedding.record_refusal()
    clock.now = 1.8
    assert shedding.active
    clock.now = 1.9 + 1e-9
    assert (shedding.active, shedding.capacity) == (False, 60)


def test_a_small_queue_holds_an_item_while_it_sheds_load() -> None:
    shedding = LoadShedding(3, Clock())
    shedding.record_refusal()
    assert shedding.capacity == 1


def test_an_item_whose_caller_has_gone_is_not_computed() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        [first] = await submit(batcher, 1)
        await gate.batch_begins()
        gone, last = await submit(batcher, 2, 3)
        gone.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        assert await asyncio.gather(first, last) == [2, 6]

    assert run_with(LIMITS, use).batches == [[1], [3]]


def test_a_failure_of_the_whole_batch_reaches_each_caller() -> None:
    def fail(_items: Sequence[int]) -> list[int]:
        raise OSError("disk")

    async def main() -> None:
        batcher = batcher_of(fail)
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

    limits = BatchLimits(items, cost, workers=workers, min_batch=min_batch, finishing=finishing)
    gate = run_with(limits, use)
    assert sorted(item for batch in gate.batches for item in batch) == sorted(numbers)
    for batch in gate.batches:
        assert len(batch) <= items
        assert len(batch) == 1 or sum(map(abs, batch)) <= cost


def test_admitted_items_go_on_although_the_queue_is_full() -> None:
    async def use(batcher: Batcher[int, int], gate: Gate) -> None:
        first = await submit(batcher, 1)
        with pytest.raises(Overloaded):
            await batcher.submit(2)
        more = await submit(batcher, 3, admitted=True)
        gate.open.set()
        assert await asyncio.gather(*first, *more) == [2, 6]

    run_with(LIMITS, use, capacity=1)


def test_on_one_core_the_next_batch_begins_while_answers_are_made() -> None:
    begun: list[int] = []
    answer_begins, second_began = threading.Event(), threading.Event()

    def in_two_parts(items: Sequence[int]) -> Iterator[int]:
        begun.extend(items)
        if len(begun) > 1:
            second_began.set()
        return (answered(item) for item in items)

    def answered(item: int) -> int:
        answer_begins.set()
        assert item > 1 or second_began.wait(60), "the second item waits until the first one is answered"
        return item * 2

    async def main() -> None:
        batcher = batcher_of(in_two_parts, BatchLimits(items=8, cost=100, workers=1, finishing=1))
        [first] = await submit(batcher, 1)
        assert await asyncio.to_thread(answer_begins.wait, 5)  # nothing else waits: the worker makes the answer itself
        assert await asyncio.gather(first, batcher.submit(2)) == [2, 4]
        batcher.close()

    asyncio.run(main())


def test_work_that_no_caller_waits_for_ends() -> None:
    begun = threading.Event()

    def run(_items: Sequence[int]) -> list[int]:
        begun.set()
        while True:
            checkpoint()

    async def main() -> None:
        batcher = batcher_of(run)
        tasks = await submit(batcher, 1)
        assert await asyncio.to_thread(begun.wait, 10)
        tasks[0].cancel()
        await asyncio.to_thread(batcher.close)  # returns because the batch ends

    asyncio.run(asyncio.wait_for(main(), 20))


def test_the_second_part_runs_on_the_budget_of_its_caller() -> None:
    def run(items: Sequence[int]) -> Iterator[int]:
        for item in items:
            spend_answer_bytes(item)
            yield item

    async def spent(batcher: Batcher[int, int], number: int) -> int:
        with WorkBudget().applied():
            await batcher.submit(number)
            return spent_answer_bytes()

    async def main() -> list[int]:
        batcher = batcher_of(run)
        found = await asyncio.gather(*(spent(batcher, number) for number in range(5)))
        batcher.close()
        return found

    assert asyncio.run(main()) == list(range(5))


def test_too_few_answers_fail_the_rest_of_a_batch() -> None:
    async def main() -> None:
        batcher = batcher_of(lambda _items: iter([]))
        (task,) = await submit(batcher, 1)
        with pytest.raises(ValueError, match="fewer answers"):
            await task
        batcher.close()

    asyncio.run(main())
