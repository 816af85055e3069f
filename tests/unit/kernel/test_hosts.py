from __future__ import annotations

import platform
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel, refusal
from tqsim.errors import NetworkRefused


def test_every_process_runs_on_one_host_whatever_the_machine_is_called() -> None:
    before = socket.gethostname(), platform.node()
    with kernel():
        names = [socket.gethostname(), platform.node(), socket.getfqdn(), socket.getfqdn("sim"), socket.getfqdn("shop")]
        addresses = [socket.gethostbyname(name) for name in ("sim", "localhost", "10.0.0.7")]
        found = socket.gethostbyaddr("127.0.0.1"), socket.gethostbyname_ex("sim")
        service = socket.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICSERV)

    assert names == ["sim", "sim", "sim", "sim", "shop"]
    assert addresses == ["127.0.0.1", "127.0.0.1", "10.0.0.7"]
    assert found == (("sim", [], ["127.0.0.1"]), ("sim", [], ["127.0.0.1"]))
    assert service == ("sim", "80")
    assert (socket.gethostname(), platform.node()) == before


@pytest.mark.parametrize(
    "ask",
    [
        lambda: socket.gethostbyname("bank.example"),
        lambda: socket.gethostbyname_ex("bank.example"),
        lambda: socket.gethostbyaddr("bank.example"),
        lambda: socket.getnameinfo(("bank.example", 80), 0),
    ],
)
def test_other_names_are_refused_like_a_connection(ask: Callable[[], Any]) -> None:
    with kernel():
        message = refusal(NetworkRefused, ask)

    assert message == (
        "The address of bank.example was asked for and refused at 0s: a simulation has no network. Answer it with "
        "sim.service(...), replace the client in the test, or allow it with "
        'Simulation(allow_network=["bank.example"]).'
    )


def test_an_allowed_name_is_asked_for_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel(allow_network=["bank.example"]):
        monkeypatch.setattr("tqsim.kernel.hosts._REAL_GETHOSTBYNAME", lambda name: f"the address of {name}")
        answer = socket.gethostbyname("bank.example")

    assert answer == "the address of bank.example"
