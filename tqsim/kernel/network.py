"""No real network inside a simulation, unless it is allowed by name.

The main name is :class:`Network`.  A connect to anything but an allowed address is refused with
an error that says what to do, and so is sending on a connection that was opened before.  Sockets
that do not leave the process (``socketpair``) are left alone, as asyncio needs them.

Left out: C code with sockets of its own, such as database drivers.
"""

from __future__ import annotations

import socket
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from tqsim import durations
from tqsim.errors import NetworkRefused, UsageError
from tqsim.kernel.hosts import Hosts
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches, asking_module, is_exempt, named
from tqsim.kernel.traffic import Traffic

__all__ = ["Network"]

_REAL_CONNECT: Final = socket.socket.connect
_REAL_CONNECT_EX: Final = socket.socket.connect_ex
_REAL_SENDTO: Final = socket.socket.sendto
_REAL_SENDMSG: Final = socket.socket.sendmsg
_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)
#: Where a send leads back to: TLS wraps a plain socket, files wrap both, and all of it is followed.
_IN_BETWEEN: Final = (__name__, Traffic.__module__, "socket", "ssl")
_REAL_GETADDRINFO: Final = socket.getaddrinfo


class Network:
    """Refuses connections for one loop; ``allowed`` lists ``"host:port"`` or ``"host"``."""

    def __init__(self, loop: Loop, allowed: Iterable[str], describe_task: Callable[[], str]) -> None:
        self._loop = loop
        self._describe_task = describe_task
        self._allowed = tuple(allowed)
        self._traffic = Traffic(loop)
        self._opened: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        #: The names of hosts, of which only allowed ones are asked for outside.
        self.hosts = Hosts(loop, self._is_allowed, self._refuse_name)
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
            self._opened.add(sock)

        def connect_ex(sock: socket.socket, address: Any) -> int:
            self._require(sock.family, address)
            self._opened.add(sock)
            return _REAL_CONNECT_EX(sock, address)

        def sendto(sock: socket.socket, *args: Any) -> int:
            self._require(sock.family, args[-1])
            return _REAL_SENDTO(sock, *args)

        def sendmsg(sock: socket.socket, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
            if address is not None:
                self._require(sock.family, address)
                return _REAL_SENDMSG(sock, buffers, ancdata, flags, address)
            self._require_new(sock)
            return _REAL_SENDMSG(sock, buffers, ancdata, flags)

        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            self._require(socket.AF_INET, (host, port))
            return _REAL_GETADDRINFO(host, port, *args, **kwargs)

        patches.set(socket.socket, "connect", connect)
        patches.set(socket.socket, "connect_ex", connect_ex)
        patches.set(socket.socket, "sendto", sendto)
        patches.set(socket.socket, "sendmsg", sendmsg)
        patches.set(socket, "getaddrinfo", getaddrinfo)
        kinds: list[Any] = [socket.socket]
        if "ssl" in sys.modules:
            kinds.append(sys.modules["ssl"].SSLSocket)
        for kind in kinds:
            for name in ("send", "sendall"):
                patches.set(kind, name, self._sending(getattr(kind, name)))
        if self._allowed:
            self._traffic.install(patches)

    def is_awaited(self, descriptor: int, since: float) -> bool:
        """Whether a descriptor, on which somebody waits ``since`` (real), is about to get something from outside."""
        return bool(self._allowed) and self._traffic.is_awaited(descriptor, since)

    def _refuse_name(self, host: str) -> NoReturn:
        self._refuse(host, "The address of {} was asked for and refused at {}")

    def _sending(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def send(sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
            self._require_new(sock)
            return real(sock, *args, **kwargs)

        return named(send, real)

    def _require_new(self, sock: socket.socket) -> None:
        """Refuse a connection of before, unless it leads to an allowed address or a tool uses it."""
        if sock.family not in _INTERNET or not self._is_inside() or is_exempt(asking_module(*_IN_BETWEEN)):
            return
        try:
            address = sock.getpeername()
        except OSError:
            return  # it leads nowhere, and the send will say so
        text = _address_text(sock.family, address)
        if not self._is_allowed(text) and sock not in self._opened:
            self._refuse(text, "A connection to {} that was opened before the simulation was used and refused at {}")

    def _require(self, family: int, address: Any) -> None:
        if self._is_inside():
            text = _address_text(family, address)
            if not self._is_allowed(text):
                self._refuse(text, "A real connection to {} was refused at {}")

    def _is_inside(self) -> bool:
        return not self._loop.is_closed and self._loop.in_loop_thread()

    def _is_allowed(self, text: str) -> bool:
        return text in self._allowed or text.rsplit(":", 1)[0] in self._allowed

    def _refuse(self, text: str, what: str) -> NoReturn:
        raise NetworkRefused(
            f"{what.format(text, durations.text(self._loop.now_us))}{self._describe_task()}: a simulation has no "
            "network. Answer it with sim.service(...), replace the client in the test, or allow it with "
            f'Simulation(allow_network=["{text}"]).'
        )


def _address_text(family: int, address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"{_text(host)}:{_text(port)}"
    return _text(address) if family == socket.AF_UNIX else str(address)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
