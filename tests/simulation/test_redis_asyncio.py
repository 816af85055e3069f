"""The application's ``redis.asyncio`` clients: the same server, virtual time, asyncio's own event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import redis.asyncio

import tqsim
from tests.simulation.redis_stories import make_app

START = 1_893_456_000
#: Made at import, as in many applications.
SHARED = redis.asyncio.Redis(host="localhost", decode_responses=True)


def elapsed() -> float:
    """Return virtual seconds since the start."""
    return round(time.time() - START, 6)


def test_asyncio_client_and_plain_client_share_the_server() -> None:
    async def body() -> Any:
        async with redis.asyncio.Redis(decode_responses=True) as client:
            await client.set("k", "v", ex=30)
            async with client.pipeline() as pipeline:
                for _ in range(2):
                    pipeline.incr("n")
                pipeline.get("k")
                outcome = await pipeline.execute()
            return outcome, await client.ttl("k")

    with tqsim.Simulation(make_app()) as sim:
        assert asyncio.run(body()) == ([1, 2, "v"], 30)
        assert sim.redis.get("k") == b"v"
        sim.run(for_=31)
        assert sim.redis.get("k") is None


def test_blocking_pop_and_sleep_wait_in_virtual_time() -> None:
    app = make_app(results="redis://")

    @app.task(name="gather")
    def gather() -> Any:
        async def pop(client: Any) -> Any:
            return await client.blpop(["orders"], timeout=60), elapsed()

        async def tick() -> float:
            await asyncio.sleep(2.5)
            return elapsed()

        async def body() -> Any:
            async with redis.asyncio.Redis(decode_responses=True, socket_timeout=None) as client:
                return await asyncio.gather(pop(client), tick())

        return asyncio.run(body())

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = gather.delay()
        sim.run(for_=7)
        sim.redis.rpush("orders", "tea")
        assert result.get() == [[["orders", "tea"], 7.0], 2.5]


def test_subscriber_hears_what_another_process_says() -> None:
    app = make_app(results="redis://")

    @app.task(name="hear")
    def hear() -> Any:
        async def body() -> Any:
            client = redis.asyncio.Redis(decode_responses=True, socket_timeout=None)
            async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe("news")
                message = None
                while message is None:
                    message = await pubsub.get_message(timeout=60)
                return message["data"], elapsed()

        return asyncio.run(body())

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = hear.delay()
        sim.run(for_=20)
        assert sim.redis.publish("news", "hello") == 1
        assert result.get() == ["hello", 20.0]


def test_shared_client_has_connections_of_its_own_in_each_process() -> None:
    app = make_app(results="redis://")

    @app.task(name="name_me")
    def name_me() -> int:
        async def body() -> int:
            number = int(await SHARED.client_id())
            await asyncio.sleep(1)
            await SHARED.aclose()
            return number

        return asyncio.run(body())

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        results = [name_me.delay() for _ in range(2)]
        numbers = {result.get() for result in results}
        assert len(numbers) == 2


def test_lock_and_script_work() -> None:
    async def body() -> Any:
        async with redis.asyncio.Redis() as client:
            async with client.lock("stock", timeout=10):
                held = await client.exists("stock")
            value = await client.eval("return redis.call('INCR', KEYS[1])", 1, "n")
            return held, await client.exists("stock"), value

    with tqsim.Simulation(make_app()):
        assert asyncio.run(body()) == (1, 0, 1)


def test_killed_worker_loses_its_connection() -> None:
    app = make_app(results="redis://")

    @app.task(name="wait_for_ever")
    def wait_for_ever() -> None:
        async def body() -> None:
            async with redis.asyncio.Redis(socket_timeout=None) as client:
                await client.client_setname("asyncio")
                await client.blpop(["nothing"])

        asyncio.run(body())

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        wait_for_ever.delay()
        sim.run(for_=5)
        assert [client["name"] for client in sim.redis.client_list() if client.get("name")] == ["asyncio"]
        worker.kill()
        assert [client["name"] for client in sim.redis.client_list() if client.get("name")] == []
