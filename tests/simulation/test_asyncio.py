"""Tasks that call ``asyncio.run`` or ``select``: their waiting is virtual, and others go on meanwhile."""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded
from celery.exceptions import SoftTimeLimitExceeded, WorkerLostError

import tqsim
from tests.simulation.worker_stories import make_app, starts

LOOP = asyncio.new_event_loop()


@pytest.fixture(scope="module", autouse=True)
def _close_loop() -> Iterator[None]:
    yield
    LOOP.close()


def of_task(body: Any, **options: Any) -> Any:
    """Return what ``body()`` returns as a task of a worker with two children."""
    app = make_app()
    task = app.task(name="work", **options)(body)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        return task.delay().get(timeout=10_000)


async def elapsed(awaitable: Any) -> tuple[Any, float]:
    """Return what an awaitable gives, and how long that takes."""
    begin = time.monotonic()
    result = await awaitable
    return result, time.monotonic() - begin


# -- each kind of waiting -------------------------------------------------------------------------


def test_a_sleep_takes_exactly_its_virtual_time() -> None:
    """Also where the float seconds of the clock do not add up: the loop knows the clock's resolution."""

    def work() -> list[float]:
        async def main() -> list[float]:
            return [(await elapsed(asyncio.sleep(delay)))[1] for delay in (5, 0.1, 1e-6, 0.3, 3_600)]

        return asyncio.run(main())

    assert of_task(work) == pytest.approx([5, 0.1, 1e-6, 0.3, 3_600], abs=5e-7)


def test_a_timeout_strikes_in_time() -> None:
    def work() -> tuple[str, float]:
        async def main() -> str:
            try:
                await asyncio.wait_for(asyncio.sleep(100), timeout=2.5)
            except TimeoutError:
                return "timed out"
            return "slept"

        return asyncio.run(elapsed(main()))

    assert of_task(work) == ["timed out", 2.5]


def test_a_hundred_sleeps_take_as_long_as_the_longest() -> None:
    def work() -> tuple[list[int], float]:
        async def sleep(number: int) -> int:
            await asyncio.sleep(number / 10)
            return number

        async def main() -> list[int]:
            return await asyncio.gather(*map(sleep, range(100)))

        return asyncio.run(elapsed(main()))

    assert of_task(work) == [list(range(100)), pytest.approx(9.9, abs=5e-7)]


@pytest.mark.parametrize("way", ["to_thread", "run_in_executor"])
def test_work_in_threads_is_virtual_and_goes_on_beside_the_coroutines(way: str) -> None:
    """Two threads of 3 s and a coroutine of 2 s take 3 s together."""

    def work() -> tuple[list[Any], float]:
        def block(name: str) -> str:
            time.sleep(3)  # virtual
            return f"{name} in {threading.current_thread().name}"

        async def main() -> list[Any]:
            loop = asyncio.get_running_loop()
            in_thread = asyncio.to_thread if way == "to_thread" else lambda *args: loop.run_in_executor(None, *args)
            return list(await asyncio.gather(in_thread(block, "a"), in_thread(block, "b"), asyncio.sleep(2, "c")))

        return asyncio.run(elapsed(main()))

    assert of_task(work) == [["a in asyncio_0", "b in asyncio_1", "c"], 3.0]


def test_coroutines_hand_over_in_virtual_time() -> None:
    """Through a queue, under a lock, after an event."""

    def work() -> list[tuple[float, str]]:
        async def main() -> list[tuple[float, str]]:
            queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
            lock, done = asyncio.Lock(), asyncio.Event()
            begin = time.monotonic()
            log: list[tuple[float, str]] = []

            async def produce() -> None:
                for number in range(3):
                    await asyncio.sleep(2)
                    await queue.put(number)

            async def consume(name: str) -> None:
                while not done.is_set():
                    number = await queue.get()
                    async with lock:
                        await asyncio.sleep(3)
                        log.append((time.monotonic() - begin, f"{name} {number}"))
                    if number == 2:
                        done.set()

            consumers = [asyncio.create_task(consume(name)) for name in "ab"]
            await produce()
            await done.wait()
            for consumer in consumers:
                consumer.cancel()
            return log

        return asyncio.run(main())

    # Put at 2, 4 and 6 s; the lock is held from 2 to 5, from 5 to 8 and from 8 to 11.
    assert of_task(work) == [[5.0, "a 0"], [8.0, "b 1"], [11.0, "a 2"]]


def test_a_thread_wakes_the_loop_of_another() -> None:
    def work() -> list[Any]:
        async def main() -> list[Any]:
            loop, arrived = asyncio.get_running_loop(), asyncio.Event()

            def later() -> None:
                time.sleep(7)  # virtual
                loop.call_soon_threadsafe(arrived.set)
                answers.append(asyncio.run_coroutine_threadsafe(asyncio.sleep(1, "from the loop"), loop).result())

            answers: list[Any] = []
            thread = threading.Thread(target=later)
            thread.start()
            _, took = await elapsed(arrived.wait())
            await asyncio.to_thread(thread.join)
            return [took, *answers]

        return asyncio.run(main())

    assert of_task(work) == [7.0, "from the loop"]


def test_select_waits_in_virtual_time_for_another_thread() -> None:
    def work() -> list[Any]:
        reader, writer = os.pipe()

        def write() -> None:
            time.sleep(3)  # virtual
            os.write(writer, b"x")

        try:
            begin = time.monotonic()
            nothing = select.select([reader], [], [], 2)[0]
            threading.Thread(target=write).start()
            found = select.select([reader], [], [], 60)[0]
            with selectors.DefaultSelector() as selector:
                selector.register(reader, selectors.EVENT_READ)
                keys = [key.fd for key, _ in selector.select(60)]
            return [nothing, found == [reader], keys == [reader], time.monotonic() - begin]
        finally:
            os.close(reader)
            os.close(writer)

    assert of_task(work) == [[], True, True, 5.0]


def test_a_busy_coroutine_is_moved_on_in_time() -> None:
    def work() -> bool:
        async def main() -> bool:
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                await asyncio.sleep(0)
            return True

        return asyncio.run(main())

    assert of_task(work) is True


def test_asynchronous_generators_belong_to_the_loop_of_their_task() -> None:
    """The interpreter has one place for a loop's hooks; two tasks at once would close each other's."""
    app = make_app()

    @app.task(name="work")
    def work(delay: float) -> list[str]:
        log: list[str] = []

        async def count() -> Any:
            try:
                while True:
                    yield 1
                    await asyncio.sleep(1)
            finally:
                log.append(f"closed {asyncio.get_running_loop() is loops[0]}")

        loops: list[Any] = []

        async def main() -> None:
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(delay)
            numbers = count()
            async for _ in numbers:
                break
            await asyncio.sleep(2)

        asyncio.run(main())
        return log

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        assert [result.get(timeout=60) for result in [work.delay(0), work.delay(1)]] == [["closed True"]] * 2
    assert sys.get_asyncgen_hooks() == (None, None)


def test_starting_a_program_is_refused_by_name() -> None:
    def work() -> str:
        async def main() -> None:
            await asyncio.create_subprocess_exec("echo", "hello", stdout=subprocess.PIPE)

        try:
            asyncio.run(main())
        except tqsim.TqsimError as error:
            return str(error)
        return "started"

    assert of_task(work) == (
        "subprocess.Popen(('echo', 'hello')) was called inside a simulation: a real process cannot live in virtual "
        "time. Replace the call in the test, or give its work to a service (sim.service) or a cost (sim.cost)."
    )


def test_a_loop_made_at_import_is_one_in_each_child() -> None:
    """As after a fork: two children run theirs at the same time, and each finds its own again."""
    app = make_app()

    @app.task(name="work")
    def work(number: int) -> tuple[int, bool]:
        async def main() -> bool:
            await asyncio.sleep(5)
            return asyncio.get_running_loop() is not LOOP

        return number, LOOP.run_until_complete(main())

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        results = [work.delay(number) for number in range(4)]
        assert [result.get(timeout=60) for result in results] == [[number, True] for number in range(4)]
        assert sim.elapsed == 10.0
    assert LOOP.run_until_complete(asyncio.sleep(0, "real again")) == "real again"


# -- many at once ---------------------------------------------------------------------------------


def test_tasks_of_several_children_and_workers_run_at_the_same_time() -> None:
    app = make_app()

    @app.task(name="work")
    def work(number: int) -> int:
        async def main() -> int:
            await asyncio.gather(*(asyncio.sleep(10) for _ in range(number)))
            return number

        return asyncio.run(main())

    with tqsim.Simulation(app) as sim:
        for name in ("w1", "w2"):
            sim.worker(name, concurrency=2, prefetch_multiplier=1)
        results = [work.delay(number) for number in range(1, 9)]
        assert [result.get(timeout=60) for result in results] == list(range(1, 9))
        assert sorted(map(str, starts(sim, [result.id for result in results]))) == ["0.0"] * 4 + ["10.0"] * 4
        assert sim.elapsed == 20.0


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_run_loops_too(pool: str) -> None:
    app = make_app()

    @app.task(name="work")
    def work() -> str:
        return asyncio.run(asyncio.sleep(5, threading.current_thread().name))

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", pool=pool, concurrency=2)
        results = [work.delay() for _ in range(2)]
        assert len({result.get(timeout=60) for result in results}) == (2 if pool == "threads" else 1)
        assert sim.elapsed == (5.0 if pool == "threads" else 10.0)


# -- ends -----------------------------------------------------------------------------------------


def test_a_soft_time_limit_strikes_while_the_loop_waits() -> None:
    """The signal handler raises in the selector, so out of ``asyncio.run``, which cancels what is left."""
    app = make_app()
    log: list[tuple[float, str]] = []

    @app.task(name="work", soft_time_limit=4)
    def work() -> str:
        async def clean() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(2)
                log.append((sim.elapsed, "cleaned"))

        async def main() -> None:
            await asyncio.gather(clean(), asyncio.sleep(200))

        try:
            asyncio.run(main())
        except SoftTimeLimitExceeded:
            log.append((sim.elapsed, "limited"))
            return asyncio.run(asyncio.sleep(1, "another loop"))
        return "unlimited"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        assert work.delay().get(timeout=60) == "another loop"
        assert (log, sim.elapsed) == ([(6.0, "cleaned"), (6.0, "limited")], 7.0)


def test_a_hard_time_limit_ends_the_loop() -> None:
    app = make_app()
    log: list[str] = []

    @app.task(name="work", time_limit=3)
    def work() -> None:
        async def main() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                log.append("cancelled")
                await asyncio.sleep(1)
                log.append("never: the child has 0.1 s")

        asyncio.run(main())

    @app.task(name="following")
    def following() -> str:
        return asyncio.run(asyncio.sleep(1, "done"))

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        limited, result = work.delay(), following.delay()
        assert result.get(timeout=60) == "done"
        assert isinstance(limited.result, TimeLimitExceeded)
        assert log == ["cancelled"]


def test_a_killed_worker_leaves_no_open_files(tmp_path: Path) -> None:
    app = make_app()
    log: list[str] = []
    descriptors = Path("/proc/self/fd")

    @app.task(name="work", acks_late=True)
    def work() -> str:
        async def main() -> str:
            try:
                await asyncio.gather(*(asyncio.sleep(10) for _ in range(3)))
            except BaseException:
                log.append("handled")
                raise
            return "done"

        return asyncio.run(main())

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=4)
        before = len(list(descriptors.iterdir()))
        results = [work.delay() for _ in range(4)]
        for _ in range(5):
            sim.run(for_=5)
            worker.kill()
            worker.restart()
        assert len(list(descriptors.iterdir())) == before
        assert [result.get(timeout=100) for result in results] == ["done"] * 4
        assert log == []
    assert len(list(descriptors.iterdir())) <= before


def test_a_killed_child_loses_its_task() -> None:
    app = make_app()

    @app.task(name="work")
    def work() -> str:
        return asyncio.run(asyncio.sleep(10, "done"))

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        lost = work.delay()
        sim.run(for_=5)
        worker.kill_child()
        with pytest.raises(WorkerLostError):
            lost.get(timeout=10)
        assert work.delay().get(timeout=20) == "done"


def test_a_signal_reaches_the_handler_of_the_loop() -> None:
    """``signal.set_wakeup_fd`` and ``signal.signal`` are of the child."""
    before = signal.getsignal(signal.SIGUSR2), signal.set_wakeup_fd(-1)

    def work() -> tuple[str, float]:
        async def main() -> str:
            loop, stopped = asyncio.get_running_loop(), asyncio.Event()
            loop.add_signal_handler(signal.SIGUSR2, stopped.set)

            def stop() -> None:
                time.sleep(4)  # virtual
                os.kill(os.getpid(), signal.SIGUSR2)

            threading.Thread(target=stop).start()
            await stopped.wait()
            return str(loop.remove_signal_handler(signal.SIGUSR2))

        return asyncio.run(elapsed(main()))

    assert of_task(work) == ["True", 4.0]
    assert (signal.getsignal(signal.SIGUSR2), signal.set_wakeup_fd(-1)) == before


# -- the test itself ------------------------------------------------------------------------------


def test_a_loop_of_the_test_passes_virtual_time() -> None:
    app = make_app()

    @app.task(name="work")
    def work() -> str:
        return asyncio.run(asyncio.sleep(30, "done"))

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)

        async def main() -> tuple[Any, ...]:
            result = work.delay()
            await asyncio.sleep(10)
            early = result.ready(), sim.elapsed
            return early, await asyncio.to_thread(result.get, timeout=60), sim.elapsed

        assert asyncio.run(main()) == ((False, 10.0), "done", 30.0)
