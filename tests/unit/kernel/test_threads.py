from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel


def test_a_thread_runs_in_virtual_time_and_can_be_joined() -> None:
    with kernel() as simulation:
        thread = threading.Thread(target=time.sleep, args=(2,), name="worker")
        states: list[Any] = [thread.is_alive()]
        thread.start()
        states.append(thread.is_alive())
        thread.join(timeout=0.5)
        states.append((thread.is_alive(), simulation.now_s))
        thread.join()
        states.append((thread.is_alive(), simulation.now_s))
        thread.join()

    assert states == [False, True, (True, 0.5), (False, 2.0)]


def test_names_and_idents_of_threads() -> None:
    seen: list[Any] = []
    with kernel():

        def body() -> None:
            thread = threading.current_thread()
            seen.append((thread.name, thread is threads[len(seen)], thread.ident == threading.get_ident()))

        threads = [threading.Thread(target=body, name="own"), threading.Thread(target=body)]
        for thread in threads:
            thread.start()
            thread.join()
        idents = {threading.get_ident(), *(thread.ident for thread in threads)}
        test_name = threading.current_thread().name

    assert seen == [("own", True, True), (threads[1].name, True, True)]
    assert (len(idents), test_name) == (3, threading.current_thread().name)


def test_the_main_fiber_of_another_process_is_its_main_thread() -> None:
    seen: list[Any] = []
    with kernel() as simulation:
        process = simulation.new_process("w1")
        body = lambda: seen.append(threading.current_thread() is threading.main_thread())  # noqa: E731
        simulation.loop.spawn(body, "w1", process)
        simulation.run_until(1)

    assert seen == [True]


def test_a_thread_belongs_to_the_process_that_starts_it_and_dies_with_it() -> None:
    log: list[Any] = []
    with kernel() as simulation:
        process = simulation.new_process("w1")
        threads: list[threading.Thread] = []

        def tick() -> None:
            while True:
                time.sleep(1)  # virtual
                log.append(simulation.now_s)

        def body() -> None:
            threads.append(threading.Thread(target=tick))
            threads[0].start()
            threads[0].join()

        simulation.loop.spawn(body, "w1", process)
        simulation.run_until(2_500_000)
        alive = threads[0].is_alive()
        simulation.end_process(process, -9)
        simulation.run_until(5_000_000)

        assert (log, alive, threads[0].is_alive()) == ([1.0, 2.0], True, False)


def test_a_thread_cannot_be_started_twice_or_join_itself() -> None:
    errors: list[str] = []
    with kernel():

        def join_itself() -> None:
            try:
                threading.current_thread().join()
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=join_itself)
        with pytest.raises(RuntimeError, match=r"^cannot join thread before it is started$"):
            thread.join()
        thread.start()
        with pytest.raises(RuntimeError, match=r"^threads can only be started once$"):
            thread.start()
        thread.join()

    assert errors == ["cannot join current thread"]


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_error_in_a_thread_goes_to_the_hook_and_nowhere_else(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append((args.exc_value, args.thread)))
    with kernel() as simulation:

        def fail() -> None:
            raise error

        thread = threading.Thread(target=fail)
        thread.start()
        simulation.run_until(1)

        assert (told, thread.is_alive()) == ([(error, thread)], False)


def test_system_exit_in_a_thread_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)  # pytest's own is not silent
    with kernel():
        thread = threading.Thread(target=sys.exit, args=(3,))
        thread.start()
        thread.join()

    assert capsys.readouterr() == ("", "")


def test_daemon_threads_and_others_end_with_the_simulation() -> None:
    log: list[str] = []

    def body() -> None:
        try:
            time.sleep(10**6)  # virtual
        finally:
            log.append("ended")

    before = threading.enumerate()
    with kernel() as simulation:
        threads = [threading.Thread(target=body, daemon=daemon) for daemon in (True, False)]
        never_ran = threading.Thread(target=body)
        for thread in threads:
            thread.start()
        simulation.run_until(1)
        never_ran.start()

    assert (log, threading.enumerate()) == (["ended", "ended"], before)
    for thread in (*threads, never_ran):
        thread.join(timeout=1)
        assert not thread.is_alive()


def test_a_timer_fires_in_virtual_time() -> None:
    log: list[float] = []
    with kernel() as simulation:
        timer = threading.Timer(3, lambda: log.append(simulation.now_s))
        cancelled = threading.Timer(2, lambda: log.append(-1))
        timer.start()
        cancelled.start()
        cancelled.cancel()
        timer.join()

    assert log == [3.0]


def test_a_thread_pool_works_in_virtual_time() -> None:
    with kernel() as simulation:
        with ThreadPoolExecutor(2, thread_name_prefix="pool") as pool:
            futures = [pool.submit(time.sleep, seconds) for seconds in (3, 1, 1)]
            done, rest = wait(futures, timeout=1.5)
            counts = len(done), len(rest), simulation.now_s
            names = set(pool.map(lambda _: threading.current_thread().name, range(2)))

        assert (counts, simulation.now_s, names <= {"pool_0", "pool_1"}) == ((1, 2, 1.5), 3.0, True)
        with pytest.raises(TimeoutError):
            ThreadPoolExecutor(1).submit(time.sleep, 10).result(timeout=2)
        assert simulation.now_s == 5.0


def test_starting_a_thread_in_a_finally_block_at_the_end_starts_nothing() -> None:
    log: list[str] = []
    with kernel() as simulation:

        def body() -> None:
            try:
                time.sleep(5)  # virtual
            finally:
                threading.Thread(target=lambda: log.append("ran")).start()

        simulation.loop.spawn(body, "f", simulation.main)
        simulation.run_until(1)

    assert log == []


def test_threads_are_real_again_after_the_simulation() -> None:
    with kernel():
        pass
    log: list[int] = []
    thread = threading.Thread(target=lambda: log.append(1))
    thread.start()
    thread.join()

    assert (log, thread.is_alive(), hasattr(thread, "_tqsim_fiber")) == ([1], False, False)
