"""``redis.asyncio`` in a simulation: its connections as asyncio streams that end at a simulated server.

The main name is :func:`install`.  The event loop, its tasks, ``redis.asyncio`` with its parsers and pools, and
asyncio's own stream reader and writer run as they are; only the transport under them is another.  A pool
that several simulated processes use has connections of its own in each.
"""

from __future__ import annotations

import asyncio
import errno
import weakref
from collections.abc import Callable
from typing import Any, Final

import redis.asyncio.connection

from tqsim.broker.links import REDIS_SERVER, Cable, Links, SocketOptions, pauses, redis_client
from tqsim.broker.redis.server import Server
from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import Cell, Kernel, Process

__all__ = ["install"]

_FIRST_PORT: Final = 32_768
_POOL_STATE: Final = ("_available_connections", "_in_use_connections", "_lock")

#: Returns the server of a client and its address, or ``None`` where a real connection is meant.
_Find = Callable[[Any], tuple[Server, str] | None]


def install(kernel: Kernel, links: Links, find: _Find) -> None:
    """Lead every ``redis.asyncio`` connection to a simulated server until the kernel closes."""
    module: Any = redis.asyncio.connection
    for kind in (module.Connection, module.UnixDomainSocketConnection):
        kernel.patches.set(kind, "_connect", _connecting(kernel, links, find, kind._connect))
    pools = _Pools(kernel)
    for name in ("get_connection", "release"):
        kernel.patches.set(module.ConnectionPool, name, pools.entering(getattr(module.ConnectionPool, name)))


def _connecting(kernel: Kernel, links: Links, find: _Find, real: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def connect(client: Any) -> None:
        found = find(client)
        if found is None:
            await real(client)
            return
        server, address = found
        async with asyncio.timeout(client.socket_connect_timeout):
            await _travel(kernel, links)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport = _Transport(kernel, server, links, address, redis_client(client), protocol, loop)
        protocol.connection_made(transport)
        client._reader = reader
        client._writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        if isinstance(client, redis.asyncio.connection.UnixDomainSocketConnection):
            await client.on_connect()  # as the real one

    return connect


async def _travel(kernel: Kernel, links: Links) -> None:
    """Wait until the server has answered the call for a connection (:meth:`Links.travel`)."""
    process = (kernel.loop.current or kernel.loop.main).process
    for pause in pauses(links, process, 1, None):
        seconds = pause.for_us / MICROSECONDS_PER_SECOND
        if pause.ends_with_change:
            await _wait_for_change(links, seconds)
        else:
            await asyncio.sleep(seconds)


async def _wait_for_change(links: Links, seconds: float) -> None:
    event_loop = asyncio.get_running_loop()
    change = asyncio.Event()

    def tell() -> None:
        if not event_loop.is_closed():
            event_loop.call_soon_threadsafe(change.set)

    links.watch(tell)
    try:
        await asyncio.wait_for(change.wait(), seconds)
    except TimeoutError:
        pass
    finally:
        links.unwatch(tell)


class _Transport(asyncio.Transport):
    """The client's end of a connection, for asyncio's streams."""

    def __init__(
        self,
        kernel: Kernel,
        server: Server,
        links: Links,
        address: str,
        options: SocketOptions,
        protocol: asyncio.StreamReaderProtocol,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__()
        self._kernel = kernel
        self._server = server
        self._address = address
        self._protocol = protocol
        self._event_loop = loop
        self._is_closing = False
        self._has_reached_end = False
        self._may_send_once = False
        self._links = links
        self._options = options
        self._cable: Cable | None = None
        fiber = kernel.loop.current or kernel.loop.main
        self.process = fiber.process
        info = {"addr": f"127.0.0.1:{_FIRST_PORT + server._next_client_id % 10_000}", "laddr": address}
        self._session = server.connect(self, info, self.process.name)
        self.process.on_death.append(self._leave)
        links.join(self)

    # -- what the server calls ----------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the server, in whatever fiber; they are read by the event loop."""
        self._bring(lambda: self._tell(self._protocol.data_received, data))

    def hang_up(self) -> None:
        """Take note that the server has closed the connection."""
        self._bring(lambda: self._tell(self._reach_end))

    def _bring(self, action: Callable[[], None]) -> None:
        if self._cable is None:
            action()
        else:
            self._cable.to_client(action)

    def _tell(self, action: Callable[..., object], *args: Any) -> None:
        if not self._kernel.loop.is_closed and not self._event_loop.is_closed():
            self._event_loop.call_soon_threadsafe(action, *args)

    # -- what happens in the event loop -------------------------------------------------------

    def _reach_end(self) -> None:
        """Nothing more comes, but a stream stays open for writing (asyncio/streams.py, ``eof_received``)."""
        if not self._is_closing:
            self._has_reached_end = True
            # TCP finds out by sending: the first piece goes off, and is answered with a reset (tcp(7)).
            self._may_send_once = True
            self._protocol.eof_received()

    def _lose(self, error: Exception | None) -> None:
        """The socket closes, and the protocol is told (asyncio/selector_events.py, ``_force_close``)."""
        if not self._is_closing:
            self._is_closing = True
            self._leave()
            self.process.on_death.remove(self._leave)
            if not self._event_loop.is_closed():
                self._event_loop.call_soon(self._protocol.connection_lost, error)

    # -- what asyncio's streams call ----------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send bytes; the server acts on them at once.  What is lost is found by who drains the stream."""
        if self._kernel.loop.is_closing:
            raise ConnectionResetError(errno.ECONNRESET, f"Connection to {self._address} lost")
        if self._is_closing:
            return
        if self._has_reached_end:
            if not self._may_send_once:
                self._lose(BrokenPipeError(errno.EPIPE, "Broken pipe"))
            self._may_send_once = False
            return
        sent = bytes(data)
        if self._cable is None:
            self._server.feed(self._session, sent)
        else:
            self._cable.to_server(lambda: self._feed(sent))

    def writelines(self, list_of_data: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._is_closing

    def close(self) -> None:
        """End the connection."""
        self._lose(None)

    abort = close

    def _leave(self) -> None:
        if self._kernel.loop.is_closed:
            return
        if self._cable is None:
            self.fail_server()
        else:
            self._cable.hang_up()
        self._links.leave(self)

    # -- what a link does to a connection -----------------------------------------------------

    def client_options(self) -> SocketOptions:
        """What redis-py was told to ask of TCP."""
        return self._options

    def server_options(self) -> SocketOptions:
        """What Redis asks of TCP."""
        return REDIS_SERVER

    def lengthen(self, cable: Cable) -> None:
        """Send and receive through ``cable`` from now on."""
        self._cable = cable

    def fail_client(self, error: Exception) -> None:
        """Let the event loop know that the connection is lost."""
        if self._event_loop.is_closed():
            self._lose(error)
        else:
            self._tell(self._fail, error)

    def _fail(self, error: Exception) -> None:
        if self._has_reached_end:  # nobody reads any more
            self._may_send_once = False
        else:
            self._lose(error)

    def fail_server(self) -> None:
        """Let the server find that the client is gone."""
        self._server.feed(self._session, None)

    def on_change(self) -> None:
        """A transport takes no note of its cable."""

    def _feed(self, data: bytes) -> None:
        if self._session.is_open:
            self._server.feed(self._session, data)
        else:  # a closed socket answers whatever arrives with a reset
            reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            self._bring(lambda: self.fail_client(reset))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing: there is no socket."""
        return default

    def pause_reading(self) -> None:
        """Accepted: what has come stays with the reader."""

    def resume_reading(self) -> None:
        """Accepted."""

    def is_reading(self) -> bool:
        """Whether data are taken."""
        return not self._is_closing

    def can_write_eof(self) -> bool:
        """No half of the connection can end."""
        return False


class _Pools:
    """Pools of ``redis.asyncio``: each simulated process has its own connections of one that several use."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._owners: weakref.WeakKeyDictionary[Any, Process | None] = weakref.WeakKeyDictionary()
        kernel.patches.on_undo(self._leave)

    def entering(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Let the running process find its own connections first."""

        async def call(pool: Any, *args: Any, **kwargs: Any) -> Any:
            if self._kernel.loop.in_loop_thread() and not self._kernel.loop.is_closed:
                self._enter(pool)
            return await real(pool, *args, **kwargs)

        return call

    def _enter(self, pool: Any) -> None:
        process = self._kernel.loop.loaded
        if pool not in self._owners:
            self._owners[pool] = process
            return
        owner = self._owners[pool]
        if owner is None or owner is process:
            return
        keys = [key for key in _POOL_STATE if key in pool.__dict__]  # older ones have no lock
        made = {id(owner): {key: pool.__dict__[key] for key in keys}}

        def of_process(other: Process, key: str) -> Any:
            return made.setdefault(id(other), _fresh())[key]

        def cell(key: str) -> Cell:
            return Cell(pool.__dict__, key, lambda other: of_process(other, key))

        pool.__dict__.update({key: of_process(process, key) for key in keys})
        self._kernel.make_local([cell(key) for key in keys])
        self._owners[pool] = None

    def _leave(self) -> None:
        for pool in list(self._owners):
            pool.__dict__.update(_fresh())
        self._owners.clear()


def _fresh() -> dict[str, Any]:
    return {"_available_connections": [], "_in_use_connections": weakref.WeakSet(), "_lock": asyncio.Lock()}
