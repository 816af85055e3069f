"""Clients of redis-py on both servers: ``redis.asyncio``, and the locks of both kinds of client.

Each body runs in the simulation and, where a server can be started, on a real Redis, and asserts what both show.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

import pytest
import redis
import redis.asyncio
from celery import Celery
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, LockNotOwnedError

import tqsim
from tests.conformance.redis_server_arm import RealRedis

Server: TypeAlias = tuple[str, Callable[[], None]]


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.conformance)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The URL of an empty server, and what restarts it; one arm after the other."""
    if request.param == "simulated":
        app = Celery("conformance", broker="redis://", set_as_current=False)
        with tqsim.Simulation(app) as sim:
            yield "redis://localhost:6379/0", sim.restart_broker
        return
    missing = RealRedis.missing()
    if missing is not None:
        pytest.skip(missing)
    with RealRedis() as real:

        def restart() -> None:
            real.stop()
            real.start()

        yield f"redis://127.0.0.1:{real.port}/0", restart


def with_client(server: Server, body: Callable[[Any], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    """Run ``body`` with a client of ``redis.asyncio``."""

    async def run() -> Any:
        async with redis.asyncio.Redis.from_url(server[0], decode_responses=True, **options) as client:
            return await body(client)

    return asyncio.run(run())


def test_asyncio_clients_pipeline_and_hear_errors(server: Server) -> None:
    async def body(client: Any) -> list[Any]:
        async with client.pipeline(transaction=True) as pipeline:
            replies = await pipeline.set("k", "v").incr("k").get("k").execute(raise_on_error=False)
        with pytest.raises(redis.ResponseError) as caught:
            await client.lpush("k", "x")
        return [replies[0], str(replies[1]), replies[2], str(caught.value)]

    assert with_client(server, body) == [
        True,
        "value is not an integer or out of range",
        "v",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
    ]


def test_asyncio_clients_that_pop_are_served_in_their_order(server: Server) -> None:
    async def body(client: Any) -> list[Any]:
        waiting = []
        for key in ("a", "b", "a"):
            waiting.append(asyncio.ensure_future(client.blpop([key], timeout=5)))
            await asyncio.sleep(0.1)
        await client.rpush("a", "1", "2")
        gave_up = await client.blpop(["c"], timeout=0.2)
        await client.rpush("b", "3")
        return [gave_up, *await asyncio.gather(*waiting)]

    assert with_client(server, body) == [None, ("a", "1"), ("b", "3"), ("a", "2")]


def test_asyncio_subscribers_hear_what_is_said(server: Server) -> None:
    async def body(client: Any) -> list[Any]:
        async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe("news")
            await pubsub.psubscribe("n*")
            while await client.pubsub_numpat() + len(await client.pubsub_channels()) < 2:
                await pubsub.get_message(timeout=0.1)
            heard = await client.publish("news", "hello")
            found: list[Any] = []
            while len(found) < 2:
                message = await pubsub.get_message(timeout=1)
                if message is not None:
                    found.append((message["type"], message["channel"], message["data"]))
            return [heard, *found]

    assert with_client(server, body) == [2, ("message", "news", "hello"), ("pmessage", "news", "hello")]


@pytest.mark.parametrize("ended", ["killed", "restarted"])
def test_asyncio_clients_find_out_by_reading_that_the_server_ended_their_connection(server: Server, ended: str) -> None:
    async def body(client: Any) -> list[Any]:
        await client.ping()
        if ended == "killed":
            assert await client.client_kill_filter(_type="normal", skipme=False) == 1
        else:
            server[1]()
        await asyncio.sleep(0.1)
        outcomes: list[Any] = []
        for _ in range(2):
            try:
                outcomes.append(await client.incr("n"))
            except redis.ConnectionError as error:
                outcomes.append(str(error))
        return outcomes

    assert with_client(server, body, retry=AsyncRetry(NoBackoff(), 0)) == ["Connection closed by server.", 1]


def test_the_second_write_to_a_connection_that_the_server_ended_fails(server: Server) -> None:
    """The first one goes off, and is answered with a reset; after the failure redis-py opens another connection."""

    async def body(client: Any) -> list[Any]:
        connection = await client.connection_pool.get_connection()
        await client.client_kill_filter(_type="normal", skipme=True)
        await asyncio.sleep(0.1)
        outcomes: list[Any] = []
        for _ in range(3):
            try:
                await connection.send_command("PING")
                outcomes.append("sent")
            except redis.ConnectionError as error:
                outcomes.append(str(error))
            await asyncio.sleep(0.1)
        await client.connection_pool.release(connection)
        return outcomes

    found = with_client(server, body, retry=AsyncRetry(NoBackoff(), 0))
    assert found == ["sent", "Error UNKNOWN while writing to socket. Connection lost.", "sent"]


def test_locks_exclude_expire_and_are_extended(server: Server) -> None:
    with redis.Redis.from_url(server[0]) as client:
        first, second = (client.lock("stock", timeout=0.4, blocking_timeout=0) for _ in range(2))
        assert (first.acquire(), second.acquire(), first.owned(), second.owned()) == (True, False, True, False)
        assert first.extend(0.2)
        assert 400 < client.pttl("stock") <= 600
        assert first.reacquire()
        assert 200 < client.pttl("stock") <= 400
        time.sleep(0.5)
        assert second.acquire()
        with pytest.raises(LockNotOwnedError, match=r"^Cannot release a lock that's no longer owned$"):
            first.release()
        second.release()
        with pytest.raises(LockError, match=r"^Cannot release a lock that's not owned or is already unlocked"):
            second.release()
        assert client.exists("stock") == 0


def test_a_lock_is_waited_for(server: Server) -> None:
    with redis.Redis.from_url(server[0]) as client:
        held = client.lock("stock", sleep=0.1)
        assert held.acquire()
        threading.Timer(0.45, held.do_release, (held.local.token,)).start()
        begin = time.monotonic()
        with client.lock("stock", timeout=5, sleep=0.1, blocking_timeout=2):
            assert 0.4 < time.monotonic() - begin < 1.5
        with held:
            begin = time.monotonic()
            assert not client.lock("stock", sleep=0.1).acquire(blocking_timeout=0.3)
            assert 0.15 < time.monotonic() - begin < 1


def test_locks_of_asyncio_exclude_each_other(server: Server) -> None:
    async def body(client: Any) -> list[str]:
        told: list[str] = []

        async def work(name: str, delay: float) -> None:
            await asyncio.sleep(delay)
            async with client.lock("stock", timeout=5, sleep=0.05):
                told.append(f"{name} in")
                await asyncio.sleep(0.3)
                told.append(f"{name} out")

        await asyncio.gather(work("a", 0), work("b", 0.1))
        late = client.lock("stock", timeout=0.1)
        await late.acquire()
        await asyncio.sleep(0.2)
        with pytest.raises(LockNotOwnedError) as caught:
            await late.release()
        return [*told, str(caught.value)]

    assert with_client(server, body) == [
        "a in",
        "a out",
        "b in",
        "b out",
        "Cannot release a lock that's no longer owned",
    ]
