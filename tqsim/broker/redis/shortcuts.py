"""Shorter ways through kombu's Redis transport and redis-py that lead to the same place.

The main name is :func:`install`.  Nothing here changes what is sent, received or raised:

- A channel makes a new ``redis.Redis`` for each of its commands, which copies 169 reply callbacks and keeps
  nothing; here it makes one for each of its pools.
- A command is packed in one pass; a pooled connection is asked for data without provoking an exception.
- ``get_connection()`` without arguments has none that could be deprecated.

``tests/unit/broker/redis/test_shortcuts.py`` holds each to the original.
"""

from __future__ import annotations

from typing import Any

import kombu.transport.redis
import redis._parsers.base
import redis.connection

from tqsim.broker.redis.sockets import SimulatedSocket
from tqsim.kernel.kernel import Kernel

__all__ = ["install", "pack"]


def install(kernel: Kernel) -> None:
    """Take the shortcuts until the kernel closes."""
    patches = kernel.patches
    channel: Any = kombu.transport.redis.Channel
    patches.set(channel, "_create_client", _sharing(channel._create_client))
    serializer: Any = getattr(redis.connection, "PythonRespSerializer", None)
    if serializer is not None:
        patches.set(serializer, "pack", _packing(serializer.pack))
    base: Any = redis._parsers.base
    patches.set(base, "SocketBuffer", _buffer_class(base.SocketBuffer))
    pool: Any = redis.connection.ConnectionPool
    real = pool.get_connection
    if hasattr(real, "__wrapped__"):
        patches.set(pool, "get_connection", _getting(real, real.__wrapped__))


def _sharing(real: Any) -> Any:
    """``Channel._create_client``, once for each pool that hands out connections for one command at a time."""

    def create_client(channel: Any, asynchronous: bool = False) -> Any:
        if asynchronous:  # keeps its connection, so it is made once anyway
            return real(channel, asynchronous)
        pool = channel.pool
        kept = channel.__dict__.get("_tqsim_client")
        if kept is None or kept[0] is not pool:
            kept = channel.__dict__["_tqsim_client"] = (pool, real(channel))
        return kept[1]

    return create_client


def _packing(real: Any) -> Any:
    def pack_command(serializer: Any, *args: Any) -> list[Any]:
        encoder: Any = getattr(serializer.encode, "__self__", None)
        if getattr(encoder, "encoding", None) == "utf-8" and encoder.encoding_errors == "strict":
            packed = pack(args, serializer._buffer_cutoff)
            if packed is not None:
                return [packed]
        result: list[Any] = real(serializer, *args)
        return result

    return pack_command


def pack(args: tuple[Any, ...], limit: int) -> bytes | None:
    """Return a command as one piece of at most ``limit`` bytes, or ``None`` when it takes more care than that."""
    name = args[0]
    if type(name) is not str or " " in name:
        return None
    parts = [b"*%d\r\n" % len(args)]
    total = 0
    for argument in args:
        kind = type(argument)
        if kind is str:
            value = argument.encode()
        elif kind is bytes:
            value = argument
        elif kind is int or kind is float:
            value = repr(argument).encode()
        else:
            return None
        total += len(value) + 16
        if total > limit:
            return None
        parts.append(b"$%d\r\n%b\r\n" % (len(value), value))
    return b"".join(parts)


def _buffer_class(real: Any) -> type:
    class Buffer(real):
        """redis-py's buffer, which knows without asking when a simulated socket has nothing."""

        def can_read(self, timeout: float = 0) -> bool:
            sock = self._sock
            if timeout == 0 and isinstance(sock, SimulatedSocket) and sock.is_quiet:
                return bool(self.unread_bytes())
            answer: bool = super().can_read(timeout)
            return answer

    return Buffer


def _getting(real: Any, inner: Any) -> Any:
    def get_connection(pool: Any, *args: Any, **kwargs: Any) -> Any:
        return real(pool, *args, **kwargs) if args or kwargs else inner(pool)

    return get_connection
