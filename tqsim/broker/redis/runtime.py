"""The Redis servers of one simulation, and redis-py's way to them.

The main name is :class:`RedisRuntime`.  There is one server for each address that a client connects
to; ``localhost`` under all its names is one.  redis-py stays as it is: only the opening of a socket,
and what belongs to a process in its pools, are replaced; for ``redis.asyncio`` see :mod:`streams`.  Left
out: clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

import redis.connection
import redis.sentinel
from fakeredis.model import ExpiringMembersSet

from tqsim.broker.links import Links, redis_client
from tqsim.broker.redis import shortcuts, streams
from tqsim.broker.redis.places import DEFAULT_PORT, Place, address_of
from tqsim.broker.redis.pools import Pools
from tqsim.broker.redis.server import Server
from tqsim.broker.redis.sockets import SimulatedSocket
from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import Kernel
from tqsim.kernel.steady import SteadySet

__all__ = ["RedisRuntime"]

#: Where redis-py converts replies to ``set``: up to 6, and since 7.
_CALLBACK_MODULES: Final = ("redis._parsers.helpers", "redis._parsers.response_callbacks")

_Connect = Callable[[Any], Any]
_DISCOVERIES: Final = (("discover_master", False), ("discover_slaves", True), ("discover_replicas", True))


class RedisRuntime:
    """The simulated Redis servers of one simulation."""

    def __init__(self, kernel: Kernel, version: tuple[int, ...], links: Links) -> None:
        self._kernel = kernel
        self._version = version
        #: Told of every client of redis-py that connects, with the server's address.
        self.on_connect: Callable[[Any, str], None] = _ignore
        #: Between every process and every server.
        self.links = links
        self._servers: dict[str, Server] = {}
        self._clients: dict[Place, redis.Redis] = {}
        self._pools = Pools(kernel, self._is_inside)

    def install(self) -> None:
        """Lead every redis-py connection here until the kernel closes."""
        patches = self._kernel.patches
        self._pools.install()
        connection = redis.connection
        for kind in (connection.Connection, connection.SSLConnection):
            patches.set(kind, "_connect", self._connecting(kind._connect, _tcp_address))
        unix = connection.UnixDomainSocketConnection
        patches.set(unix, "_connect", self._connecting(unix._connect, _path_address))
        self._answer_for_sentinels()
        self._pin_orders()
        shortcuts.install(self._kernel)
        streams.install(self._kernel, self.links, self._find)

    def client(self, place: Place) -> redis.Redis:
        """A client of redis-py for a place; one for everybody, as its connections belong to processes."""
        client = self._clients.get(place)
        if client is None:
            host, _, port = place.address.rpartition(":")
            if place.address.startswith("/"):
                client = redis.Redis(unix_socket_path=place.address, db=place.database)
            else:
                client = redis.Redis(host, int(port), place.database)
            self._clients[place] = client
        return client

    def server(self, address: str = f"localhost:{DEFAULT_PORT}") -> Server:
        """The server at ``"host:port"``, which begins to exist when somebody asks."""
        server = self._servers.get(address)
        if server is None:
            server = self._servers[address] = Server(self._call_later, self._version, self._now)
        return server

    def _connecting(self, real: Callable[[Any], Any], address_of: Callable[[Any], str]) -> Callable[[Any], Any]:
        def connect(client: Any) -> Any:
            found = self._find(client, address_of)
            if found is None:
                return real(client)
            server, address = found
            self.on_connect(client, address)
            return SimulatedSocket(
                self._kernel, server, self.links, address, client.socket_timeout,
                connect_timeout=getattr(client, "socket_connect_timeout", None), options=redis_client(client),
            )  # fmt: skip

        return connect

    def _find(self, client: Any, address_of: Callable[[Any], str] | None = None) -> tuple[Server, str] | None:
        """The server that a client means, and its address; ``None`` where a real one is meant."""
        if not self._is_inside():
            return None
        if address_of is None:
            address_of = _path_address if hasattr(client, "path") else _tcp_address
        address = address_of(client)
        return None if address in self._kernel.options.allow_network else (self.server(address), address)

    def _answer_for_sentinels(self) -> None:
        """A sentinel names the service itself as the host of its master and only replica."""
        kind = redis.sentinel.Sentinel
        for name, several in (
            ("discover_master", False),
            ("discover_slaves", True),
            ("discover_replicas", True),
        ):
            if name in kind.__dict__:
                self._kernel.patches.set(kind, name, self._discovering(kind.__dict__[name], several=several))

    def _discovering(self, real: Callable[..., Any], *, several: bool) -> Callable[..., Any]:
        def discover(sentinel: Any, service_name: Any) -> Any:
            if not self._is_inside():
                return real(sentinel, service_name)
            address = (service_name, DEFAULT_PORT)
            return [address] if several else address

        return discover

    def _pin_orders(self) -> None:
        """Sets of members and keys are walked in one order, whatever ``PYTHONHASHSEED`` says."""
        patches = self._kernel.patches
        patches.set(ExpiringMembersSet, "__iter__", _walk_members)
        for name in _CALLBACK_MODULES:
            try:
                module = import_module(name)
            except ImportError:
                continue
            patches.set(module, "set", SteadySet)

    def _is_inside(self) -> bool:
        loop = self._kernel.loop
        return not loop.is_closed and loop.in_loop_thread()

    def _now(self) -> float:
        return self._kernel.clock.epoch_us / MICROSECONDS_PER_SECOND

    def _call_later(self, seconds: float, action: Callable[[], None]) -> Any:
        return self._kernel.loop.call_later(round(seconds * MICROSECONDS_PER_SECOND), action)


def _tcp_address(client: Any) -> str:
    return address_of(client.host, client.port)


def _path_address(client: Any) -> str:
    return str(client.path)


def _ignore(client: Any, address: str) -> None:
    """Nobody wants to know who connects."""


def _walk_members(members: Any) -> Iterator[bytes]:
    members._expire_members()
    return iter(list(members._values))
