"""Which real servers the tests find, and the node that they start themselves."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.conformance.rabbitmq_node import Node
from tests.conformance.rabbitmq_site import Site

_HOST = "127.0.0.1"


def _listens(port: int) -> bool:
    try:
        socket.create_connection((_HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def silent_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def test_a_named_server_that_does_not_answer_is_missing(monkeypatch: pytest.MonkeyPatch, silent_port: int) -> None:
    monkeypatch.setenv("TQSIM_RABBITMQ", f"amqp://guest:guest@{_HOST}:{silent_port}//")
    missing = f"no RabbitMQ answers on {_HOST}:{silent_port} ([Errno 111] Connection refused)"
    assert (Site.missing(), Site.described()) == (missing, f"skipped, because {missing}")
    assert Site.rules() == "3.10"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQSIM_RABBITMQ", "own")
    monkeypatch.setenv("PATH", "")
    assert Site.missing() == "rabbitmq-server is not installed (Debian: apt install rabbitmq-server)"


@pytest.mark.conformance
@pytest.mark.slow
def test_a_node_of_our_own_ends_with_its_last_user(tmp_path: Path) -> None:
    missing = Node.missing()
    if missing is not None:
        pytest.skip(missing)
    first, second = Node(tmp_path / "node"), Node(tmp_path / "node")
    first.open()
    second.open()
    assert first.port == second.port
    first.close()
    time.sleep(0.5)
    assert _listens(second.port)
    second.close()
    deadline = time.monotonic() + 5
    while _listens(second.port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _listens(second.port)
    assert not (tmp_path / "node" / "ports").exists()
