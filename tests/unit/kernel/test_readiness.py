from __future__ import annotations

import asyncio
import os
import select
import selectors
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.errors import NoProgress
from tqsim.kernel import Kernel


@pytest.fixture
def pipes() -> Iterator[list[tuple[int, int]]]:
    made = [os.pipe() for _ in range(4)]
    yield made
    for ends in made:
        for number in ends:
            os.close(number)


def wait_for(number: int, log: list[Any], name: str) -> Callable[[], None]:
    def body() -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(number, selectors.EVENT_READ)
            selector.select()
        log.append(name)

    return body


def start(simulation: Kernel, *bodies: Callable[[], Any]) -> Any:
    process = simulation.new_process("p")
    for body in bodies:
        simulation.loop.spawn(body, "f", process)
    return process


def test_those_who_came_first_are_woken_first(pipes: list[tuple[int, int]]) -> None:
    """Whatever the order in which the descriptors became ready."""
    log: list[Any] = []

    def write() -> None:
        time.sleep(1)  # virtual
        for _, writer in reversed(pipes):
            os.write(writer, b"x")

    with kernel() as simulation:
        start(simulation, write, *(wait_for(pipe[0], log, str(index)) for index, pipe in enumerate(pipes)))
        simulation.run_until(10**7)

    assert log == ["0", "1", "2", "3"]


def test_time_does_not_move_before_who_was_woken_has_run(pipes: list[tuple[int, int]]) -> None:
    log: list[Any] = []

    def write() -> None:
        os.write(pipes[0][1], b"x")
        log.append("written")
        time.sleep(1e-6)  # virtual
        log.append("later")

    with kernel() as simulation:
        start(simulation, wait_for(pipes[0][0], log, "read"), write)
        simulation.run_until(10)

    assert log == ["written", "read", "later"]


def test_a_step_of_the_test_lets_the_woken_run(pipes: list[tuple[int, int]]) -> None:
    """Also when nothing else is due, or not before the limit."""
    log: list[Any] = []
    with kernel() as simulation:
        start(simulation, wait_for(pipes[0][0], log, "read"))
        assert simulation.run_while(lambda: not log, 10**6) is False
        os.write(pipes[0][1], b"x")
        assert simulation.run_while(lambda: not log, 10**6) is True
        assert (log, simulation.now_s) == (["read"], 0.0)


def test_a_process_that_was_killed_is_not_woken(pipes: list[tuple[int, int]]) -> None:
    log: list[Any] = []
    with kernel() as simulation:
        process = start(simulation, wait_for(pipes[0][0], log, "read"), lambda: select.select([pipes[0][0]], [], []))
        simulation.run_until(10)
        simulation.end_process(process, -9)
        os.write(pipes[0][1], b"x")
        simulation.run_until(20)
        assert simulation._readiness.watched == {}

    assert log == []


def test_nobody_is_asked_while_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question before each instant is of one attribute."""
    with kernel() as simulation:
        looks: list[None] = []
        monkeypatch.setattr(simulation._readiness, "look", lambda: looks.append(None))
        for _ in range(10):
            start(simulation, lambda: time.sleep(1))
        simulation.run_until(10**7)

        assert looks == []


def test_many_epolls_are_asked_at_once(pipes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float | None] = []
    real = selectors.EpollSelector.select

    def select_and_note(selector: selectors.EpollSelector, timeout: float | None = None) -> Any:
        asked.append(timeout)
        return real(selector, timeout)

    monkeypatch.setattr(selectors.EpollSelector, "select", select_and_note)
    log: list[Any] = []
    with kernel() as simulation:
        start(simulation, *(wait_for(pipe[0], log, "") for pipe in pipes))
        simulation.run_until(10)
        assert asked == [0] * 4
        asked.clear()
        for due_us in range(100):
            simulation.loop.call_later(due_us, lambda: None)
        simulation.run_until(200)

        assert asked == []


def once_somebody_waits(simulation: Kernel, action: Callable[[], object]) -> threading.Thread:
    """Start a real thread, one of before the simulation, that acts when a descriptor is waited for."""

    def body() -> None:
        while not simulation._readiness.watched:
            pass
        action()

    thread = threading.Thread(target=body)
    thread.start()
    return thread


def test_the_test_waits_for_real_when_nothing_is_left_to_happen() -> None:
    """A thread of before the simulation has something for the test's event loop."""
    loop = asyncio.new_event_loop()
    arrived = loop.create_future()
    simulation = kernel()
    thread = once_somebody_waits(simulation, lambda: loop.call_soon_threadsafe(arrived.set_result, "arrived"))
    with simulation:
        assert loop.run_until_complete(arrived) == "arrived"
        assert simulation.now_s == 0.0
    thread.join()
    loop.close()


def test_others_who_wait_for_ever_are_no_progress(pipes: list[tuple[int, int]]) -> None:
    log: list[Any] = []
    with kernel() as simulation:
        start(simulation, wait_for(pipes[0][0], log, "read"))
        simulation.run_until(10)
        with pytest.raises(NoProgress) as caught:
            threading.Event().wait()

    assert str(caught.value).startswith("Nothing is left to happen at 10us, and main waits for a lock.")


def test_somebody_who_types_is_waited_for_in_real_time() -> None:
    """As a debugger does that runs an event loop of its own to read a line."""
    terminal, typist = os.openpty()
    log: list[Any] = []
    simulation = kernel()
    thread = once_somebody_waits(simulation, lambda: os.write(terminal, b"continue\n"))

    def later() -> None:
        time.sleep(5)  # virtual
        log.append("later")

    with simulation:
        start(simulation, wait_for(typist, log, "typed"), later)
        simulation.run_until(10**7)
    thread.join()
    os.close(terminal)
    os.close(typist)

    assert log == ["typed", "later"]
