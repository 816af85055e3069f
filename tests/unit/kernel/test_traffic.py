from __future__ import annotations

import _socket
import asyncio
import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.errors import NetworkRefused
from tqsim.kernel import Kernel, traffic

_REAL_MONOTONIC = time.monotonic


class Server:
    """A real server in a real thread: it answers each line once somebody waits, and ``quiet`` not at all."""

    def __init__(self) -> None:
        self.simulation: Kernel | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.ExitStack() as connections:
            sockets = [self._listener]
            while True:
                for sock in select.select(sockets, [], [])[0]:
                    if sock is not self._listener:
                        self._answer(sock, sockets)
                        continue
                    try:
                        sockets.append(connections.enter_context(sock.accept()[0]))
                    except OSError:
                        return

    def _answer(self, sock: socket.socket, sockets: list[socket.socket]) -> None:
        data = sock.recv(100)
        if not data:
            sockets.remove(sock)
        elif data != b"quiet":
            while self.simulation is not None and not self.simulation._readiness.watched:
                pass
            sock.sendall(data.upper())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def run(server: Server, *bodies: Callable[[], Any], **options: Any) -> list[tuple[float, Any]]:
    """Run each body in a simulated process that may use the server; return when each ended, and what it gave."""
    found: list[tuple[float, Any]] = []
    with kernel(allow_network=["127.0.0.1"], **options) as simulation:
        server.simulation = simulation

        def note(body: Callable[[], Any]) -> None:
            try:
                answer = body()
            except Exception as error:  # noqa: BLE001 - it is the answer
                answer = error
            found.append((simulation.now_s, answer))

        for body in bodies:
            simulation.loop.spawn(lambda body=body: note(body), "f", simulation.new_process("p"))  # type: ignore[misc]
        simulation.run_until(10**11)
    server.simulation = None
    return found


def sleep() -> None:
    time.sleep(1)  # virtual


def test_an_answer_of_the_outside_takes_no_virtual_time(server: Server) -> None:
    """As with a client that blocks; nor does a timeout strike, nor does another process go on in time."""

    def work() -> list[bytes]:
        async def main() -> list[bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            answers = []
            for word in (b"one", b"two"):
                writer.write(word)
                answers.append(await asyncio.wait_for(reader.readexactly(3), timeout=0.5))
            writer.close()
            await writer.wait_closed()
            return answers

        return asyncio.run(main())

    assert run(server, work, sleep) == [(0.0, [b"ONE", b"TWO"]), (1.0, None)]


def test_a_connection_without_a_question_holds_up_nobody(server: Server) -> None:
    """As one in a pool: in fifty hours of virtual sleep only the first second could be a real one."""

    def work() -> bytes:
        async def main() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"one")
            answer = await reader.readexactly(3)
            for _ in range(50):
                await asyncio.sleep(1)
            writer.close()
            await writer.wait_closed()
            return answer

        return asyncio.run(main())

    begin = _REAL_MONOTONIC()
    assert run(server, work) == [(50.0, b"ONE")]
    assert _REAL_MONOTONIC() - begin < 4


def test_an_answer_that_never_comes_is_waited_for_a_while_only(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "_ANSWER_S", 0.1)

    def work() -> str:
        async def main() -> str:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"quiet")
            try:
                await asyncio.wait_for(reader.read(10), timeout=30)
            except TimeoutError:
                return "timed out"
            finally:
                writer.close()
            return "answered"

        return asyncio.run(main())

    begin = _REAL_MONOTONIC()
    assert run(server, work) == [(30.0, "timed out")]
    assert _REAL_MONOTONIC() - begin >= 0.1


def test_a_connection_that_c_code_uses_is_waited_for(server: Server) -> None:
    """Of what a database driver in C sends nothing is seen."""

    def work() -> bytes:
        sock = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.connect(("127.0.0.1", server.port))
            sock.send(b"one")
            assert select.select([sock], [], [], 0.5)[0] == [sock]
            return sock.recv(3)
        finally:
            sock.close()

    assert run(server, work, sleep) == [(0.0, b"ONE"), (1.0, None)]


def test_what_does_not_leave_the_process_is_waited_for_in_virtual_time(server: Server) -> None:
    def work() -> list[Any]:
        one, other = socket.socketpair()
        with one, other, socket.create_server(("127.0.0.1", 0)) as listener:
            one.sendall(b"x")
            return [select.select([one, listener], [], [], 60)[0], other.recv(1)]

    begin = _REAL_MONOTONIC()
    assert run(server, work) == [(60.0, [[], b"x"])]
    assert _REAL_MONOTONIC() - begin < 4


def test_a_socket_that_is_followed_is_guarded_all_the_same(server: Server) -> None:
    """Who sends is asked for by the module that calls, and that must not be the follower."""
    with socket.create_connection(("127.0.0.1", server.port)) as client, kernel(allow_network=["localhost:1"]):
        for send in (client.send, client.sendall, lambda data: client.sendmsg([data])):
            with pytest.raises(NetworkRefused):
                send(b"x")


def test_sockets_are_not_followed_without_a_network() -> None:
    names = ("recv", "recv_into", "recvmsg", "recvfrom")
    before = [getattr(socket.socket, name) for name in names]
    with kernel():
        assert [getattr(socket.socket, name) for name in names] == before
    with kernel(allow_network=["127.0.0.1"]):
        assert [getattr(socket.socket, name) for name in names] != before

    assert [getattr(socket.socket, name) for name in names] == before
