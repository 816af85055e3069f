from __future__ import annotations

import asyncio
import gc
import logging
import os
import pathlib
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.kernel import Kernel, Process

GREETING = b"hello"


def start(simulation: Kernel, body: Callable[[], object], process: Process | None = None) -> Process:
    """Run ``body()`` as the main thread of a simulated process."""
    process = process or simulation.new_process("p")
    simulation.loop.spawn(body, "f", process)
    return process


def run(simulation: Kernel, *mains: Callable[[], Awaitable[Any]]) -> list[tuple[float, Any]]:
    """Run each coroutine in a process of its own; return when each ended, and what it gave or raised."""
    found: list[tuple[float, Any]] = []

    def note(main: Callable[[], Any]) -> None:
        try:
            answer = asyncio.run(main())
        except Exception as error:  # noqa: BLE001 - it is the answer
            answer = error
        found.append((simulation.now_s, answer))

    for main in mains:
        start(simulation, lambda main=main: note(main))  # type: ignore[misc]
    simulation.run_until(10**12)
    return found


def open_descriptors() -> int:
    return len(list(pathlib.Path("/proc/self/fd").iterdir()))


def test_a_sleep_of_days_ends_on_the_microsecond() -> None:
    """Of which asyncio waits for a day at most at a time (base_events.py, MAXIMUM_SELECT_TIMEOUT)."""

    async def main() -> None:
        await asyncio.sleep(86_400 * 7 + 0.1)

    with kernel(start="2030-05-06T07:08:09.123457Z") as simulation:
        assert run(simulation, main) == [(604_800.1, None)]


@pytest.mark.parametrize("delay", [5, 0.1, 1e-6, 3_600])
def test_a_loop_of_before_sleeps_on_the_microsecond_too(delay: float) -> None:
    """In the test itself: nothing due may seem to lie ahead of a clock that counts since 1970."""
    loop = asyncio.new_event_loop()
    resolution = loop._clock_resolution  # type: ignore[attr-defined]
    with kernel() as simulation:
        reads = simulation.loop.main.reads
        loop.run_until_complete(asyncio.sleep(delay))
        assert simulation.now_s == delay
        assert simulation.loop.main.reads - reads < 20
    assert loop._clock_resolution == resolution  # type: ignore[attr-defined]
    loop.close()


def test_a_loop_that_sleeps_has_no_descriptor() -> None:
    seen: list[int] = []

    async def main() -> None:
        await asyncio.sleep(1)
        seen.append(open_descriptors())

    with kernel() as simulation:
        before = open_descriptors()
        run(simulation, main)

        assert seen == [before]


def test_loops_watch_real_descriptors_too() -> None:
    """Two processes that talk over a socket pair, and one that sleeps meanwhile."""
    one, other = socket.socketpair()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(sock=one)
        await asyncio.sleep(2)
        writer.write(GREETING)
        answer = await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()
        return answer

    async def answer() -> None:
        reader, writer = await asyncio.open_connection(sock=other)
        question = await reader.readexactly(5)
        await asyncio.sleep(3)
        writer.write(question[::-1])
        writer.close()
        await writer.wait_closed()

    async def sleep() -> None:
        await asyncio.sleep(4)

    with kernel() as simulation:
        assert run(simulation, ask, answer, sleep) == [(4.0, None), (5.0, None), (5.0, GREETING[::-1])]


@pytest.mark.parametrize("kind", [selectors.SelectSelector, selectors.EpollSelector, selectors.PollSelector])
def test_a_loop_with_a_selector_of_its_own(kind: Any) -> None:
    def work() -> list[Any]:
        loop = asyncio.SelectorEventLoop(kind())
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return [runner.run(asyncio.to_thread(time.sleep, 3)), runner.run(asyncio.sleep(2, "slept"))]

    found: list[Any] = []
    with kernel() as simulation:
        start(simulation, lambda: found.append((work(), simulation.now_s)))
        simulation.run_until(10**8)

    assert found == [([None, "slept"], 5.0)]


# -- what is left behind --------------------------------------------------------------------------


async def linger(log: list[str]) -> None:
    try:
        await asyncio.sleep(1_000)
    finally:
        log.append("finally")


def leave_a_loop_behind(log: list[str]) -> None:
    """As code that never closes its loop, with one task that waits and one that has not begun."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.add_signal_handler(signal.SIGUSR2, log.append, "signal")
    waiting = loop.create_task(linger(log))
    loop.run_until_complete(asyncio.sleep(1))
    log.append(str(waiting.done()))
    log.append(f"{loop.create_task(linger(log)).done()}")


def run_for_ever(log: list[str]) -> None:
    asyncio.run(linger(log))


def block_in_a_thread(log: list[str]) -> None:
    asyncio.run(asyncio.to_thread(time.sleep, 1_000))


@pytest.mark.parametrize("is_killed", [True, False])
@pytest.mark.parametrize("body", [leave_a_loop_behind, run_for_ever, block_in_a_thread])
def test_a_loop_that_is_left_behind_is_closed_without_a_word(
    body: Callable[[list[str]], None],
    is_killed: bool,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A ``ResourceWarning`` would be an error here."""
    before = open_descriptors(), signal.getsignal(signal.SIGUSR2), signal.set_wakeup_fd(-1)
    hooks = sys.get_asyncgen_hooks()
    log: list[str] = []
    with kernel() as simulation:
        process = start(simulation, lambda: body(log))
        simulation.run_until(5 * 10**6)
        if is_killed:
            simulation.end_process(process, -9)
        assert log == (["False"] * 2 if body is leave_a_loop_behind else [])
        assert open_descriptors() == before[0]
    gc.collect()

    assert (open_descriptors(), signal.getsignal(signal.SIGUSR2), signal.set_wakeup_fd(-1)) == before
    assert sys.get_asyncgen_hooks() == hooks
    assert asyncio._get_running_loop() is None
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_connection_that_is_left_behind_is_closed_without_a_word(is_killed: bool) -> None:
    one, other = socket.socketpair()

    async def main() -> None:
        reader, _ = await asyncio.open_connection(sock=one)
        await reader.read()

    with other:
        with kernel() as simulation:
            process = start(simulation, lambda: asyncio.run(main()))
            simulation.run_until(10)
            if is_killed:
                simulation.end_process(process, -9)
        gc.collect()

        assert other.recv(1) == b""


# -- signals and threads --------------------------------------------------------------------------


def test_a_signal_wakes_the_loop_that_asked_for_it() -> None:
    async def main() -> list[Any]:
        loop, seen = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, seen.set)
        await seen.wait()
        return [loop.remove_signal_handler(signal.SIGTERM), signal.getsignal(signal.SIGTERM)]

    before = signal.getsignal(signal.SIGTERM)
    found: list[Any] = []
    with kernel() as simulation:
        process = start(simulation, lambda: found.append((asyncio.run(main()), simulation.now_s)))
        other = start(simulation, lambda: time.sleep(100))
        simulation.run_until(3 * 10**6)
        simulation.system.kill(process.pid, signal.SIGTERM)
        simulation.run_until(4 * 10**6)

        assert found == [([True, signal.SIG_DFL], 3.0)]
        assert signal.getsignal(signal.SIGTERM) == before
        assert other.is_alive


def test_a_handler_may_wake_the_loop_in_which_it_interrupts() -> None:
    """As asyncio's own handler of Ctrl-C does (asyncio/runners.py, _on_sigint)."""

    async def main() -> str:
        loop, seen = asyncio.get_running_loop(), asyncio.Event()
        signal.signal(signal.SIGINT, lambda number, frame: loop.call_soon_threadsafe(seen.set))
        await seen.wait()
        return "seen"

    found: list[Any] = []
    with kernel() as simulation:
        process = start(simulation, lambda: found.append((asyncio.run(main()), simulation.now_s)))
        simulation.run_until(3 * 10**6)
        simulation.system.kill(process.pid, signal.SIGINT)
        simulation.run_until(4 * 10**6)

    assert found == [("seen", 3.0)]


def test_a_signal_is_written_to_the_descriptor_that_a_process_names() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    found: list[Any] = []

    def work() -> None:
        signal.signal(signal.SIGUSR1, lambda number, frame: None)
        found.append(signal.set_wakeup_fd(writer))
        time.sleep(10)  # virtual
        found.extend([signal.set_wakeup_fd(-1), os.read(reader, 10)])

    with kernel() as simulation:
        process = start(simulation, work)
        other = start(simulation, lambda: found.append(signal.set_wakeup_fd(-1)))
        simulation.run_until(10**6)
        simulation.system.kill(process.pid, signal.SIGUSR1)
        simulation.run_until(10**8)

        assert other.is_alive
        assert found == [-1, -1, writer, bytes([signal.SIGUSR1])]
    os.close(reader)
    os.close(writer)


def test_only_the_main_thread_of_a_process_may_name_a_descriptor() -> None:
    found: list[str] = []

    def work() -> None:
        try:
            signal.set_wakeup_fd(-1)
        except ValueError as error:
            found.append(str(error))

    def main() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with kernel() as simulation:
        start(simulation, main)
        simulation.run_until(10)

    assert found == ["set_wakeup_fd only works in main thread of the main interpreter"]


def test_debug_mode_of_one_loop_is_not_that_of_others() -> None:
    """How far the origin of a coroutine is noted is a setting of the thread."""
    depths: list[tuple[str, int]] = []

    async def main(name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        depths.append((name, sys.get_coroutine_origin_tracking_depth()))

    with kernel() as simulation:
        start(simulation, lambda: asyncio.run(main("debug", 2), debug=True))
        start(simulation, lambda: asyncio.run(main("plain", 1), debug=False))
        simulation.run_until(10**8)

    assert [(name, depth > 0) for name, depth in depths] == [("plain", False), ("debug", True)]
    assert sys.get_coroutine_origin_tracking_depth() == 0


def test_nothing_stays_patched() -> None:
    kind = asyncio.SelectorEventLoop
    names = [(kind, "__init__"), (kind, "_make_self_pipe"), (signal, "set_wakeup_fd"), (signal, "siginterrupt")]
    before = [getattr(owner, name) for owner, name in names]
    with kernel():
        assert [getattr(owner, name) for owner, name in names] != before

    assert [getattr(owner, name) for owner, name in names] == before
