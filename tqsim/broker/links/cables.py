"""One connection over a link: its two ways, and how its ends find out that it is lost.

The main names are :class:`Cable` and :class:`End`, what a connection must offer to have one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tqsim.broker.links.options import SocketOptions
from tqsim.broker.links.ways import Way
from tqsim.kernel.agenda import Timer
from tqsim.kernel.processes import Process

if TYPE_CHECKING:
    from tqsim.broker.links.links import Links

__all__ = ["Cable", "End"]


class End(Protocol):
    """A connection of a client: ``process`` is the client's."""

    process: Process

    def client_options(self) -> SocketOptions:
        """Return what the client has asked of TCP."""
        ...

    def server_options(self) -> SocketOptions:
        """Return what the server asks of TCP."""
        ...

    def lengthen(self, cable: Cable) -> None:
        """Send and receive through ``cable`` from now on."""

    def fail_client(self, error: Exception) -> None:
        """Let the client's next read raise ``error``."""

    def fail_server(self) -> None:
        """Let the server find that the client is gone."""

    def on_change(self) -> None:
        """Take note that the cable was cut or mended, or that the server has forgotten it."""


class Cable:
    """Both ways between ``end`` and its server."""

    def __init__(self, links: Links, end: End) -> None:
        self._links = links
        self._end = end
        self._client, self._server = end.client_options(), end.server_options()
        self._is_severed = False
        self._has_forgotten = False
        self._is_server_gone = False
        #: Whether the client's socket is closed or broken: what arrives there is answered with a reset.
        self.is_client_gone = False
        self._timers: list[Timer] = []
        self._timed = ""
        loop = links.loop
        self._up = Way(loop, self, self._client.gives_up_us, self._client_gives_up)
        self._down = Way(loop, self, self._server.gives_up_us, self._server_gives_up)

    @property
    def is_cut(self) -> bool:
        """Whether nothing arrives at present."""
        return self._is_severed or self._links.is_cut(self._end.process)

    @property
    def is_deaf(self) -> bool:
        """Whether nothing that the client sends is heard by the server."""
        return self._has_forgotten or self.is_cut

    @property
    def is_clear(self) -> bool:
        """Whether everything arrives at once at present."""
        return not self._is_severed and not self._has_forgotten and self._links.is_clear(self._end.process)

    @property
    def carries_work(self) -> bool:
        """Whether a task is on its way to the server."""
        return self._up.carries_work

    def draw_delay_us(self) -> int:
        """Return how long the next piece takes."""
        return self._links.draw_delay_us(self._end.process)

    def to_server(self, action: Callable[[], None], *, is_work: bool = False) -> None:
        """Let ``action()`` happen at the server, in the name of the client, when it arrives there."""
        self._up.send(lambda: self._reach_server(action), is_work=is_work)

    def to_client(self, action: Callable[[], None]) -> None:
        """Let ``action()`` happen at the client when it arrives there."""
        self._down.send(lambda: self._reach_client(action))

    def hang_up(self) -> None:
        """The client closes its socket: the server will know, unless that is lost too."""
        self._up.send(self._tell_server)

    def leave_client(self) -> None:
        """The client has closed its socket."""
        self.is_client_gone = True
        self._drop_if_over()

    def reset(self) -> None:
        """Break the connection at both ends; what is on its way is lost."""
        self._up.clear()
        self._down.clear()
        self._tell_server()
        self._end.fail_client(_reset())

    def sever(self) -> None:
        """Let nothing arrive any more, and tell nobody."""
        self._is_severed = True
        self.look_again()

    def forget(self) -> None:
        """Let the server forget the connection; the next thing that it gets is answered with a reset."""
        self._has_forgotten = True
        self._down.clear()
        self._tell_server()
        self._end.on_change()

    def look_again(self) -> None:
        """The link has changed, or another one has."""
        self._set_timers()
        self._up.look_again()
        self._down.look_again()
        self._end.on_change()

    def _set_timers(self) -> None:
        """Count how long an end has been silent, or when the server next asks: from the change on, and not anew."""
        state = "cut" if self.is_cut else "left" if self.is_client_gone else ""
        if state == self._timed:
            return
        self._timed = state
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self.is_cut:
            self._call_later(self._client.silence_us, self._client_gives_up)
            self._call_later(self._server.silence_us, self._server_gives_up)
        elif self.is_client_gone:
            self._call_later(self._server.probe_us, lambda: self.to_client(_nothing))

    def _call_later(self, delay_us: int | None, action: Callable[[], None]) -> None:
        if delay_us is not None:
            self._timers.append(self._links.loop.call_later(delay_us, action))

    def _reach_server(self, action: Callable[[], None]) -> None:
        if self._has_forgotten:
            self._down.send(lambda: self._end.fail_client(_reset()))
            return
        with self._links.kernel.in_the_name_of(self._end.process):
            action()

    def _reach_client(self, action: Callable[[], None]) -> None:
        if self.is_client_gone:
            self._up.send(self._tell_server)
        else:
            action()

    def _client_gives_up(self) -> None:
        if not self.is_client_gone:
            self.is_client_gone = True  # its socket is broken, even if it does not know yet
            self._end.fail_client(TimeoutError(errno.ETIMEDOUT, "Connection timed out"))

    def _server_gives_up(self) -> None:
        self._down.clear()
        self._tell_server()

    def _tell_server(self) -> None:
        self._is_server_gone = True
        self._end.fail_server()
        self._drop_if_over()

    def _drop_if_over(self) -> None:
        if self.is_client_gone and self._is_server_gone:
            self._links.drop(self._end)


def _nothing() -> None:
    """What a probe says."""


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
