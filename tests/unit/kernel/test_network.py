from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel, refusal
from tqsim.errors import NetworkRefused, UsageError


def message(text: str) -> str:
    return (
        f"A real connection to {text} was refused at 2s: a simulation has no network. Answer it with "
        "sim.service(...), replace the client in the test, or allow it with "
        f'Simulation(allow_network=["{text}"]).'
    )


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def attempt(port: int, way: str) -> Any:
    """Reach for the port in one of the ways that Python code has."""
    address = ("127.0.0.1", port)
    if way == "create_connection":
        return socket.create_connection(address)
    if way == "getaddrinfo":
        return socket.getaddrinfo(*address)
    kind = socket.SOCK_DGRAM if way == "sendto" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as client:
        return client.sendto(b"x", address) if way == "sendto" else getattr(client, way)(address)


@pytest.mark.parametrize("way", ["connect", "connect_ex", "create_connection", "sendto", "getaddrinfo"])
def test_a_real_connection_is_refused_with_the_remedy(port: int, way: str) -> None:
    with kernel():
        time.sleep(2)  # virtual
        refused = refusal(NetworkRefused, lambda: attempt(port, way))

    assert refused == message(f"127.0.0.1:{port}")


def test_a_local_socket_of_another_program_is_refused() -> None:
    with kernel(), socket.socket(socket.AF_UNIX) as client:
        time.sleep(2)  # virtual
        assert refusal(NetworkRefused, lambda: client.connect("/run/docker.sock")) == message("/run/docker.sock")


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.1:{port}"])
def test_what_is_allowed_by_name_connects(port: int, allowed: str) -> None:
    with kernel(allow_network=[allowed.format(port=port)]):
        with socket.create_connection(("127.0.0.1", port)) as client:
            peer = client.getpeername()
        refused = refusal(NetworkRefused, lambda: socket.create_connection(("example.com", 80)))

    assert peer == ("127.0.0.1", port)
    assert refused.startswith("A real connection to example.com:80 was refused at 0s: ")


@pytest.mark.parametrize("entry", ["", 7, None])
def test_an_entry_that_is_no_address_is_refused(entry: Any) -> None:
    assert refusal(UsageError, lambda: kernel(allow_network=[entry])) == (
        f'allow_network={[entry]!r}: {entry!r} is not an address; expected text such as "localhost:5432".'
    )


def test_socket_pairs_and_asyncio_work() -> None:
    async def answer() -> str:
        await asyncio.sleep(0)
        return "done"

    with kernel():
        one, other = socket.socketpair()
        with one, other:
            one.sendall(b"hello")
            received = other.recv(5)
        result = asyncio.run(answer())

    assert (received, result) == (b"hello", "done")


def test_the_network_is_back_after_the_simulation(port: int) -> None:
    before = socket.socket.connect, socket.getaddrinfo
    with kernel():
        pass

    assert (socket.socket.connect, socket.getaddrinfo) == before
    socket.create_connection(("127.0.0.1", port)).close()


def test_threads_of_before_keep_the_network(port: int) -> None:
    """Such as execnet's or a debugger's."""
    go = threading.Event()
    peers: list[Any] = []

    def connect() -> None:
        go.wait()
        with socket.create_connection(("127.0.0.1", port)) as client:
            peers.append(client.getpeername())

    thread = threading.Thread(target=connect)
    thread.start()
    with kernel():
        go.set()
        while not peers:
            pass  # the other thread is a real one
    thread.join()

    assert peers == [("127.0.0.1", port)]


def lasting(port: int, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection."""
    client = socket.create_connection(("127.0.0.1", port))
    return client, server.accept()[0]


@pytest.mark.parametrize("way", ["send", "sendall", "sendmsg"])
def test_a_connection_of_before_is_refused_too(way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client, peer = lasting(port, server)
        data: Any = [b"x"] if way == "sendmsg" else b"x"
        with client, peer:
            with kernel():
                time.sleep(2)  # virtual
                refused = refusal(NetworkRefused, lambda: getattr(client, way)(data))
            with kernel(allow_network=[f"127.0.0.1:{port}"]):
                getattr(client, way)(data)
            getattr(client, way)(data)
            assert peer.recv(9) in (b"x", b"xx")

    assert refused == message(f"127.0.0.1:{port}").replace(
        f"A real connection to 127.0.0.1:{port} was refused at 2s",
        f"A connection to 127.0.0.1:{port} that was opened before the simulation was used and refused at 2s",
    )


def test_the_process_that_reaches_out_is_named() -> None:
    refused: list[str] = []
    with kernel() as simulation:
        process = simulation.new_process("w1")

        def reach() -> None:
            refused.append(refusal(NetworkRefused, lambda: socket.create_connection(("bank", 1))))

        simulation.loop.spawn(reach, "w1", process)
        simulation.run_until(1)

    assert refused[0].startswith("A real connection to bank:1 was refused at 0s in w1: a simulation has no network.")
