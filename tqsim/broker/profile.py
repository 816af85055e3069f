"""Which broker a simulation has: its profile, from an argument or from the application's URL.

The main names are :class:`RabbitMQ`, :class:`Redis` and :func:`profile_for`.  A profile is a plain description;
:func:`tqsim.broker.brokers.running_broker` makes a running broker of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from tqsim.broker.rabbitmq.settings import Settings
from tqsim.durations import Duration, microseconds
from tqsim.errors import UnsupportedError, UsageError

__all__ = ["RabbitMQ", "Redis", "profile_for", "scheme_of"]

_RABBITMQ: Final = ("amqp", "amqps", "pyamqp", "librabbitmq", "memory")
_REDIS: Final = ("redis", "rediss", "sentinel")
_US_PER_MS: Final = 1_000


_PERSISTENCE: Final = ("none", "rdb", "aof")
_VERSION: Final = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQ:
    """A RabbitMQ server with classic and quorum queues.

    ``version`` selects the rules; "3.10" is what the rules were measured on, and "3.12", "3.13", "4.0",
    "4.1" and "4.3" differ where RabbitMQ's documentation says so.  ``consumer_timeout`` is the server's setting of
    that name, how long a delivery may stay unacknowledged: a duration, or None for ever.
    ``channel_tick_interval`` is how often a channel looks for such deliveries.

    Raises :class:`~tqsim.UsageError` for a version or a duration that cannot be.
    """

    version: str = "3.10"
    consumer_timeout: Duration | None = "30m"
    channel_tick_interval: Duration = "1m"

    def __post_init__(self) -> None:
        self.settings()

    def settings(self) -> Settings:
        """The settings of the server."""
        timeout_ms = None
        if self.consumer_timeout is not None:
            timeout_ms = microseconds(self.consumer_timeout, "consumer_timeout") // _US_PER_MS
        tick_ms = microseconds(self.channel_tick_interval, "channel_tick_interval") // _US_PER_MS
        return Settings(version=self.version, consumer_timeout_ms=timeout_ms, channel_tick_interval_ms=max(1, tick_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """A Redis server under kombu's own Redis transport, and for results and the application's clients.

    ``version`` is what the server says it is; "7.0" is what its commands were compared with.
    ``persistence`` is what a restart leaves: with ``"none"`` nothing, with ``"rdb"`` (save points) or
    ``"aof"`` everything, because an orderly shutdown writes it (redis.conf, ``save``; db.c,
    ``prepareForShutdown``).  What clients set themselves, such as ``visibility_timeout``, comes from the
    application's ``broker_transport_options``.

    Raises :class:`~tqsim.UsageError` for another value.
    """

    version: str = "7.0"
    persistence: str = "none"

    def __post_init__(self) -> None:
        """Check the values."""
        if not isinstance(self.version, str) or not _VERSION.fullmatch(self.version):
            raise UsageError(f'version={self.version!r} is not a version of Redis; expected text such as "7.0".')
        if self.persistence not in _PERSISTENCE:
            raise UsageError(f'persistence={self.persistence!r}; expected "none", "rdb" or "aof".')

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as numbers."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def keeps_data(self) -> bool:
        """Whether a restart leaves what was there."""
        return self.persistence != "none"


def scheme_of(url: Any) -> str:
    """Return the transport that a broker URL names; the first one of a failover list."""
    if isinstance(url, (list, tuple)):
        url = url[0] if url else ""
    text = str(url or "").split(";", 1)[0]
    return text.partition("://")[0] if "://" in text else (text or "amqp")


def profile_for(app: Any) -> RabbitMQ | Redis:
    """Return the profile for an application without ``broker=``, from its broker URL.

    Raises :class:`~tqsim.UnsupportedError` for a transport that is not simulated.
    """
    conf = app.conf
    url = conf.broker_read_url or conf.broker_url or conf.broker_write_url
    scheme = scheme_of(url)
    kind = scheme.partition("+")[0]
    if kind in _RABBITMQ:
        return RabbitMQ()
    if kind in _REDIS:
        return Redis()
    raise UnsupportedError(
        f"The application's broker URL names {scheme!r}, which is not simulated; simulated are: "
        f"{', '.join((*_RABBITMQ, *_REDIS))}. Pass Simulation(app, broker=tqsim.RabbitMQ()) or broker=tqsim.Redis() "
        "to run it on a simulated server all the same."
    )
