"""What goes over real sockets, where a simulation may use them, and where an answer is on its way.

The main name is :class:`Traffic`.  Code that blocks on a real socket holds up the whole simulation, so
an answer of the outside takes no virtual time.  A selector does not block; virtual time would jump to
the next timer, such as a timeout of the very request, before any answer could come.  So a selector
that watches a connection on which something was just sent is waited for in real time.  A connection on
which nothing was sent since the last answer is idle and holds up nobody.

Left out: what C code sends.  A connection of which nothing is known is taken for one that it uses.
"""

from __future__ import annotations

import os
import socket
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches

__all__ = ["Traffic"]

#: Real seconds for which an answer is waited for, and those in which more may follow what has come.
_ANSWER_S: Final = 5.0
_MORE_S: Final = 0.05
_SENDERS: Final = ("connect", "connect_ex", "send", "sendall", "sendmsg")
_RECEIVERS: Final = ("recv", "recv_into", "recvfrom", "recvmsg", "sendto")  # nobody must answer a datagram
_REAL_MONOTONIC: Final = time.monotonic


class Traffic:
    """Follows the real sockets that one loop's fibers use."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._by_number: weakref.WeakValueDictionary[int, socket.socket] = weakref.WeakValueDictionary()
        self._expected_until: weakref.WeakKeyDictionary[socket.socket, float] = weakref.WeakKeyDictionary()

    def install(self, patches: Patches) -> None:
        """Follow every socket from now on, until ``patches`` are undone."""
        for name in _SENDERS:
            patches.set(socket.socket, name, self._sender(getattr(socket.socket, name)))
        for name in _RECEIVERS:
            patches.set(socket.socket, name, self._receiver(getattr(socket.socket, name)))

    def _sender(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def method(sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
            self._expect(sock, _ANSWER_S)  # also of a connect that only begins
            return real(sock, *args, **kwargs)

        return _named(method, real)

    def _receiver(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def method(sock: socket.socket, *args: Any, **kwargs: Any) -> Any:
            result = real(sock, *args, **kwargs)
            self._expect(sock, _MORE_S)
            return result

        return _named(method, real)

    def _expect(self, sock: socket.socket, wait_s: float) -> None:
        if self._loop.in_loop_thread() and not self._loop.is_closed and sock.family != socket.AF_UNIX:
            self._by_number[sock.fileno()] = sock
            self._expected_until[sock] = _REAL_MONOTONIC() + wait_s

    def is_awaited(self, descriptor: int, since: float) -> bool:
        """Whether something is on its way from outside; ``since`` (real) somebody waits for it."""
        sock = self._by_number.get(descriptor)
        if sock is not None and sock.fileno() == descriptor:
            return _REAL_MONOTONIC() < self._expected_until[sock]
        return _REAL_MONOTONIC() < since + _ANSWER_S and _is_connection(descriptor)


def _named(stand_in: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    stand_in.__name__, stand_in.__doc__ = real.__name__, real.__doc__
    return stand_in


def _is_connection(descriptor: int) -> bool:
    """Whether a descriptor is a connection that leaves this process, as far as one can see."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return bool(sock.getpeername())  # a socket pair has no names
    except OSError:
        return False  # no socket, or one that listens
