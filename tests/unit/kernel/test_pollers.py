from __future__ import annotations

import os
import select
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.kernel import Kernel

SELECTORS = [
    selectors.DefaultSelector,
    selectors.SelectSelector,
    selectors.PollSelector,
    selectors.EpollSelector,
]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def run(simulation: Kernel, *bodies: Callable[[], Any]) -> list[tuple[float, Any]]:
    """Run each body in a thread of one simulated process; return when each ended, and what it gave or raised."""
    found: list[tuple[float, Any]] = []
    process = simulation.new_process("p")

    def note(body: Callable[[], Any]) -> None:
        try:
            answer = body()
        except Exception as error:  # noqa: BLE001 - it is the answer
            answer = error
        found.append((simulation.now_s, answer))

    for body in bodies:
        simulation.loop.spawn(lambda body=body: note(body), body.__name__, process)  # type: ignore[misc]
    simulation.run_until(10**9)
    return found


def after(seconds: float, action: Callable[[], Any]) -> Callable[[], Any]:
    def later() -> None:
        time.sleep(seconds)  # virtual
        action()

    return later


def by_select(reader: int, timeout: float | None) -> list[int]:
    return select.select([reader], [], [], timeout)[0]


def by_poll(reader: int, timeout: float | None) -> list[int]:
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    return [number for number, _ in poll.poll(None if timeout is None else timeout * 1_000)]


def by_epoll(reader: int, timeout: float | None) -> list[int]:
    with select.epoll() as epoll:
        epoll.register(reader, select.EPOLLIN)
        return [number for number, _ in epoll.poll(timeout)]


def by_selector(kind: Any) -> Callable[[int, float | None], list[int]]:
    def wait(reader: int, timeout: float | None) -> list[int]:
        with kind() as selector:
            selector.register(reader, selectors.EVENT_READ)
            return [key.fd for key, _ in selector.select(timeout)]

    wait.__name__ = kind.__name__
    return wait


WAYS = [by_select, by_poll, by_epoll, *map(by_selector, SELECTORS)]


@pytest.mark.parametrize("wait", WAYS)
class TestEachWay:
    def test_a_timeout_passes_virtual_time(self, wait: Any, pipe: tuple[int, int]) -> None:
        with kernel() as simulation:
            assert run(simulation, lambda: wait(pipe[0], 600)) == [(600.0, [])]

    @pytest.mark.parametrize("timeout", [60, None])
    def test_it_ends_when_another_thread_has_written(self, wait: Any, timeout: Any, pipe: tuple[int, int]) -> None:
        with kernel() as simulation:
            found = run(simulation, lambda: wait(pipe[0], timeout), after(2, lambda: os.write(pipe[1], b"x")))

        assert found == [(2.0, None), (2.0, [pipe[0]])]

    def test_what_is_there_is_found_at_once(self, wait: Any, pipe: tuple[int, int]) -> None:
        os.write(pipe[1], b"x")
        with kernel() as simulation:
            found = run(simulation, lambda: wait(pipe[0], 60), lambda: wait(pipe[0], 0))

        assert found == [(0.0, [pipe[0]])] * 2

    def test_what_comes_at_the_last_moment_is_found(self, wait: Any, pipe: tuple[int, int]) -> None:
        """A thread whose timeout has passed is held back, and asks once more before it goes on."""
        seen = set()
        for seed in range(40):
            with kernel(policy="random", preemption_us=10_000, seed=seed) as simulation:
                found = run(simulation, lambda: wait(pipe[0], 2), after(2, lambda: os.write(pipe[1], b"x")))
            is_written_before = found[0][1] is None and found[0][0] < found[1][0]
            seen.add((is_written_before, found[1][1] == [pipe[0]]))
            os.read(pipe[0], 1)

        assert (True, True) in seen
        assert (True, False) not in seen

    def test_asking_without_waiting_takes_no_time(self, wait: Any, pipe: tuple[int, int]) -> None:
        with kernel() as simulation:
            assert run(simulation, lambda: wait(pipe[0], 0)) == [(0.0, [])]

    def test_waiting_busily_passes_time(self, wait: Any, pipe: tuple[int, int]) -> None:
        """As one who looks at the clock in a loop is moved on."""

        def spin() -> int:
            while not wait(pipe[0], 0):
                pass
            return pipe[0]

        with kernel() as simulation:
            found = run(simulation, spin, after(0.001, lambda: os.write(pipe[1], b"x")))

        assert found[0] == (0.001, None)
        assert found[1][1] == pipe[0]

    def test_the_test_itself_waits_in_real_time(self, wait: Any) -> None:
        """As for a program that it has started."""
        program = [sys.executable, "-c", "import time; time.sleep(0.05); print('ready')"]
        with (
            kernel() as simulation,
            subprocess.Popen(program, stdout=subprocess.PIPE) as process,
        ):
            simulation.loop.call_later(10**6, lambda: None)
            assert process.stdout is not None
            found = wait(process.stdout.fileno(), 60)
            assert (found, simulation.now_s) == ([process.stdout.fileno()], 0.0)
            assert process.communicate()[0] == b"ready\n"

    def test_it_is_real_again_after_the_simulation(self, wait: Any, pipe: tuple[int, int]) -> None:
        with kernel():
            pass
        begin = time.monotonic()

        assert wait(pipe[0], 0.01) == []
        assert time.monotonic() - begin >= 0.01


def test_nothing_stays_patched() -> None:
    names = [(select, name) for name in ("select", "poll", "epoll")] + [(kind, "select") for kind in SELECTORS]
    before = [getattr(owner, name) for owner, name in names]
    with kernel():
        assert [getattr(owner, name) for owner, name in names] != before

    assert [getattr(owner, name) for owner, name in names] == before


@pytest.mark.parametrize("kind", SELECTORS)
def test_a_selector_of_before_waits_in_virtual_time(kind: Any, pipe: tuple[int, int]) -> None:
    with kind() as selector:
        selector.register(pipe[0], selectors.EVENT_READ)
        with kernel() as simulation:
            assert run(simulation, lambda: selector.select(5)) == [(5.0, [])]


def test_several_threads_wait_with_one_epoll(pipe: tuple[int, int]) -> None:
    with kernel() as simulation:
        made: list[Any] = []

        def wait() -> Any:
            if not made:
                made.append(select.epoll())
                made[0].register(pipe[0], select.EPOLLIN)
            return made[0].poll(60)

        found = run(simulation, wait, wait, after(1, lambda: os.write(pipe[1], b"x")))
        made[0].close()

    assert found == [(1.0, None), *[(1.0, [(pipe[0], select.EPOLLIN)])] * 2]


def test_an_epoll_has_the_methods_of_a_real_one() -> None:
    with kernel() as simulation:

        def work() -> list[Any]:
            with select.epoll(5, select.EPOLL_CLOEXEC) as epoll:
                number = epoll.fileno()
                with select.epoll.fromfd(os.dup(number)) as again:
                    found = [again.fileno() != number, epoll.closed]
            return [*found, epoll.closed]

        assert run(simulation, work) == [(0.0, [True, False, True])]


def test_writing_is_waited_for_too() -> None:
    """Until the other side has read enough."""
    one, other = socket.socketpair()
    with one, other, kernel() as simulation:
        one.setblocking(False)
        while one in select.select([], [one], [], 0)[1]:
            one.send(b"x" * 10_000)

        def write() -> list[Any]:
            return select.select([], [one], [], 60)[1]

        found = run(simulation, write, after(3, lambda: other.recv(1 << 20)))

        assert found == [(3.0, None), (3.0, [one])]


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, "timeout must be non-negative"), (float("nan"), "Invalid value NaN (not a number)")],
)
def test_a_timeout_that_is_none_is_judged_by_the_real_function(timeout: float, error: str) -> None:
    with kernel() as simulation:
        assert repr(run(simulation, lambda: select.select([], [], [], timeout))[0][1]) == repr(ValueError(error))


@pytest.mark.parametrize("timeout", [0, 60])
def test_what_is_no_descriptor_is_judged_by_the_real_function(timeout: float) -> None:
    nothing: Any = object()
    with kernel() as simulation:
        found = run(simulation, lambda: select.select([nothing], [], [], timeout), lambda: by_poll(nothing, timeout))

    message = "argument must be an int, or have a fileno() method"
    assert [(type(error), str(error).rstrip(".")) for _, error in found] == [(TypeError, message)] * 2


def test_a_descriptor_that_is_closed_meanwhile_is_an_error() -> None:
    reader, writer = os.pipe()
    with kernel() as simulation:
        found = run(simulation, lambda: select.select([reader], [], [], 60), after(1, lambda: os.close(reader)))
    os.close(writer)

    assert [(at, str(answer)) for at, answer in found] == [(1.0, "None"), (1.0, "[Errno 9] Bad file descriptor")]


# -- simulated sockets ----------------------------------------------------------------------------


class Socket:
    """A simulated socket with a box for what has come."""

    def __init__(self, simulation: Kernel) -> None:
        self.box: list[str] = []
        self.wire = simulation.wires.new(lambda: bool(self.box))

    def fileno(self) -> int:
        return self.wire.fileno()

    def receive(self) -> None:
        self.box.append("x")
        self.wire.notify()


@pytest.mark.parametrize("wait", [by_select, by_poll, by_epoll])
def test_a_simulated_socket_is_waited_for(wait: Any) -> None:
    with kernel() as simulation:
        sock = Socket(simulation)
        number = sock.fileno()
        found = run(
            simulation,
            lambda: wait(number, 1),
            lambda: wait(number, 60),
            after(2, sock.receive),
            after(3, lambda: wait(number, 0)),
        )

        assert found == [(1.0, []), (2.0, None), (2.0, [number]), (3.0, None)]
        assert sock.wire.pollers == []


def test_simulated_and_real_sockets_go_together(pipe: tuple[int, int]) -> None:
    with kernel() as simulation:
        sock = Socket(simulation)
        both: list[Any] = [pipe[0], sock]

        def wait() -> list[Any]:
            return [select.select(both, [sock], [], timeout) for timeout in (0, 5)]

        def wait_to_read() -> list[Any]:
            return [*select.select(both, [], [], 60), *select.select(both, [], [sock], 60)]

        found = run(simulation, wait, wait_to_read, after(1, sock.receive), after(2, lambda: os.write(pipe[1], b"x")))

        assert found[0] == (0.0, [([], [sock], [])] * 2)
        assert found[2] == (1.0, [[sock], [], [], [sock], [], []])


def test_a_poll_knows_what_a_simulated_socket_is_watched_for() -> None:
    with kernel() as simulation:
        sock = Socket(simulation)

        def work() -> list[Any]:
            found = []
            pollers: list[Any] = [select.poll(), select.epoll()]
            for poller in pollers:
                poller.register(sock, select.POLLIN)
                found.append(poller.poll(0))
                poller.modify(sock, select.POLLIN | select.POLLOUT)
                found.append(poller.poll(0))
                poller.unregister(sock)
                found.append(poller.poll(0))
            return found

        number = sock.fileno()
        assert run(simulation, work) == [(0.0, [[], [(number, select.POLLOUT)], []] * 2)]
