"""What the ends of a connection ask of TCP: when each takes a silent one for lost.

The main name is :class:`SocketOptions`; the others say what the clients and servers of this house ask.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND

__all__ = ["REDIS_SERVER", "SocketOptions", "amqp_client", "rabbitmq_server", "redis_client"]

_US_PER_MS: Final = 1_000
#: ``net.ipv4.tcp_retries2`` = 15: "a hypothetical timeout of 924.6 seconds" (Linux, ip-sysctl).
_GIVES_UP_US: Final = 924_600_000
#: What py-amqp asks for (amqp/transport.py, ``DEFAULT_SOCKET_SETTINGS``).
_AMQP: Final = {
    socket.TCP_USER_TIMEOUT: 1_000,
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 10,
    socket.TCP_KEEPCNT: 9,
}
#: What Linux does unless asked otherwise (tcp(7), ``tcp_keepalive_time`` and so on).
_LINUX: Final = {
    socket.TCP_USER_TIMEOUT: 0,
    socket.TCP_KEEPIDLE: 7_200,
    socket.TCP_KEEPINTVL: 75,
    socket.TCP_KEEPCNT: 9,
}


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """How long an end waits before it takes a silent connection for lost; ``None``: for ever.

    ``gives_up_us`` counts from when something was sent that cannot be brought (``TCP_USER_TIMEOUT``),
    ``silence_us`` from when the connection fell silent while nothing was sent (``SO_KEEPALIVE``).
    ``probe_us`` is how often it sends something by itself, and so finds out that the other end is closed.
    """

    gives_up_us: int = _GIVES_UP_US
    silence_us: int | None = None
    probe_us: int | None = None


#: Redis sends a probe after 300 s, and gives up after three more of 100 s (redis.conf, ``tcp-keepalive``;
#: anet.c, ``anetKeepAlive``).
REDIS_SERVER: Final = SocketOptions(silence_us=600 * MICROSECONDS_PER_SECOND, probe_us=300 * MICROSECONDS_PER_SECOND)


def amqp_client(socket_settings: Mapping[int, int] | None) -> SocketOptions:
    """What py-amqp asks for, and its ``socket_settings`` beside it."""
    return _client({**_AMQP, **(socket_settings or {})}, has_keepalive=True)


def rabbitmq_server(heartbeat_s: float) -> SocketOptions:
    """What RabbitMQ does: nothing, but two heartbeats in the time that was agreed on."""
    return SocketOptions(probe_us=round(heartbeat_s * MICROSECONDS_PER_SECOND) // 2 or None)


def redis_client(client: Any) -> SocketOptions:
    """What a connection of redis-py was told to ask for (redis/connection.py, ``Connection._connect``)."""
    has_keepalive = bool(getattr(client, "socket_keepalive", False))
    asked = getattr(client, "socket_keepalive_options", None) if has_keepalive else None
    return _client({**_LINUX, **(asked or {})}, has_keepalive=has_keepalive)


def _client(settings: Mapping[int, int], *, has_keepalive: bool) -> SocketOptions:
    user_us = settings[socket.TCP_USER_TIMEOUT] * _US_PER_MS
    # A probe without an answer counts as something that cannot be brought (tcp(7), TCP_USER_TIMEOUT).
    probes = 1 if user_us else settings[socket.TCP_KEEPCNT]
    silence_s = settings[socket.TCP_KEEPIDLE] + probes * settings[socket.TCP_KEEPINTVL]
    return SocketOptions(user_us or _GIVES_UP_US, silence_s * MICROSECONDS_PER_SECOND if has_keepalive else None)
