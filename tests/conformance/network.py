"""A network between a client and a real server that can be cut: :class:`RealNetwork`.

The client is in a network namespace of its own, behind a router that can stop to forward; a relay brings
what arrives to the server, which may listen on loopback only.  Needs Linux, root and ``ip`` (Debian: iproute2).
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["RealNetwork"]

_CLONE_NEWNET: Final = 0x40000000
#: Two networks for each process, of the addresses that are meant for tests of networks (RFC 2544).
_NUMBERS: Final = itertools.count(1)
_NEAR: Final = "198.18.{}.{}"
_FAR: Final = "198.19.{}.{}"


class RealNetwork:
    """Leads from a client's namespace to the server at ``host`` and ``port``; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        # Interfaces have names of at most 15 letters, and neither other tests nor the last one may have the same:
        # a namespace takes its time to go.
        self._stem = f"tq{os.getpid() % 1_000_000}n{next(_NUMBERS)}"
        self._number = os.getpid() % 250
        self._host = _NEAR.format(self._number, 1)
        self._client, self._router = f"{self._stem}c", f"{self._stem}r"
        self._relay: _Relay | None = None

    @staticmethod
    def missing() -> str | None:
        """Return why there is none, or ``None``."""
        if shutil.which("ip") is None:
            return "ip is not installed (Debian: apt install iproute2)"
        name = f"tq{os.getpid() % 1_000_000}x"
        done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"no network namespaces: {done.stderr.strip()}"
        subprocess.run(["ip", "netns", "del", name], check=True)
        return None

    @property
    def address(self) -> tuple[str, int]:
        """Where the client finds the server."""
        assert self._relay is not None
        return self._host, self._relay.port

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def _build(self) -> None:
        for name in (self._client, self._router):
            _ip("netns", "add", name)
        a, b, c, d = (f"{self._stem}{letter}" for letter in "abde")
        _ip("link", "add", a, "type", "veth", "peer", "name", b, "netns", self._router)
        _ip("link", "add", c, "netns", self._router, "type", "veth", "peer", "name", d, "netns", self._client)
        _ip("addr", "add", f"{self._host}/24", "dev", a)
        _ip("link", "set", a, "up")
        for space, device, address in (
            (self._router, b, _NEAR.format(self._number, 2)),
            (self._router, c, _FAR.format(self._number, 1)),
            (self._client, d, _FAR.format(self._number, 2)),
        ):
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", device)
            _ip("-n", space, "link", "set", device, "up")
        _ip("-n", self._client, "route", "add", "default", "via", _FAR.format(self._number, 1))
        _ip("route", "add", _FAR.format(self._number, 0) + "/24", "via", _NEAR.format(self._number, 2))
        self.mend()
        self._relay = _Relay(self._host, self._server)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        if self._relay is not None:
            self._relay.close()
        for what in (
            ["link", "del", f"{self._stem}a"],
            *(["netns", "del", name] for name in (self._client, self._router)),
        ):
            subprocess.run(["ip", *what], capture_output=True, check=False)

    @property
    def prefix(self) -> list[str]:
        """What goes before a command that is to run where the client is."""
        return ["ip", "netns", "exec", self._client]

    def run(self, body: Callable[[], None]) -> None:
        """Run ``body()`` where the client is, and raise what it raises."""
        errors: list[BaseException] = []

        def target() -> None:
            with Path(f"/run/netns/{self._client}").open() as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _CLONE_NEWNET):
                    errors.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                body()
            except BaseException as error:  # noqa: BLE001 - raised below, where pytest sees it
                errors.append(error)

        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
        for error in errors:
            raise error

    def cut(self) -> None:
        """Let the router drop everything."""
        self._forward(False)

    def mend(self) -> None:
        """Let the router forward again."""
        self._forward(True)

    def reset(self) -> None:
        """Reset the connections of now, at both ends."""
        assert self._relay is not None
        self._relay.reset()

    def _forward(self, is_on: bool) -> None:
        setting = f"net.ipv4.ip_forward={int(is_on)}"
        subprocess.run(["ip", "netns", "exec", self._router, "sysctl", "-q", setting], check=True)


class _Relay:
    """Accepts on a port of ``host``, and brings everything to ``server``."""

    def __init__(self, host: str, server: tuple[str, int]) -> None:
        self._server = server
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._server)
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        if any(sink in pair for pair in self._pairs):  # not one that is to be reset
            _quietly(partial(sink.shutdown, socket.SHUT_WR))

    def reset(self) -> None:
        """Close the connections of now with a reset (SO_LINGER of no time)."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for sock in pair:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Whoever reads from it lets go, and only then it can end.
                _quietly(partial(sock.shutdown, socket.SHUT_RD))
            for sock in pair:
                sock.close()

    def close(self) -> None:
        """End it all."""
        self._listener.close()
        for near, far in self._pairs:
            near.close()
            far.close()


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except OSError:
        pass  # the other end was quicker


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
