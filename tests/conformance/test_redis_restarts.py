"""What kombu finds after an orderly restart of Redis, on both servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import redis
from celery import Celery
from kombu import Connection, Consumer, Queue

import tqsim
from tests.conformance.redis_server_arm import RealRedis

Server: TypeAlias = tuple[str, Callable[[], None]]


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.conformance)])
def server(request: pytest.FixtureRequest, persistence: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """The URL of a server, and what restarts it; one arm after the other."""
    if request.param == "simulated":
        app = Celery("conformance", broker="redis://", set_as_current=False)
        with tqsim.Simulation(app, broker=tqsim.Redis(persistence=persistence)) as sim:
            yield "redis://localhost:6379/0", sim.restart_broker
        return
    missing = RealRedis.missing()
    if missing is not None:
        pytest.skip(missing)
    with RealRedis() as real:

        def restart() -> None:
            real.stop()
            real.start(persistence)

        restart()  # with its persistence
        yield f"redis://127.0.0.1:{real.port}/0", restart


@pytest.mark.parametrize(("persistence", "left"), [("none", (0, 0)), ("rdb", (2, 1)), ("aof", (2, 1))])
def test_restart_keeps_what_is_on_disk(server: Server, persistence: str, left: tuple[int, int]) -> None:
    url, restart = server
    connection = Connection(url)
    with connection.Producer() as producer:
        for body in "abc":
            producer.publish(body, routing_key="q", declare=[Queue("q")])
    seen: list[str] = []
    with Consumer(connection, [Queue("q")], on_message=lambda message: seen.append(message.payload), prefetch_count=1):
        connection.drain_events(timeout=1)
        restart()
        with redis.Redis.from_url(url) as client:
            found = (client.llen("q"), client.hlen("unacked"))
    connection.release()
    assert (seen, found) == (["a"], left)
