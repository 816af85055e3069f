"""From a profile to a running broker, and to the Redis servers beside it.

The main name is :func:`running_broker`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from tqsim.broker.links import Links
from tqsim.broker.profile import RabbitMQ, Redis
from tqsim.broker.redis import Place, RedisBroker, RedisRuntime, place_of
from tqsim.broker.runtime import BrokerRuntime
from tqsim.broker.views import Broker
from tqsim.kernel import Kernel

__all__ = ["client_place", "redis_servers", "running_broker"]

_REDIS_RESULTS: Final = ("redis", "rediss", "sentinel")


def redis_servers(kernel: Kernel, profile: RabbitMQ | Redis) -> RedisRuntime:
    """Return the simulated Redis servers; with a RabbitMQ broker they serve results and clients only."""
    if isinstance(profile, Redis):
        return RedisRuntime(kernel, profile.numbers, Links(kernel, "broker", "redis"))
    return RedisRuntime(kernel, Redis().numbers, Links(kernel, "redis"))


def running_broker(
    kernel: Kernel,
    profile: RabbitMQ | Redis,
    redis: RedisRuntime,
    apps: Callable[[], Iterable[Any]],
    observe: Callable[..., None] | None,
) -> Broker:
    """Return the broker of a profile; ``observe`` is told what happens to messages."""
    if isinstance(profile, Redis):
        return RedisBroker(kernel, profile, redis, apps, observe)
    return BrokerRuntime(kernel, profile, observe)


def client_place(app: Any, broker: Broker) -> Place:
    """Return the Redis server that a test means: the broker's, or else that of the results."""
    if isinstance(broker, RedisBroker):
        return broker.place
    url = str(app.conf.result_backend or "")
    if url.partition("://")[0].partition("+")[0] in _REDIS_RESULTS:
        return place_of(url.partition(";")[0], app.conf.result_backend_transport_options or {})
    return place_of("redis://", {})
