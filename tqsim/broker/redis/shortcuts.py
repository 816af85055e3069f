"""Shorter ways through kombu's Redis transport and redis-py that lead to the same place.

The main name is :func:`install`.  Nothing here changes what is sent, received or raised:

- A channel makes a new ``redis.Redis`` for each of its commands, which copies 169 reply callbacks and keeps
  nothing; here it makes one for each of its pools.
- A command is packed in one pass, and a reply is read where it lies; a pooled connection is asked for data without
  provoking an exception.
- A connection is taken out of a pool and put back without the locks and the metrics, which are off.

``tests/unit/broker/redis/test_shortcuts.py`` holds each to the original.
"""

from __future__ import annotations

import time
from typing import Any, Final

import kombu.transport.redis
import redis._parsers
import redis._parsers.base
import redis.connection

from tqsim.broker.redis.sockets import SimulatedSocket
from tqsim.kernel.kernel import Kernel

try:
    from redis.event import AfterConnectionReleasedEvent as _ReleasedEvent
except ImportError:  # before redis-py 6
    _ReleasedEvent = None  # type: ignore[assignment,misc]
try:
    from redis.observability import recorder as _recorder
except ImportError:  # before redis-py 7.2
    _recorder = None  # type: ignore[assignment]

__all__ = ["install", "pack", "read_reply"]

_BULKS: Final = b"$"
_STATUS: Final = 0x2B
_NUMBERS: Final = b":("
_NULL: Final = 0x5F
_LISTS: Final = b"*~"
_MAP: Final = 0x25
_ERROR: Final = 0x2D
_DOUBLE: Final = 0x2C
#: What a server sends unasked has handlers of its own.
_UNASKED: Final = b">"


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
    parser: Any = getattr(redis._parsers, "_RESP3Parser", None)
    if parser is not None:
        connection: Any = redis.connection.AbstractConnection
        patches.set(connection, "read_response", _reading(connection.read_response, parser))
    pool: Any = redis.connection.ConnectionPool
    real = pool.get_connection
    if hasattr(real, "__wrapped__"):
        patches.set(pool, "get_connection", _getting(real, real.__wrapped__))
    if _ReleasedEvent is not None:
        patches.set(pool, "release", _releasing(pool.release, _ReleasedEvent))


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


def _reading(real: Any, kind: Any) -> Any:
    """``AbstractConnection.read_response``, of a reply that has come already."""

    def read_response(connection: Any, disable_decoding: bool = False, **kwargs: Any) -> Any:
        sock, parser = connection._sock, connection._parser
        if type(sock) is not SimulatedSocket or type(parser) is not kind or kwargs:
            return real(connection, disable_decoding, **kwargs)
        data, position = sock.incoming, sock.read_to
        if position >= len(data) or data[position] in _UNASKED or not sock.is_usable or parser._buffer.unread_bytes():
            return real(connection, disable_decoding)
        encoder = parser.encoder
        decode = None if disable_decoding or not encoder.decode_responses else encoder.decode
        value, sock.read_to = read_reply(data, position, decode, parser.parse_error)
        if isinstance(value, redis.ConnectionError):
            connection.disconnect()
            raise value
        if connection.health_check_interval:
            connection.next_health_check = time.monotonic() + connection.health_check_interval
        if isinstance(value, redis.ResponseError):
            raise value
        return value

    return read_response


def read_reply(data: bytes, position: int, decode: Any, parse_error: Any) -> tuple[Any, int]:
    """Return a complete reply of RESP3, and where it ends (redis/_parsers/resp3.py, ``_read_response``)."""
    end = data.index(b"\r\n", position)
    kind = data[position]
    text = data[position + 1 : end]
    end += 2
    if kind in _BULKS:
        value: Any = data[end : end + int(text)]
        end += int(text) + 2
        return (value if decode is None else decode(value)), end
    if kind == _STATUS:
        return (text if decode is None else decode(text)), end
    if kind in _NUMBERS:
        return int(text), end
    if kind == _NULL:
        return None, end
    if kind in _LISTS:
        items = []
        for _ in range(int(text)):
            item, end = read_reply(data, end, decode, parse_error)
            items.append(item)
        return items, end
    if kind == _MAP:
        pairs = {}
        for _ in range(int(text)):
            key, end = read_reply(data, end, decode, parse_error)
            pairs[key], end = read_reply(data, end, decode, parse_error)
        return pairs, end
    if kind == _ERROR:
        return parse_error(text.decode("utf-8", errors="replace")), end
    if kind == _DOUBLE:
        return float(text), end
    return text == b"t", end  # a truth value: the server sends nothing else


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
    plain = redis.connection.ConnectionPool

    def get_connection(pool: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs:
            return real(pool, *args, **kwargs)
        if type(pool) is plain and pool.cache is None and _recorder_is_off():
            pool._checkpid()
            connection = pool._available_connections[-1] if pool._available_connections else None
            if type(getattr(connection, "_sock", None)) is SimulatedSocket and _has_nothing(connection):
                pool._available_connections.pop()
                pool._in_use_connections.add(connection)
                return connection
        return inner(pool)

    return get_connection


def _releasing(real: Any, event: Any) -> Any:
    plain = redis.connection.ConnectionPool

    def release(pool: Any, connection: Any) -> None:
        if type(pool) is not plain or not _recorder_is_off():
            real(pool, connection)
            return
        pool._checkpid()
        if connection not in pool._in_use_connections or connection.pid != pool.pid or connection.should_reconnect():
            real(pool, connection)
            return
        pool._in_use_connections.remove(connection)
        pool._available_connections.append(connection)
        dispatcher: Any = pool._event_dispatcher
        dispatcher.dispatch(event(connection))

    return release


def _has_nothing(connection: Any) -> bool:
    """Whether a connection of a pool is fit for use: open, and nothing was left unread."""
    buffer = getattr(connection._parser, "_buffer", None)
    return buffer is not None and connection._sock.is_quiet and not buffer.unread_bytes()


def _recorder_is_off() -> bool:
    """Whether redis-py's own metrics, which count connections, are off."""
    return _recorder is None or _recorder._metrics_collector is None
