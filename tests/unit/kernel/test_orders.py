from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.kernel import Kernel


def run(simulation: Kernel, main: Callable[[], Awaitable[Any]]) -> Any:
    """Return what a coroutine gives in a simulated process of its own."""
    found: list[Any] = []
    simulation.loop.spawn(lambda: found.append(asyncio.run(main())), "f", simulation.new_process("p"))  # type: ignore[arg-type]
    simulation.run_until(simulation.loop.now_us + 10**8)
    return found[0]


def twice(main: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What a coroutine gives in two simulations, with other addresses in the second."""
    found = []
    for junk in (1, 10_000):
        kept = [object() for _ in range(junk)]
        with kernel() as simulation:
            found.append(run(simulation, main))
        del kept
    return found


async def named(name: str, log: list[str]) -> str:
    log.append(name)
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        log.append(f"cancelled {name}")
        raise
    return name


NAMES = [f"n{index}" for index in range(20)]


def test_as_completed_begins_in_the_order_in_which_it_was_given_coroutines() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        for finished in asyncio.as_completed([named(name, log) for name in NAMES]):
            await finished
        return log

    assert twice(main) == [NAMES, NAMES]


def test_sets_of_tasks_and_futures_have_one_order() -> None:
    async def main() -> list[Any]:
        log: list[str] = []
        loop = asyncio.get_running_loop()
        tasks = {asyncio.create_task(named(name, log)) for name in NAMES}
        futures = {loop.create_future() for _ in range(20)}
        for number, future in enumerate(futures):
            future.set_result(number)
        gathered = {asyncio.gather(loop.create_task(named(f"g{index}", log))) for index in range(20)}
        done, pending = await asyncio.wait(tasks | futures | gathered, timeout=0.5)
        first = [future.result() for future in done], [getattr(item, "get_name", str)() for item in pending][:20]
        done, pending = await asyncio.wait(pending)
        return [type(done), *first, [item.result() for item in done], pending, log]

    first, second = twice(main)
    assert first == second
    assert first[0] is set
    assert sorted(first[1]) == list(range(20))


def test_what_is_left_is_cancelled_in_one_order() -> None:
    log: list[str] = []

    async def main() -> None:
        for name in NAMES:
            asyncio.get_running_loop().create_task(named(name, log))
        await asyncio.sleep(0)

    twice(main)

    half = len(log) // 2
    assert len(log) == 80
    assert log[:half] == log[half:]


def test_what_is_left_of_generators_is_closed_in_the_order_in_which_they_began() -> None:
    log: list[int] = []

    async def count(number: int) -> Any:
        try:
            yield number
        finally:
            log.append(number)

    async def main() -> None:
        generators = [count(number) for number in range(20)]
        for generator in generators:
            await anext(generator)
        kept.extend(generators)

    kept: list[Any] = []
    twice(main)

    assert log == [*range(20), *range(20)]


def test_names_of_tasks_count_anew_in_every_process() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(asyncio.sleep(0), name=name) for name in (None, "mine", None)]
        return [asyncio.current_task().get_name(), *(task.get_name() for task in tasks)]  # type: ignore[union-attr]

    with kernel() as simulation:
        assert [run(simulation, main), run(simulation, main)] == [["Task-1", "Task-2", "mine", "Task-3"]] * 2


def test_an_executor_has_as_many_threads_on_every_machine() -> None:
    async def main() -> int:
        counts: list[int] = []
        running = 0

        def work() -> None:
            nonlocal running
            running += 1
            counts.append(running)
            time.sleep(1)  # virtual
            running -= 1

        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(20)))
        return max(counts)

    before = ThreadPoolExecutor()._max_workers
    with kernel() as simulation:
        assert run(simulation, main) == ThreadPoolExecutor()._max_workers == 5
        assert [ThreadPoolExecutor(7)._max_workers, ThreadPoolExecutor(max_workers=2)._max_workers] == [7, 2]
    assert ThreadPoolExecutor()._max_workers == before


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_are_counted_too() -> None:
    async def main() -> list[Any]:
        # Not through create_task(), which calls them "None" in Python 3.13.0.
        factory, loop = asyncio.eager_task_factory, asyncio.get_running_loop()  # type: ignore[attr-defined]
        return [task.get_name() for task in {factory(loop, asyncio.sleep(1)) for _ in range(20)}]

    first, second = twice(main)
    assert first == second == [f"Task-{number}" for number in range(2, 22)]


def test_what_was_made_before_is_an_instance_of_the_classes_meanwhile() -> None:
    loop = asyncio.new_event_loop()
    future, task = loop.create_future(), loop.create_task(asyncio.sleep(0))
    real = asyncio.Future, asyncio.Task
    with kernel():
        kinds: Any = asyncio.Future, asyncio.Task
        made = loop.create_future()
        is_one = isinstance(future, kinds[0]), isinstance(task, kinds[1]), isinstance(task, kinds[0])
        is_none = isinstance(future, kinds[1]), isinstance(loop, kinds[0])
        texts = [kind.__name__ for kind in kinds], repr(made)

        class Mine(kinds[0]):
            pass

        assert (isinstance(Mine(loop=loop), kinds[0]), isinstance(made, Mine)) == (True, False)
    loop.run_until_complete(task)
    loop.close()

    assert (is_one, is_none) == ((True, True, True), (False, False))
    assert texts == (["Future", "Task"], "<Future pending>")
    assert (asyncio.Future, asyncio.Task) == real
    assert isinstance(made, asyncio.Future)
    assert len({made, future}) == 2
    assert not hasattr(asyncio.tasks, "set")
