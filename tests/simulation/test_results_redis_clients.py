"""The application's own Redis clients in a simulation: one server, virtual time, processes apart."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

import tqsim
from tests.simulation.results_stories import make_shop

#: A client that was made before any simulation, as at the import of an application.
AT_IMPORT = redis.Redis(host="shop-redis", socket_timeout=None, decode_responses=True)
START = 1_893_456_000


def elapsed() -> float:
    """Return virtual seconds since the start, from inside a task."""
    return round(time.time() - START, 6)


def test_client_made_at_import_reaches_the_simulated_server() -> None:
    with tqsim.Simulation(make_shop("redis://")):
        AT_IMPORT.set("article", "7")
        assert AT_IMPORT.get("article") == "7"
    with tqsim.Simulation(make_shop("redis://")):
        assert AT_IMPORT.get("article") is None


def test_pool_made_before_gets_its_connections_back() -> None:
    pool = AT_IMPORT.connection_pool
    kept = object()
    pool._available_connections.append(kept)
    lock, pid = pool._lock, pool.pid
    try:
        with tqsim.Simulation(make_shop("redis://")) as sim:
            AT_IMPORT.ping()
            sim.client(AT_IMPORT.ping)
            sim.run_until_idle()
            assert kept not in pool._available_connections
        assert pool._available_connections == [kept]
        assert (pool._lock, pool.pid) == (lock, pid)
    finally:
        pool._available_connections.clear()


def test_pool_made_inside_is_empty_afterwards() -> None:
    with tqsim.Simulation(make_shop("redis://")) as sim:
        client = redis.Redis(host="shop-redis")
        client.ping()
        sim.client(client.ping)
        sim.run_until_idle()
    assert client.connection_pool._available_connections == []
    assert "simulated" not in repr(client.connection_pool._lock)


def test_connection_of_a_closed_simulation_is_broken() -> None:
    with tqsim.Simulation(make_shop("redis://")):
        client = redis.Redis(host="shop-redis")
        client.ping()
        connection = client.connection_pool._available_connections[0]
    with pytest.raises(
        redis.ConnectionError, match=r"The simulation has ended, and with it this connection to shop-redis:6379"
    ):
        connection.send_command("PING")


def test_every_process_has_connections_of_its_own() -> None:
    app = make_shop("cache+memory://")

    @app.task(name="name_me")
    def name_me() -> int:
        time.sleep(1)
        return int(AT_IMPORT.client_id())

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        ids = [name_me.delay() for _ in range(4)]
        mine = AT_IMPORT.client_id()
        found = [result.get() for result in ids]
        assert len({mine, *found}) == 3
        assert AT_IMPORT.client_id() == mine


def test_killed_worker_loses_its_connections() -> None:
    app = make_shop("cache+memory://")

    @app.task(name="listen")
    def listen() -> Any:
        return AT_IMPORT.blpop(["orders"], timeout=60)

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        listen.delay()
        sim.run(for_=1)
        assert len(AT_IMPORT.client_list()) == 2
        worker.kill()
        assert len(AT_IMPORT.client_list()) == 1
        AT_IMPORT.rpush("orders", "tea")
        assert AT_IMPORT.lrange("orders", 0, -1) == ["tea"]  # the dead did not take it


def test_servers_and_databases_are_apart() -> None:
    with tqsim.Simulation(make_shop("redis://")):
        first = redis.Redis.from_url("redis://localhost:6379/0")
        same = redis.Redis.from_url("redis://127.0.0.1:6379/0")
        database = redis.Redis.from_url("redis://localhost:6379/1")
        other = redis.Redis.from_url("redis://user:secret@elsewhere:6379/0")
        first.set("k", "v")
        assert same.get("k") == b"v"
        assert database.get("k") is None
        assert other.get("k") is None


def test_keys_expire_in_virtual_time() -> None:
    with tqsim.Simulation(make_shop("redis://")) as sim:
        AT_IMPORT.set("session", "x", ex=30)
        assert AT_IMPORT.ttl("session") == 30
        sim.run(for_=20)
        assert AT_IMPORT.ttl("session") == 10
        sim.run(for_=10.001)
        assert AT_IMPORT.get("session") is None


def test_blocking_pop_waits_in_virtual_time() -> None:
    app = make_shop("redis://")

    @app.task(name="take")
    def take(timeout: float) -> Any:
        return AT_IMPORT.blpop(["orders"], timeout=timeout), elapsed()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=3)
        first, second, third = take.delay(0), take.delay(60), take.delay(2.5)
        assert third.get() == [None, 2.5]
        sim.run(for_=1.5)
        AT_IMPORT.rpush("orders", "tea", "milk")
        # Who waited longest is served first.
        assert first.get() == [["orders", "tea"], 4.0]
        assert second.get() == [["orders", "milk"], 4.0]


def test_blocking_moves_chain() -> None:
    app = make_shop("redis://")

    @app.task(name="move")
    def move(source: str, target: str) -> Any:
        return AT_IMPORT.brpoplpush(source, target, 0), elapsed()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        results = [move.delay("b", "c"), move.delay("a", "b")]
        sim.run(for_=3)
        AT_IMPORT.rpush("a", "parcel")
        assert [result.get() for result in results] == [["parcel", 3.0], ["parcel", 3.0]]
        assert AT_IMPORT.lrange("c", 0, -1) == ["parcel"]


def test_stream_and_sorted_set_block_too() -> None:
    app = make_shop("redis://")

    @app.task(name="read")
    def read() -> Any:
        return AT_IMPORT.xread({"log": "$"}, block=10_000), elapsed()

    @app.task(name="pop")
    def pop() -> Any:
        return AT_IMPORT.bzpopmin("due", timeout=10), elapsed()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        entries, member = read.delay(), pop.delay()
        sim.run(for_=2)
        AT_IMPORT.xadd("log", {"level": "info"})
        AT_IMPORT.zadd("due", {"order": 5})
        assert entries.get()[1] == 2.0
        assert "info" in str(entries.get()[0])
        assert member.get() == [["due", "order", 5.0], 2.0]


def test_messages_are_waited_for_in_virtual_time() -> None:
    app = make_shop("redis://")

    @app.task(name="hear")
    def hear() -> Any:
        pubsub = AT_IMPORT.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe("news")
        pubsub.get_message(timeout=1)
        nothing = pubsub.get_message(timeout=2), elapsed()
        message = pubsub.get_message(timeout=60)
        return nothing, message["data"], elapsed()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = hear.delay()
        sim.run(for_=30)
        assert AT_IMPORT.publish("news", "hello") == 1
        assert result.get() == [[None, 2.0], "hello", 30.0]


def test_lock_excludes_across_processes() -> None:
    app = make_shop("redis://")
    inside: list[tuple[float, str]] = []

    @app.task(name="exclusive")
    def exclusive() -> None:
        with AT_IMPORT.lock("stock", timeout=60, sleep=0.5):
            inside.append((elapsed(), "in"))
            time.sleep(2)
            inside.append((elapsed(), "out"))

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        sim.worker("w2", concurrency=2)
        for _ in range(3):
            exclusive.delay()
        sim.run_until_idle()
        assert inside == [(0, "in"), (2, "out"), (2, "in"), (4, "out"), (4, "in"), (6, "out")]


def test_busy_polling_lets_time_pass_and_bulk_writes_do_not() -> None:
    app = make_shop("redis://")

    @app.task(name="poll")
    def poll() -> float:
        while not AT_IMPORT.exists("go"):
            pass
        return elapsed()

    @app.task(name="fill")
    def fill() -> float:
        for number in range(25_000):
            AT_IMPORT.incr("counter", number)
        return elapsed()

    with tqsim.Simulation(app, stall="20s") as sim:
        sim.worker("w1", concurrency=2)
        assert fill.delay().get() == 0
        result = poll.delay()
        sim.run(for_=1)
        AT_IMPORT.set("go", "1")
        assert 1 <= result.get() < 1.1


def test_blocking_pool_waits_for_a_connection_in_virtual_time() -> None:
    app = make_shop("redis://")
    pool = redis.BlockingConnectionPool(host="shop-redis", max_connections=1, timeout=30, socket_timeout=None)
    client = redis.Redis(connection_pool=pool)
    times: list[float] = []

    def hold() -> None:
        client.blpop(["nothing"], timeout=3)
        times.append(elapsed())

    @app.task(name="crowd")
    def crowd() -> None:
        threads = [threading.Thread(target=hold) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        crowd.delay()
        sim.run_until_idle()
    assert times == [3.0, 6.0, 9.0]


def test_transactions_and_scripts_run() -> None:
    with tqsim.Simulation(make_shop("redis://")):
        with AT_IMPORT.pipeline() as pipeline:
            pipeline.set("a", 1)
            pipeline.incr("a")
            pipeline.lpush("a", "x")
            pipeline.get("a")
            outcome = pipeline.execute(raise_on_error=False)
        assert outcome[:2] == [True, 2]
        assert isinstance(outcome[2], redis.ResponseError)
        assert outcome[3] == "2"
        assert AT_IMPORT.eval("return {KEYS[1], ARGV[1], 5}", 1, "k", "v") == ["k", "v", 5]
        with pytest.raises(redis.ResponseError, match=r"^unknown command"):
            AT_IMPORT.execute_command("FROBNICATE")


def test_sets_have_one_order() -> None:
    with tqsim.Simulation(make_shop("redis://")):
        AT_IMPORT.sadd("colours", "red", "green", "blue")
        members = AT_IMPORT.smembers("colours")
        assert list(members) == ["blue", "green", "red"]
        assert members == {"red", "green", "blue"}


def test_old_protocol_works_as_well() -> None:
    with tqsim.Simulation(make_shop("redis://")):
        client = redis.Redis(protocol=2)
        client.hset("h", mapping={"a": "1"})
        client.zadd("z", {"m": 1.5})
        assert client.hgetall("h") == {b"a": b"1"}
        assert client.zscore("z", "m") == 1.5
        pubsub = client.pubsub()
        pubsub.subscribe("news")
        assert pubsub.get_message(timeout=1)["type"] == "subscribe"
        client.publish("news", "x")
        assert pubsub.get_message(timeout=1)["data"] == b"x"


def test_finalizer_in_the_middle_of_a_command_waits_its_turn() -> None:
    """A finalizer that talks to Redis hung the prototype: fakeredis's lock is not re-entrant."""
    with tqsim.Simulation(make_shop("redis://")) as sim:
        server = sim._redis.server("shop-redis:6379")
        pubsub = AT_IMPORT.pubsub()
        pubsub.subscribe("news")
        pubsub.get_message(timeout=1)

        class Noisy:
            def __del__(self) -> None:
                pubsub.unsubscribe("news")

        noisy = [Noisy()]
        real = server._note_change

        def drop(*change: Any) -> None:
            noisy.clear()
            real(*change)

        vars(server.dbs[0])["_on_change"] = drop
        AT_IMPORT.set("k", "v")
        assert noisy == []
        assert AT_IMPORT.get("k") == "v"
        assert AT_IMPORT.publish("news", "anybody?") == 0
