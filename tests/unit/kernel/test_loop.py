from __future__ import annotations

import time
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel, refusal
from tqsim.errors import ClosedError, NoProgress
from tqsim.kernel import TIMED_OUT, Kernel, Process, WaitQueue
from tqsim.kernel.fibers import Fiber, FiberExit


def start(simulation: Kernel, body: Any, name: str = "f", process: Process | None = None) -> Fiber:
    return simulation.loop.spawn(body, name, process or simulation.main)


def test_fibers_start_in_the_order_of_spawning_and_wait_without_each_other() -> None:
    log: list[tuple[int, str]] = []
    with kernel() as simulation:
        loop = simulation.loop

        def body(name: str, delay_us: int) -> None:
            log.append((loop.now_us, name))
            loop.sleep(delay_us)
            log.append((loop.now_us, name))

        for name, delay_us in (("a", 30), ("b", 10), ("c", 20)):
            start(simulation, lambda name=name, delay_us=delay_us: body(name, delay_us), name)
        simulation.run_until(100)

    assert log == [(0, "a"), (0, "b"), (0, "c"), (10, "b"), (20, "c"), (30, "a")]


def test_a_sleep_of_nothing_lets_the_other_ready_fibers_run() -> None:
    log: list[str] = []
    with kernel() as simulation:

        def body(name: str) -> None:
            for _ in range(2):
                log.append(name)
                time.sleep(0)  # virtual

        for name in "ab":
            start(simulation, lambda name=name: body(name), name)
        simulation.run_until(0)

    assert (log, simulation.loop.now_us) == (["a", "b", "a", "b"], 0)


def test_a_parked_fiber_gets_the_value_of_its_waker_once() -> None:
    with kernel() as simulation:
        loop = simulation.loop
        got: list[Any] = []
        fiber = start(simulation, lambda: got.extend([loop.park("news"), loop.park("more", 10)]))
        simulation.run_until(1)
        woken = loop.wake(fiber, "first"), loop.wake(fiber, "second")
        simulation.run_until(20)

    assert (woken, got, bool(TIMED_OUT)) == ((True, False), ["first", TIMED_OUT], False)


def test_a_timeout_passes_exactly_then() -> None:
    with kernel() as simulation:
        answer = simulation.loop.park("nothing", 1_500)

        assert (answer, simulation.loop.now_us, repr(answer)) == (TIMED_OUT, 1_500, "TIMED_OUT")


def test_a_fiber_that_is_woken_leaves_no_timer_behind() -> None:
    with kernel() as simulation:
        loop = simulation.loop
        fiber = start(simulation, lambda: loop.park("news", 10**12))
        simulation.run_until(1)
        loop.wake(fiber)
        simulation.run_until(2)

        assert (fiber.is_done, loop.agenda.live_count) == (True, 0)


def test_an_error_is_thrown_where_a_fiber_waits() -> None:
    caught: list[str] = []
    with kernel() as simulation:
        loop = simulation.loop

        def body() -> None:
            try:
                loop.sleep(1_000)
            except ValueError as error:
                caught.append(f"{error} at {loop.now_us}")

        fiber = start(simulation, body)
        simulation.run_until(10)
        thrown = loop.throw(fiber, ValueError("stop"))
        simulation.run_until(2_000)

    assert (thrown, caught, loop.throw(fiber, ValueError("late"))) == (True, ["stop at 10"], False)


def test_an_error_thrown_before_a_fiber_began_ends_it() -> None:
    with kernel() as simulation:
        log: list[str] = []
        fiber = start(simulation, lambda: log.append("ran"))
        simulation.loop.throw(fiber, ValueError("never"))
        simulation.run_until(1)

    assert (log, repr(fiber.error)) == ([], "ValueError('never')")


def test_a_signal_handler_runs_in_a_waiting_fiber_which_goes_on_waiting() -> None:
    with kernel() as simulation:
        loop = simulation.loop
        log: list[Any] = []

        def body() -> None:
            loop.sleep(1_000)
            log.append(("slept", loop.now_us))

        fiber = start(simulation, body)
        simulation.run_until(10)
        loop.interrupt(fiber, lambda: log.append(("handler", loop.now_us, loop.current)))
        simulation.run_until(2_000)

    assert log == [("handler", 10, fiber), ("slept", 1_000)]


def test_what_a_signal_handler_raises_is_raised_where_the_fiber_waits() -> None:
    with kernel() as simulation:
        loop = simulation.loop

        def handler() -> None:
            raise KeyError("signal")

        fiber = start(simulation, lambda: loop.sleep(1_000))
        simulation.run_until(10)
        loop.interrupt(fiber, handler)
        simulation.run_until(20)

    assert (repr(fiber.error), fiber.is_done) == ("KeyError('signal')", True)


def test_join_waits_for_the_end_of_a_fiber_or_its_timeout() -> None:
    with kernel() as simulation:
        loop = simulation.loop
        fiber = start(simulation, lambda: loop.sleep(1_000))

        assert (loop.join(fiber, 400), loop.now_us) == (False, 400)
        assert (loop.join(fiber), loop.now_us) == (True, 1_000)
        assert (loop.join(fiber), fiber.waiters) == (True, [])


def test_a_wait_queue_wakes_in_the_order_of_coming_and_skips_the_dead() -> None:
    with kernel() as simulation:
        queue = WaitQueue(simulation.loop)
        log: list[str] = []
        processes = [simulation.new_process(name) for name in "abc"]

        def body() -> None:
            queue.wait("a turn")
            log.append(simulation.loop.require_current().process.name)

        for process in processes:
            start(simulation, body, "f", process)
        simulation.run_until(1)
        simulation.end_process(processes[0], -9)
        queue.wake_one()
        simulation.run_until(2)

        assert (log, len(queue)) == (["b"], 1)


def test_nothing_left_to_happen_names_who_waits_for_what() -> None:
    with kernel() as simulation:
        time.sleep(1.5)  # virtual

        assert refusal(NoProgress, lambda: simulation.loop.park("a message")) == (
            "Nothing is left to happen at 1.5s, and main waits for a message. Is a worker running that "
            "consumes the queue?"
        )


def test_the_simulation_can_go_on_after_nothing_was_left() -> None:
    with kernel() as simulation:
        with pytest.raises(NoProgress):
            simulation.loop.park("a message")
        time.sleep(2)  # virtual

        assert simulation.now_s == 2


def test_a_livelock_ends_with_the_name_of_the_fiber() -> None:
    with kernel(still_events_max=1_000) as simulation:
        process = simulation.new_process("w1")

        def spin() -> None:
            while True:
                time.sleep(0)  # virtual

        time.sleep(3)  # virtual
        start(simulation, spin, "spinner", process)

        assert refusal(NoProgress, lambda: simulation.run_until(10_000_000)) == (
            "Livelock at 3s: 1,000 events happened without time moving. Last to run: spinner of w1, waiting for "
            "its turn. A task that publishes itself without a countdown does this; give it a cost (sim.cost) or "
            "raise still_events_max."
        )


def test_many_events_are_no_livelock_while_time_moves() -> None:
    with kernel(still_events_max=100) as simulation:

        def body() -> None:
            for _ in range(5_000):
                simulation.loop.sleep(1)

        fiber = start(simulation, body)
        simulation.run_until(10_000)

        assert (fiber.is_done, fiber.error) == (True, None)


def test_one_event_after_another_happens_while_it_is_wanted() -> None:
    with kernel() as simulation:
        log: list[int] = []

        def body() -> None:
            for number in range(100):
                log.append(number)
                simulation.loop.sleep(10)

        start(simulation, body)

        assert simulation.run_while(lambda: len(log) < 3, 10**6)
        assert (log, simulation.loop.now_us) == ([0, 1, 2], 20)
        assert not simulation.run_while(lambda: True, 500)
        assert simulation.loop.now_us <= 500


def test_an_error_of_a_fiber_reaches_whoever_looks_after_it() -> None:
    with kernel() as simulation:
        told: list[Fiber] = []
        simulation.loop.on_fiber_error = told.append
        fiber = start(simulation, lambda: 1 / 0)
        simulation.run_until(1)

    assert (told, type(fiber.error)) == ([fiber], ZeroDivisionError)


def test_ctrl_c_in_a_fiber_reaches_the_test() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with kernel() as simulation:
        start(simulation, interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulation.run_until(1)


def test_at_the_end_leftover_fibers_run_their_finally_blocks_but_cannot_wait() -> None:
    log: list[str] = []
    with kernel() as simulation:
        loop = simulation.loop

        def body() -> None:
            try:
                loop.sleep(10**9)
            finally:
                log.append("finally")
                try:
                    time.sleep(5)  # virtual
                finally:
                    log.append("inner")

        fiber = start(simulation, body)
        simulation.run_until(10)
        assert log == []

    assert (log, fiber.is_done, loop.now_us) == (["finally", "inner"], True, 10)


def test_a_fiber_that_swallows_everything_cannot_hang_the_end() -> None:
    refused: list[str] = []
    log: list[str] = []
    with kernel() as simulation:

        def stubborn() -> None:
            while True:
                try:
                    time.sleep(5)  # virtual
                except BaseException as error:  # noqa: BLE001 - that is its sin
                    refused.append(type(error).__name__)

        start(simulation, stubborn, "stubborn")
        start(simulation, lambda: _noting_its_end(log), "other")
        simulation.run_until(10)

    assert (set(refused), log) == ({"GreenletExit"}, ["end"])
    assert len(refused) < 1_000


def _noting_its_end(log: list[str]) -> None:
    try:
        time.sleep(5)  # virtual
    finally:
        log.append("end")


def test_a_fiber_that_never_ran_ends_silently() -> None:
    log: list[str] = []
    with kernel() as simulation:
        start(simulation, lambda: log.append("ran"))

    assert log == []


def test_after_the_end_nothing_can_wait_or_start() -> None:
    with kernel() as simulation:
        pass

    assert refusal(ClosedError, lambda: simulation.loop.park("anything")) == (
        "The simulation has ended; nothing can wait in it any more."
    )
    assert refusal(ClosedError, lambda: start(simulation, lambda: None, "late")) == (
        "The simulation has ended; 'late' cannot start in it."
    )


def test_the_error_of_the_block_is_not_masked_by_the_end() -> None:
    def body() -> None:
        try:
            time.sleep(5)  # virtual
        finally:
            raise ValueError("of the leftover fiber")

    def block() -> None:
        with kernel() as simulation:
            start(simulation, body)
            simulation.run_until(1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match=r"^'mine'$"):
        block()


def test_fiber_exit_raised_by_task_code_ends_its_fiber_only() -> None:
    def body() -> None:
        raise FiberExit

    with kernel() as simulation:
        fiber = start(simulation, body)
        simulation.run_until(1)

        assert (fiber.is_done, fiber.error) == (True, None)
