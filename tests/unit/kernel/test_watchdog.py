"""The stall watchdog: it judges by real time, so nothing here depends on how fast the machine is."""

from __future__ import annotations

import bdb
import subprocess
import sys
import textwrap
import threading

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.errors import NoProgress
from tqsim.kernel.watchdog import Watchdog

STALLED = (
    "Stalled at 2s: spinner of w1 has not given way for 0.1 real seconds. It computes without end, or it blocks on "
    "something that is not simulated (a lock made before the simulation opened, a C extension, a socket). The "
    "stacks are on standard error."
)


def run_program(text: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own, as a stall writes stacks to the real standard error."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=50,
    )


BEGIN = """
import threading, time
from tests.unit.kernel.kernels import kernel
from tqsim.errors import NoProgress

native = threading.Lock()
native.acquire()

def stalled(spin):
    with kernel(stall_s=0.1) as simulation:
        time.sleep(2)
        simulation.loop.spawn(spin, "spinner", simulation.new_process("w1"))
        try:
            simulation.run_until(10**9)
        except NoProgress as error:
            print(error)
"""


@pytest.mark.parametrize(
    "spin",
    [
        "while True: pass",
        "native.acquire()",
        "threading.main_thread(); [0 for _ in iter(int, 1)]",
    ],
)
def test_a_stall_ends_with_the_name_of_the_fiber_and_all_stacks(spin: str) -> None:
    ended = run_program(f"{BEGIN}\ndef spin():\n    {spin}\nstalled(spin)")

    assert (ended.returncode, ended.stdout) == (0, f"{STALLED}\n")
    assert "in spin" in ended.stderr


def test_a_stall_is_found_where_the_shell_has_interrupts_ignored() -> None:
    """So it starts a job in the background: ``pytest &`` in a script."""
    ignore = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"
    check = "print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
    ended = run_program(f"{BEGIN}\n{ignore}\ndef spin():\n    native.acquire()\nstalled(spin)\n{check}")

    assert (ended.returncode, ended.stdout) == (0, f"{STALLED}\nTrue\n")


def test_code_that_swallows_the_interrupt_does_not_hide_the_stall() -> None:
    ended = run_program(f"""{BEGIN}
def spin():
    try:
        while True:
            pass
    except BaseException:
        time.sleep(1)

stalled(spin)
""")

    assert (ended.returncode, ended.stdout) == (0, f"{STALLED}\n")


def test_code_that_never_gives_way_is_aborted_with_a_message() -> None:
    ended = run_program(f"""{BEGIN}
def spin():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

stalled(spin)
""")

    assert ended.returncode == -6
    assert f"tqsim gives up: {STALLED}\n" in ended.stderr


def test_the_test_itself_may_compute_for_as_long_as_it_likes() -> None:
    """Real time passes while the fiber that opened the simulation runs; the watchdog looks many times."""
    with kernel(stall_s=0.01) as simulation:
        looks = _CountedLooks(simulation._watchdog)
        while looks.count < 20:
            pass
        simulation.run_until(10)

        assert simulation.loop.verdict is None


class _CountedLooks:
    def __init__(self, watchdog: Watchdog) -> None:
        self.count = 0
        wait = watchdog._stop.wait

        def counting(timeout: float | None = None) -> bool:
            self.count += 1
            return wait(timeout)

        watchdog._stop.wait = counting  # type: ignore[method-assign]


def test_it_is_off_when_the_stall_is_zero_and_its_thread_ends_with_the_simulation() -> None:
    before = threading.active_count()
    with kernel(stall_s=0.0):
        off = threading.active_count()
    with kernel(stall_s=60.0):
        on = threading.active_count()

    assert (off, on, threading.active_count()) == (before, before + 1, before)


def test_it_is_off_under_a_debugger() -> None:
    before, trace = threading.active_count(), sys.gettrace()
    debugger = bdb.Bdb()
    debugger.reset()
    sys.settrace(debugger.trace_dispatch)
    try:
        with kernel(stall_s=60.0):
            during = threading.active_count()
    finally:
        sys.settrace(trace)

    assert during == before


def test_its_verdict_is_no_progress() -> None:
    with kernel(stall_s=60.0) as simulation:
        simulation.loop.verdict = NoProgress("found")
        simulation.loop.housekeep_at = 0

        with pytest.raises(NoProgress, match=r"^found$"):
            simulation.run_until(10)
        simulation.run_until(20)
        assert simulation.loop.now_us == 20
