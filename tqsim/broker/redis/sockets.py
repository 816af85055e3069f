"""The client's end of a Redis connection, in the place of a socket.

The main name is :class:`SimulatedSocket`: what redis-py, and hiredis under it, ask of a connected
socket.  Everything above it, parsers, pools and clients, is redis-py's own code.  It belongs to the
simulated process that opened it, and waiting for a reply passes virtual time.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, Final

from tqsim.broker.links import REDIS_SERVER, Cable, Links, SocketOptions
from tqsim.broker.redis.server import Server
from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import TIMED_OUT
from tqsim.kernel.kernel import Kernel

__all__ = ["FOREVER_S", "SimulatedSocket"]

#: A client that asks nothing of TCP.
_UNASKED: Final = SocketOptions()
#: What a client sends that publishes a task (kombu/transport/redis.py, ``_put``).
_PUBLISH: Final = b"LPUSH\r\n"
#: A timeout of this many seconds (31 years) or more is none: nothing is set that would fire.
FOREVER_S: Final = 1e9
_LOOPBACK: Final = "127.0.0.1"
_FIRST_PORT: Final = 49_152


class SimulatedSocket:
    """A connected socket between the running process and ``server``.

    ``address`` is the server's, for messages; ``timeout`` as of ``socket.settimeout``, and ``connect_timeout``
    as of it before the socket connects.  ``options`` are what the client asks of TCP.
    Raises ``ConnectionRefusedError`` when the server is stopped, and ``TimeoutError`` when it does not answer.
    """

    def __init__(
        self,
        kernel: Kernel,
        server: Server,
        links: Links,
        address: str,
        timeout: float | None,
        *,
        connect_timeout: float | None = None,
        options: SocketOptions = _UNASKED,
    ) -> None:
        self._kernel = kernel
        self._links = links
        self._options = options
        self._cable: Cable | None = None
        self._failure: Exception | None = None
        self._loop = kernel.loop
        self._address = address
        self._timeout = timeout
        #: What has come, and how much of it has been read; ``shortcuts`` reads replies here directly.
        self.incoming = b""
        self.read_to = 0
        self._is_open = True
        self._has_ended = False
        self._may_send_once = False
        fiber = self._loop.current or self._loop.main
        self.process = fiber.process
        self._wire = kernel.wires.new(self._is_readable)
        self._wire.sleeper = self
        self._port = _FIRST_PORT + self._wire.number % 10_000
        self._server = server
        with kernel.wires.opening(self._wire, self.process):
            timeout_us = None if connect_timeout is None else round(connect_timeout * MICROSECONDS_PER_SECOND)
            links.travel(self.process, 1, timeout_us)
            self._session = server.connect(
                self, {"addr": f"{_LOOPBACK}:{self._port}", "laddr": address}, self.process.name
            )
        self.process.on_death.append(self._let_go)
        links.join(self)

    # -- what the server calls ----------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the server."""
        if self._cable is None:
            self._arrive(data)
        else:
            self._cable.to_client(lambda: self._arrive(data))

    def _arrive(self, data: bytes) -> None:
        if self.read_to < len(self.incoming):
            self.incoming = self.incoming[self.read_to :] + data
        else:
            self.incoming = data
        self.read_to = 0
        self._wire.notify()

    def hang_up(self) -> None:
        """Take note that the server has closed the connection."""
        if self._cable is None:
            self._end()
        else:
            self._cable.to_client(self._end)

    def _end(self) -> None:
        self._has_ended = True
        # TCP finds out by sending: the first piece goes off, and is answered with a reset (tcp(7)).
        self._may_send_once = True
        self._wire.notify()

    @property
    def is_quiet(self) -> bool:
        """Whether the connection is open and has nothing to read."""
        has_nothing = self.read_to >= len(self.incoming)
        return has_nothing and self._is_open and not self._has_ended and not self._loop.is_closing

    @property
    def is_usable(self) -> bool:
        """Whether the connection is open at this end, in a simulation that is open too."""
        return self._is_open and not self._loop.is_closing

    # -- what pollers call --------------------------------------------------------------------

    def doze(self) -> bool:
        """Let the server renew the client's blocking pop by itself; return whether there is one."""
        return self._cable is None and self._server.doze(self._session)

    def wake_up(self) -> None:
        """Let it time out again."""
        self._server.wake_up(self._session)

    @property
    def renewed_s(self) -> float:
        """For how many seconds the server has renewed the client's blocking pop."""
        return self._server.renewed_s(self._session)

    # -- what redis-py calls ------------------------------------------------------------------

    def sendall(self, data: Any) -> None:
        """Send bytes; the server acts on them at once."""
        if self._is_over():
            return
        if self._has_ended:
            self._raise_failure()
            if self._may_send_once:
                self._may_send_once = False
                return
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        fiber = self._loop.current
        if self._cable is not None:
            sent = bytes(data)
            self._cable.to_server(lambda: self._feed(sent), is_work=_PUBLISH in sent)
            if fiber is not None:
                fiber.reads = 0
            return
        if fiber is None:
            self._server.feed(self._session, bytes(data))
            return
        # A fiber that asks again and again whether something has changed is waiting busily, and the
        # clock moves it on: here, and never in the middle of a command.
        self._kernel.clock.read_us()
        reads, fiber.reads = fiber.reads, 0
        changes = self._server.changes
        try:
            self._server.feed(self._session, bytes(data))
        finally:
            fiber.reads = reads if self._server.changes == changes else 0

    def send(self, data: Any) -> int:
        """Send bytes; always all of them."""
        self.sendall(data)
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return what has come, after waiting for it; ``b""`` at the end of the connection.

        Raises ``BlockingIOError`` or ``TimeoutError`` when nothing comes, as a socket does.
        """
        is_over = self._is_over()
        while self.read_to >= len(self.incoming):
            if self._has_ended or is_over:
                self._raise_failure()
                return b""
            self._wait()
        data = self.incoming[self.read_to : self.read_to + size]
        if not flags & socket.MSG_PEEK:
            self.read_to += len(data)
        return data

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """Put what has come into ``buffer``; return how many bytes."""
        data = self.recv(size or len(buffer), flags)
        buffer[: len(data)] = data
        return len(data)

    def _wait(self) -> None:
        if self._timeout == 0:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        if self._server.is_busy:
            # Only a finalizer that runs inside a command gets here, and nobody could ever answer it.
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        timeout_us = None
        if self._timeout is not None and self._timeout < FOREVER_S:
            timeout_us = round(self._timeout * MICROSECONDS_PER_SECOND)
        if self._wire.wait(f"a reply from Redis at {self._address}", timeout_us) is TIMED_OUT:
            raise TimeoutError("timed out")
        if not self._is_open:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def settimeout(self, timeout: float | None) -> None:
        """As of a socket."""
        self._timeout = timeout

    def gettimeout(self) -> float | None:
        """As of a socket."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """As of a socket."""
        self._timeout = None if flag else 0.0

    def setsockopt(self, *args: Any) -> None:
        """Accepted: a simulated link has no options."""

    def getpeername(self) -> tuple[str, int]:
        """The server's address, as a resolved one."""
        return _LOOPBACK, 6379

    def getsockname(self) -> tuple[str, int]:
        """The client's address."""
        return _LOOPBACK, self._port

    def fileno(self) -> int:
        """The number of the wire, or -1 once closed."""
        return self._wire.number if self._is_open else -1

    def shutdown(self, how: int) -> None:
        """End the connection."""
        self._abort()

    def close(self) -> None:
        """End the connection; whoever waits on it is told."""
        if not self._is_open:
            return
        self._is_open = False
        self._let_go()
        if self._let_go in self.process.on_death:
            self.process.on_death.remove(self._let_go)

    def _let_go(self) -> None:
        self._abort()
        self._kernel.wires.drop(self._wire)

    def _abort(self) -> None:
        self._has_ended = True
        self._may_send_once = False
        if self._loop.is_closed:
            return
        if self._cable is None:
            self.fail_server()
        else:
            self._cable.hang_up()
        self._links.leave(self)
        self._wire.notify()

    # -- what a link does to a connection -----------------------------------------------------

    def client_options(self) -> SocketOptions:
        """What redis-py was told to ask of TCP."""
        return self._options

    def server_options(self) -> SocketOptions:
        """What Redis asks of TCP."""
        return REDIS_SERVER

    def lengthen(self, cable: Cable) -> None:
        """Send and receive through ``cable`` from now on."""
        self.wake_up()
        self._cable = cable

    def fail_client(self, error: Exception) -> None:
        """Let the next use raise ``error``, after what has come was read."""
        self._failure = error
        self._end()
        self._may_send_once = False

    def fail_server(self) -> None:
        """Let the server find that the client is gone."""
        self._server.feed(self._session, None)

    def on_change(self) -> None:
        """A socket takes no note of its cable."""

    def _feed(self, data: bytes) -> None:
        if self._session.is_open:
            self._server.feed(self._session, data)
        else:  # a closed socket answers whatever arrives with a reset
            assert self._cable is not None
            reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            self._cable.to_client(lambda: self.fail_client(reset))

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _is_readable(self) -> bool:
        return self.read_to < len(self.incoming) or self._has_ended

    def _is_over(self) -> bool:
        """Whether the simulation closes: nothing is sent any more, and there is nothing to read.

        Not an exception of its own: finalizers of redis-py talk, and expect nothing worse than a
        connection that has ended.
        """
        if self._loop.is_closed:
            raise ConnectionResetError(
                errno.ECONNRESET, f"The simulation has ended, and with it this connection to {self._address}"
            )
        if not self._is_open:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return self._loop.is_closing
