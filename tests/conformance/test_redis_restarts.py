"""What kombu finds after an orderly restart or a crash of Redis, on both servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import redis
from celery import Celery
from kombu import Connection, Consumer, Queue

import tqsim
from tests.conformance.redis_server_arm import RealRedis
from tqsim import faults

Server: TypeAlias = tuple[str, Callable[[], None]]


@pytest.fixture
def ends_by() -> str:
    """How it is stopped, unless a test says so: in order."""
    return "shutdown"


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.conformance)])
def server(request: pytest.FixtureRequest, persistence: str, ends_by: str) -> Iterator[Server]:
    """The URL of a server, and what restarts it; one arm after the other."""
    if request.param == "simulated":
        app = Celery("conformance", broker="redis://", set_as_current=False)
        with tqsim.Simulation(app, broker=tqsim.Redis(persistence=persistence)) as sim:

            def restart() -> None:
                fault = faults.broker_crash if ends_by == "crash" else faults.broker_restart
                sim.faults.add(fault(at=0))
                sim.run(for_=0.01)

            yield "redis://localhost:6379/0", restart
        return
    missing = RealRedis.missing()
    if missing is not None:
        pytest.skip(missing)
    with RealRedis() as real:

        def restart_real() -> None:
            real.kill() if ends_by == "crash" else real.stop()
            real.start(persistence)

        real.stop()
        real.start(persistence)
        yield f"redis://127.0.0.1:{real.port}/0", restart_real


@pytest.mark.parametrize(("persistence", "left"), [("none", (0, 0)), ("rdb", (2, 1)), ("aof", (2, 1))])
def test_restart_keeps_what_is_on_disk(server: Server, left: tuple[int, int]) -> None:
    assert taken_and_left(*server) == (["a"], left)


@pytest.mark.parametrize(("persistence", "ends_by"), [("none", "crash")])
def test_a_crash_without_a_file_loses_everything(server: Server) -> None:
    assert taken_and_left(*server) == (["a"], (0, 0))


def taken_and_left(url: str, restart: Callable[[], None]) -> tuple[list[str], tuple[int, int]]:
    """Publish three, consume one, and restart: what was consumed, and how many are queued and unacknowledged then."""
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
    return seen, found
