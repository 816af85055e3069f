from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable
from signal import sigtimedwait
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel, refusal
from tqsim.errors import UnsupportedError, UsageError
from tqsim.kernel import Kernel, Process

REMEDY = (
    " was called inside a simulation: a real process cannot live in virtual time. Replace the call in the test, or "
    "give its work to a service (sim.service) or a cost (sim.cost)."
)


def inside(simulation: Kernel, action: Callable[[], Any], process: Process | None = None) -> Any:
    """Return what ``action()`` gives in a simulated process, or the error that it raises."""
    answers: list[Any] = []

    def body() -> None:
        try:
            answers.append(action())
        except Exception as error:  # noqa: BLE001 - it is the answer
            answers.append(error)

    simulation.loop.spawn(body, "f", process or simulation.new_process("p"))
    simulation.run_until(simulation.loop.now_us + 10)
    return answers[0] if answers else None


def test_pids_lie_above_the_largest_real_one() -> None:
    largest = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text(encoding="utf-8"))
    with kernel() as simulation:
        parent = simulation.new_process("w1")
        child = simulation.new_process("w1.1", parent)
        seen = inside(simulation, lambda: (os.getpid(), os.getppid(), os.getpgid(os.getpid())), child)
        test_pid = os.getpid()

    assert seen == (child.pid, parent.pid, parent.pid)
    assert largest <= 4_194_304 < min(parent.pid, child.pid, test_pid)
    assert len({parent.pid, child.pid, test_pid}) == 3
    assert os.getpid() <= largest


def test_a_signal_to_a_foreign_process_is_refused() -> None:
    foreign = os.getpid()
    with kernel() as simulation:
        error = inside(simulation, lambda: os.kill(foreign, signal.SIGTERM))
        group = inside(simulation, lambda: os.killpg(foreign, signal.SIGTERM))
        probe = inside(simulation, lambda: os.kill(foreign, 0))

    assert (type(error), str(error)) == (
        UsageError,
        (
            f"os.kill({foreign}, 15): {foreign} is not a process of this simulation; a signal from inside a "
            "simulation never reaches a real process."
        ),
    )
    assert (type(group), type(probe)) == (UsageError, ProcessLookupError)


def test_a_signal_ends_a_simulated_process_by_default() -> None:
    with kernel() as simulation:
        victim = simulation.new_process("victim")
        inside(simulation, lambda: os.kill(victim.pid, signal.SIGTERM))
        again = inside(simulation, lambda: os.kill(victim.pid, signal.SIGTERM))

        assert (victim.is_alive, victim.exit_code, type(again)) == (False, -15, ProcessLookupError)


@pytest.mark.parametrize("number", [signal.SIGCHLD, signal.SIGCONT, 0])
def test_some_signals_do_nothing_by_default(number: int) -> None:
    with kernel() as simulation:
        victim = simulation.new_process("victim")
        inside(simulation, lambda: os.kill(victim.pid, number))

        assert victim.is_alive


def test_handlers_belong_to_a_process() -> None:
    log: list[Any] = []
    with kernel() as simulation:
        one, other = simulation.new_process("one"), simulation.new_process("other")

        def body() -> None:
            log.append(signal.signal(signal.SIGTERM, lambda number, frame: log.append((number, os.getpid()))))
            log.append(callable(signal.getsignal(signal.SIGTERM)))
            time.sleep(5)  # virtual
            log.append("slept")

        simulation.loop.spawn(body, "one", one)
        simulation.loop.spawn(lambda: time.sleep(5), "other", other)
        simulation.run_until(10)
        untouched = inside(simulation, lambda: signal.getsignal(signal.SIGTERM), other)
        for process in (one, other):
            simulation.system.kill(process.pid, signal.SIGTERM)
        simulation.run_until(10**7)

        assert log == [signal.SIG_DFL, True, (15, one.pid), "slept"]
        assert (untouched, one.is_alive, other.exit_code) == (signal.SIG_DFL, True, -15)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_an_ignored_signal_does_nothing_but_sigkill_cannot_be_ignored() -> None:
    with kernel() as simulation:
        process = simulation.new_process("w")
        process.handlers.update({signal.SIGTERM: signal.SIG_IGN, signal.SIGKILL: signal.SIG_IGN})
        simulation.system.deliver(process, signal.SIGTERM)
        survived = process.is_alive
        simulation.system.deliver(process, signal.SIGKILL)

        assert (survived, process.exit_code) == (True, -9)


@pytest.mark.parametrize(("ways", "code"), [("_exit", 3), ("abort", -6), ("kill", -9), ("raise_signal", -15)])
def test_a_process_that_ends_itself_runs_no_finally_and_ends_alone(ways: str, code: int) -> None:
    log: list[str] = []
    with kernel() as simulation:
        parent = simulation.new_process("w1")
        child = simulation.new_process("w1.1", parent)

        def body() -> None:
            try:
                if ways == "_exit":
                    os._exit(3)
                elif ways == "abort":
                    os.abort()
                elif ways == "raise_signal":
                    signal.raise_signal(signal.SIGTERM)
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
                log.append("went on")
            finally:
                log.append("finally")

        simulation.loop.spawn(body, "child", child)
        simulation.run_until(10)

        assert (log, child.exit_code, parent.is_alive) == ([], code, True)


def test_the_test_itself_may_not_exit_through_the_simulation() -> None:
    with kernel() as simulation:
        simulation.loop.current = simulation.loop.spawn(lambda: None, "f", simulation.main)
        try:
            with pytest.raises(UsageError) as caught:
                os._exit(3)
        finally:
            simulation.loop.current = simulation.loop.main

    assert str(caught.value) == "os._exit(3) was called by the test itself, not by a simulated process."


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("os.fork()", lambda: os.fork()),  # noqa: PLW0108 - bound late
        ("signal.alarm()", lambda: signal.alarm(1)),
        ("signal.setitimer()", lambda: signal.setitimer(signal.ITIMER_REAL, 1)),
        ("subprocess.Popen(['true'])", lambda: subprocess.run(["true"], check=True)),
        ("subprocess.Popen('true')", lambda: subprocess.Popen("true", shell=True)),
        ("os.system('true')", lambda: os.system("true")),
        ("subprocess.Popen('true')", lambda: os.popen("true")),
        ("os.posix_spawn('/bin/true')", lambda: os.posix_spawn("/bin/true", ["true"], {})),
        ("os.execv('/bin/true')", lambda: os.execv("/bin/true", ["true"])),
        ("os.forkpty()", lambda: os.forkpty()),  # noqa: PLW0108 - bound late
    ],
)
def test_real_processes_and_alarms_are_refused_by_name(name: str, action: Callable[[], Any]) -> None:
    with kernel() as simulation:
        error = inside(simulation, action)

    assert (type(error), str(error)) == (UnsupportedError, name + REMEDY)


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("signal.pause()", lambda: signal.pause()),  # noqa: PLW0108 - bound late
        ("signal.sigwait([10])", lambda: signal.sigwait([10])),
        ("signal.sigwaitinfo([10])", lambda: signal.sigwaitinfo([10])),
        ("signal.sigtimedwait([10], 5)", lambda: signal.sigtimedwait([10], 5)),
        ("signal.sigtimedwait([], 5)", lambda: sigtimedwait([], 5)),
    ],
)
def test_waiting_for_signals_is_refused_by_name(call: str, action: Callable[[], Any]) -> None:
    with kernel() as simulation:
        error = inside(simulation, action)

    message = (
        f"{call} was called inside a simulation, where signals reach handlers and nobody who waits for them. "
        "Set a handler with signal.signal(), and wait for a threading.Event that it sets."
    )
    assert (type(error), str(error)) == (UnsupportedError, message)


def test_the_test_itself_may_wait_for_signals() -> None:
    with kernel():
        assert signal.sigtimedwait([signal.SIGUSR2], 0) is None


def test_the_test_itself_may_start_programs() -> None:
    with kernel():
        ended = subprocess.run(["true"], check=False)

    assert ended.returncode == 0


def test_everything_of_the_system_is_put_back() -> None:
    def names() -> list[Any]:
        functions = ("getpid", "getppid", "kill", "killpg", "_exit", "abort", "fork", "system", "posix_spawn", "execv")
        parts = [getattr(os, name) for name in functions]
        waits = [signal.pause, signal.sigwait, signal.sigwaitinfo, signal.sigtimedwait]
        return [
            *parts,
            *waits,
            signal.raise_signal,
            signal.signal,
            signal.getsignal,
            signal.alarm,
            subprocess.Popen.__init__,
        ]

    before = names()
    with kernel():
        inside_names = names()

    assert names() == before
    assert not any(one is other for one, other in zip(before, inside_names, strict=True))


def test_a_process_of_multiprocessing_is_refused() -> None:
    context = multiprocessing.get_context("spawn")
    with kernel() as simulation:
        process = simulation.new_process("w1")
        refused = inside(simulation, lambda: refusal(UnsupportedError, context.Process(target=print).start), process)

    assert refused.startswith("A new process (")
    assert refused.endswith(
        "...) was called inside a simulation: a real process cannot live in virtual time. Replace the call in the "
        "test, or give its work to a service (sim.service) or a cost (sim.cost)."
    )


def test_the_tests_own_processes_stay_manageable() -> None:
    """It started them before, and looks after them inside."""
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    child.start()
    with kernel():
        assert child.is_alive()
        os.kill(os.getpid(), 0)
        child.terminate()
        child.join()

    assert child.exitcode == -signal.SIGTERM


def test_a_simulated_process_cannot_end_the_test() -> None:
    with kernel() as simulation:
        test_pid = os.getpid()
        process = simulation.new_process("w1")
        inside(simulation, lambda: os.kill(test_pid, 0), process)
        message = inside(simulation, lambda: refusal(UsageError, lambda: os.kill(test_pid, signal.SIGTERM)), process)

    assert message == (
        f"os.kill({test_pid}, 15): {test_pid} is the process of the test itself; a simulated process cannot end it."
    )
