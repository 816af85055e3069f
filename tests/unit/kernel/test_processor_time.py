from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable
from time import process_time, thread_time_ns
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel

CLOCKS = (time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID)


def readings() -> list[float]:
    """The processor time in seconds, as every function gives it: of the process, then of the thread."""
    times = os.times()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return [
        *(process_time(), time.process_time_ns() / 10**9, time.clock_gettime(CLOCKS[0]), times.user, usage.ru_utime),
        *(time.clock_gettime_ns(CLOCKS[0]) / 10**9, times.user + times.system),
        *(time.thread_time(), thread_time_ns() / 10**9, time.clock_gettime(CLOCKS[1])),
    ]


def test_processor_time_is_the_virtual_time_since_the_process_or_the_thread_started() -> None:
    seen: list[Any] = []

    def work() -> None:
        time.sleep(1)  # virtual
        seen.append(readings())

    def body() -> None:
        time.sleep(2)  # virtual
        seen.append(readings())
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with kernel() as simulation:
        simulation.run_until(5_000_000)
        simulation.loop.spawn(body, "w1", simulation.new_process("w1"))
        simulation.run_until(10_000_000)

    assert seen == [[2.0] * 10, [3.0] * 7 + [1.0] * 3]


def test_what_children_used_and_what_else_the_system_counts_is_nothing() -> None:
    with kernel() as simulation:
        simulation.run_until(5_000_000)
        times = os.times()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        elapsed = times.elapsed == time.monotonic()

    assert (tuple(times)[:4], elapsed) == ((5.0, 0.0, 0.0, 0.0), True)
    assert tuple(usage) == (5.0, *(0,) * 15)
    assert tuple(children) == (0,) * 16


@pytest.mark.parametrize(
    "read",
    [
        lambda: time.process_time(),  # noqa: PLW0108 - bound late
        lambda: time.thread_time(),  # noqa: PLW0108 - bound late
        lambda: time.process_time_ns() / 10**9,
        *(lambda: os.times().user, lambda: resource.getrusage(resource.RUSAGE_SELF).ru_utime),
        lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID),
    ],
)
def test_waiting_busily_for_processor_time_comes_to_an_end(read: Callable[[], float]) -> None:
    with kernel() as simulation:
        reads = 0
        while read() < 0.002 and reads < 100_000:
            reads += 1

        assert simulation.now_s >= 0.002


def test_usage_is_told_of_the_thread_and_of_nobody_else() -> None:
    with kernel() as simulation:
        simulation.run_until(5_000_000)
        thread = resource.getrusage(resource.RUSAGE_THREAD)
        with pytest.raises(ValueError, match=r"^invalid who parameter$"):
            resource.getrusage(7)

    assert tuple(thread) == (5.0, *(0,) * 15)


def test_the_clock_of_a_thread_shows_the_time_since_it_started() -> None:
    seen: list[float] = []

    def body() -> None:
        time.sleep(1)  # virtual
        thread = threading.Thread(target=time.sleep, args=(5,))
        thread.start()
        clocks = [time.pthread_getcpuclockid(thread.ident or 0), time.pthread_getcpuclockid(threading.get_ident())]
        time.sleep(2)  # virtual
        seen.extend(time.clock_gettime(clock) for clock in clocks)

    with kernel() as simulation:
        simulation.loop.spawn(body, "w1", simulation.new_process("w1"))
        simulation.run_until(10_000_000)

    assert seen == [2.0, 3.0]


# Linux's CLOCK_REALTIME_COARSE has the number 5, but no name in Python.
@pytest.mark.parametrize("name", ["CLOCK_BOOTTIME", "CLOCK_MONOTONIC_RAW", "CLOCK_TAI", 5])
def test_every_clock_of_the_system_is_virtual(name: Any) -> None:
    clock = getattr(time, name) if isinstance(name, str) else name
    with kernel() as simulation:
        first = time.clock_gettime(clock)
        simulation.run_until(5_000_000)
        passed = time.clock_gettime(clock) - first, time.clock_gettime_ns(clock)

    assert passed == (5.0, round((first + 5) * 10**9))


def test_processor_time_is_real_again_afterwards_and_in_foreign_threads() -> None:
    functions = process_time, os.times, resource.getrusage, time.clock_gettime
    with kernel():
        stand_ins = process_time, os.times, resource.getrusage, time.clock_gettime
    used = stand_ins[0](), stand_ins[1]().user, stand_ins[2](resource.RUSAGE_SELF).ru_maxrss

    assert all(used)
    assert functions == (process_time, os.times, resource.getrusage, time.clock_gettime)
