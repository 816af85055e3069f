from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from threading import get_ident
from typing import Any

import pytest

from tests.unit.kernel.kernels import as_tool, kernel, refusal
from tqsim.errors import UsageError
from tqsim.kernel import Kernel


def identity() -> tuple[int | None, ...]:
    """Every number by which the running thread can be known."""
    thread = threading.current_thread()
    idents = {get_ident(), threading.get_ident(), thread.ident}
    natives = {threading.get_native_id(), thread.native_id}
    assert threading._active[get_ident()] is thread  # type: ignore[attr-defined]
    assert thread in threading.enumerate()
    assert str(get_ident()) in repr(thread)
    return *idents, *natives


def run(simulation: Kernel, name: str, *bodies: Callable[[], object]) -> None:
    """Run ``bodies`` one after the other, as the main thread of a new process."""
    process = simulation.new_process(name)
    simulation.loop.spawn(lambda: [body() for body in bodies], name, process)
    simulation.run_until(simulation.loop.now_us + 10_000_000)


def identities(seed: int = 7) -> list[Any]:
    """Two processes with a main thread and two threads each, and what they saw of themselves."""
    seen: list[Any] = []

    def body() -> None:
        seen.append((*identity(), os.getpid()))
        threads = [threading.Thread(target=lambda: seen.append(identity())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen.append((*identity(), os.getpid()))

    with kernel(seed=seed) as simulation:
        for name in ("w1", "w2"):
            run(simulation, name, body)
    return seen


def test_idents_follow_from_the_process_and_the_number_of_its_thread() -> None:
    seen = identities()
    one, two = seen[:4], seen[4:]

    assert identities(8) == seen
    assert (one[0], two[0]) == (one[3], two[3])
    assert all(native == pid for _, native, pid in (one[0], two[0]))
    for column in (0, 1):
        assert len({item[column] for item in seen}) == 6


def test_no_real_thread_can_have_such_an_ident() -> None:
    # A user address has 47 bits on x86-64 and 48 on ARM; ``pthread_t`` is one.
    assert all(item[0] >= 1 << 48 for item in identities())


def test_the_main_thread_of_a_process_is_known_to_all_of_its_threads() -> None:
    seen: list[Any] = []

    def look() -> None:
        main = threading.main_thread()
        seen.append((main.ident, main.native_id, threading.current_thread() is main))

    def body() -> None:
        look()
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    with kernel() as simulation:
        run(simulation, "w1", body)

    assert seen == [(*seen[0][:2], True), (*seen[0][:2], False)]
    assert seen[0][:2] != (threading.main_thread().ident, threading.main_thread().native_id)


def test_a_process_sees_its_own_threads_only() -> None:
    seen: list[Any] = []

    def body() -> None:
        thread = threading.Thread(target=time.sleep, args=(100,), name=f"sleeper {len(seen)}")
        thread.start()
        names = [item.name for item in threading.enumerate()]
        time.sleep(1)  # virtual; a thread has a frame as soon as it has run
        frames = sys._current_frames()
        is_here = frames[get_ident()].f_code is sys._getframe().f_code
        seen.append((names, threading.active_count(), set(frames) == {get_ident(), thread.ident}, is_here))
        time.sleep(100)  # virtual

    with kernel() as simulation:
        for name in ("w1", "w2"):
            run(simulation, name, body)

    assert seen == [(["MainThread", f"sleeper {number}"], 2, True, True) for number in range(2)]


def test_several_lines_of_execution_in_one_process_have_idents_of_their_own() -> None:
    seen: list[int] = []

    def body() -> None:
        time.sleep(1)  # virtual
        seen.append(get_ident())

    with kernel() as simulation:
        process = simulation.new_process("load")
        for number in range(3):
            simulation.loop.spawn(body, f"arrival {number}", process)
        simulation.run_until(2_000_000)

    assert len(set(seen)) == 3


def look() -> list[Any]:
    """Everything by which the running thread and the others can be known."""
    main, current = threading.main_thread(), threading.current_thread()
    return [
        *(threading.get_ident() == _thread.get_ident(), threading.get_native_id() == _thread.get_native_id()),
        *(current, current.ident == _thread.get_ident(), main.ident, main.native_id, repr(main)),
        *(sys._current_frames().keys() >= {_thread.get_ident()}, threading.enumerate(), threading.active_count()),
    ]


def test_a_test_tool_sees_what_is_real_even_in_the_middle_of_a_task() -> None:
    seen: list[Any] = []
    tool = as_tool(look)
    with kernel() as simulation:
        run(simulation, "w1", lambda: seen.extend([tool(), look()]))

    assert seen[0] == look()
    assert seen[1][:2] == [False, False]


def test_the_test_itself_and_foreign_threads_see_what_is_real() -> None:
    def look_on_request() -> None:
        for number in range(2):
            requests[number].wait()
            foreign.append(look())
            answers[number].set()
        has_been_seen.wait()  # it is counted among the threads until then

    foreign: list[list[Any]] = []
    requests, answers = ([threading.Event() for _ in range(2)] for _ in range(2))
    has_been_seen = threading.Event()
    thread = threading.Thread(target=look_on_request)
    thread.start()
    expected = look()
    requests[0].set()
    answers[0].wait()
    with kernel() as simulation:
        inside = look()

        def ask() -> None:
            requests[1].set()
            answers[1].wait()

        run(simulation, "w1", ask)
    after = look()
    has_been_seen.set()
    thread.join()

    assert inside == expected
    assert foreign[0] == foreign[1]
    assert after == expected


def test_nothing_of_a_simulation_stays_behind() -> None:
    before = dict(threading._active)  # type: ignore[attr-defined]
    functions = [get_ident, threading.get_native_id, threading.current_thread, threading.enumerate]
    identities()

    assert dict(threading._active) == before  # type: ignore[attr-defined]
    assert functions == [get_ident, threading.get_native_id, threading.current_thread, threading.enumerate]
    assert get_ident is _thread.get_ident
    assert not hasattr(type(threading.main_thread()), "_ident")


def test_a_signal_to_a_simulated_thread_goes_to_its_process() -> None:
    """The operating system would follow the ident as an address, and crash."""
    log: list[Any] = []

    def body() -> None:
        signal.signal(signal.SIGUSR1, lambda number, frame: log.append(number))
        signal.pthread_kill(get_ident(), signal.SIGUSR1)
        log.append(time.clock_gettime(time.pthread_getcpuclockid(get_ident())))

    with kernel() as simulation:
        run(simulation, "w1", body)

    assert log == [signal.SIGUSR1, 0.0]


def test_a_signal_from_a_simulated_process_to_a_real_thread_is_refused() -> None:
    messages: list[str] = []
    real = get_ident()
    with kernel() as simulation:
        run(
            simulation,
            "w1",
            lambda: messages.append(refusal(UsageError, lambda: signal.pthread_kill(real, signal.SIGUSR1))),
        )

    assert messages == [
        (
            f"signal.pthread_kill({real}, {int(signal.SIGUSR1)}): {real} is not a thread of this simulation; a signal "
            "from inside a simulation never reaches a real thread."
        )
    ]


@pytest.mark.parametrize("number", [0, 9])
def test_a_signal_to_a_thread_of_a_process_that_has_ended_finds_nobody(number: int) -> None:
    idents: list[int] = []
    errors: list[str] = []

    def ask() -> None:
        try:
            signal.pthread_kill(idents[0], number)
        except ProcessLookupError as error:
            errors.append(str(error))

    with kernel() as simulation:
        process = simulation.new_process("w1")
        simulation.loop.spawn(lambda: idents.append(get_ident()), "w1", process)
        simulation.run_until(1)
        simulation.end_process(process, 0)
        run(simulation, "w2", ask)

    assert errors == ["[Errno 3] No such process"]


@pytest.mark.parametrize("where", ["the test itself", "a foreign thread"])
def test_the_ident_of_a_simulated_thread_never_reaches_the_system(where: str) -> None:
    """A debugger, or the test, may have it from the list of threads."""
    log: list[Any] = []
    requests = threading.Event()

    def ask() -> None:
        requests.wait()
        for action in (lambda: signal.pthread_kill(log[0], 0), lambda: time.pthread_getcpuclockid(log[0]) < 0):
            try:
                log.append(action())
            except ProcessLookupError as error:
                log.append(str(error))

    foreign = threading.Thread(target=ask)
    foreign.start()

    def body() -> None:
        log.append(get_ident())
        time.sleep(5)  # virtual

    with kernel() as simulation:
        simulation.loop.spawn(body, "w1", simulation.new_process("w1"))
        simulation.run_until(1)
        requests.set()
        if where == "the test itself":
            foreign.join()
            del log[1:]
            ask()
        foreign.join()

    refused = "[Errno 3] No such process"
    assert log[1:] == ([None, True] if where == "the test itself" else [refused, refused])


def test_a_thread_that_has_ended_cannot_be_found() -> None:
    errors: list[str] = []

    def body() -> None:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        ident = thread.ident or 0
        for action in (lambda: signal.pthread_kill(ident, 0), lambda: time.pthread_getcpuclockid(ident)):
            try:
                action()
            except ProcessLookupError as error:
                errors.append(str(error))

    with kernel() as simulation:
        run(simulation, "w1", body)

    assert errors == ["[Errno 3] No such process"] * 2
