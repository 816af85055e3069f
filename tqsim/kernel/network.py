"""No real network inside a simulation, unless it is allowed by name.

The main name is :class:`Network`.  A connect to anything but an allowed address is refused with
an error that says what to do.  Sockets that do not leave the process (``socketpair``) are left
alone, as asyncio needs them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

from tqsim import durations
from tqsim.errors import NetworkRefused, UsageError
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches

__all__ = ["Network"]

_REAL_CONNECT: Final = socket.socket.connect
_REAL_CONNECT_EX: Final = socket.socket.connect_ex
_REAL_SENDTO: Final = socket.socket.sendto
_REAL_GETADDRINFO: Final = socket.getaddrinfo


class Network:
    """Refuses connections for one loop; ``allowed`` lists ``"host:port"`` or ``"host"``."""

    def __init__(self, loop: Loop, allowed: Iterable[str], describe_task: Callable[[], str]) -> None:
        self._loop = loop
        self._describe_task = describe_task
        self._allowed = tuple(allowed)
        for entry in self._allowed:
            if not isinstance(entry, str) or not entry:
                raise UsageError(
                    f"allow_network={list(self._allowed)!r}: {entry!r} is not an address; expected text "
                    'such as "localhost:5432".'
                )

    def install(self, patches: Patches) -> None:
        """Guard the ways in which Python code opens a connection."""

        def connect(sock: socket.socket, address: Any) -> None:
            self._require(sock.family, address)
            _REAL_CONNECT(sock, address)

        def connect_ex(sock: socket.socket, address: Any) -> int:
            self._require(sock.family, address)
            return _REAL_CONNECT_EX(sock, address)

        def sendto(sock: socket.socket, *args: Any) -> int:
            self._require(sock.family, args[-1])
            return _REAL_SENDTO(sock, *args)

        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            self._require(socket.AF_INET, (host, port))
            return _REAL_GETADDRINFO(host, port, *args, **kwargs)

        patches.set(socket.socket, "connect", connect)
        patches.set(socket.socket, "connect_ex", connect_ex)
        patches.set(socket.socket, "sendto", sendto)
        patches.set(socket, "getaddrinfo", getaddrinfo)

    def _require(self, family: int, address: Any) -> None:
        loop = self._loop
        if loop.is_closed or not loop.in_loop_thread():
            return
        text = _address_text(family, address)
        if text in self._allowed or text.rsplit(":", 1)[0] in self._allowed:
            return
        raise NetworkRefused(
            f"A real connection to {text} was refused at {durations.text(loop.now_us)}"
            f"{self._describe_task()}: a simulation has no network. Answer it with sim.service(...), "
            f'replace the client in the test, or allow it with Simulation(allow_network=["{text}"]).'
        )


def _address_text(family: int, address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"{_text(host)}:{_text(port)}"
    return _text(address) if family == socket.AF_UNIX else str(address)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
