"""Links between processes and Redis: what kombu's transport and redis-py make of slow, cut and lost connections."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

import tqsim
from tests.simulation.redis_stories import make_app
from tqsim import faults

#: No second try.
_ONCE = Retry(NoBackoff(), 0)


def _app(**settings: Any) -> Any:
    app = make_app(**settings)

    @app.task(name="rest")
    def rest(seconds: float = 1) -> str:
        time.sleep(seconds)
        return "done"

    return app


def test_a_command_takes_the_way_there_and_back() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        client = redis.Redis()
        client.ping()
        with sim.faults.add(faults.latency("test", delay="10ms")):
            begin = sim.elapsed
            client.set("a", 1)
            assert sim.elapsed - begin == pytest.approx(0.02)
            with client.pipeline() as pipeline:
                pipeline.get("a")
                pipeline.get("a")
                pipeline.execute()
            assert sim.elapsed - begin == pytest.approx(0.04)
        begin = sim.elapsed
        client.get("a")
        assert sim.elapsed == begin


def test_a_connection_is_called_for_first() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.latency("test", delay="10ms"))
        client = redis.Redis()
        begin = sim.elapsed
        client.ping()
        first = sim.elapsed - begin
        client.connection_pool.disconnect()
        client.ping()
        # The call, redis-py's own greetings (HELLO, CLIENT SETINFO), and PING.
        assert first == pytest.approx(sim.elapsed - begin - first)
        assert first >= 0.06


def test_a_timeout_of_the_client_ends_the_waiting_over_a_cut_link() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        client = redis.Redis(socket_timeout=2, retry=_ONCE)
        client.ping()
        sim.faults.add(faults.partition("test", at=0, for_=60))
        begin = sim.elapsed
        with pytest.raises(redis.TimeoutError, match="Timeout reading from socket"):
            client.get("a")
        assert sim.elapsed - begin == 2


def test_what_was_sent_over_a_cut_link_may_still_happen() -> None:
    """The client has given up, and the server does it all the same when TCP brings it."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        client = redis.Redis(socket_timeout=0.5, retry=_ONCE)
        client.ping()
        sim.faults.add(faults.partition("test", at=0, for_=2))
        with pytest.raises(redis.TimeoutError):
            client.incr("n")
        sim.run(for_=10)
        assert client.get("n") == b"1"


def test_a_reset_while_popping_loses_the_task_that_was_on_its_way() -> None:
    """The server has popped it, and kombu has not recorded it (kombu/transport/redis.py, ``_brpop_read``)."""
    app = _app(options={"visibility_timeout": 60})
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.latency("w1", delay="100ms"))
        sim.run(for_=5)
        result = app.tasks["rest"].delay(1)
        sim.faults.add(faults.connection_reset("w1", at=0.05))
        sim.run(for_="20m")
        assert worker.is_alive
        assert sim.history.task(result.id).attempts == ()
        assert sim.redis.llen("celery") == sim.redis.hlen("unacked") == 0
        again = app.tasks["rest"].delay(1)
        sim.run(for_=10)
        assert sim.history.task(again.id).attempts[0].outcome == "succeeded"
        with pytest.raises(tqsim.CheckFailed, match=result.id):
            sim.check(tqsim.checks.nothing_lost())


def test_a_server_pops_for_a_client_that_is_gone() -> None:
    """Its BRPOP still stands at the server, which learns nothing: the next task goes nowhere."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.partition("w1"))
        worker.kill()
        sim.worker("w2", concurrency=1)
        sim.run(for_=0.5)
        results = [app.tasks["rest"].delay(0) for _ in range(2)]
        sim.run(for_=30)
        assert [len(sim.history.task(result.id).attempts) for result in results] == [0, 1]


def test_a_worker_in_a_partition_goes_on_when_it_is_over() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.partition("w1", at=0, for_=60))
        sim.run(for_=60)
        result = app.tasks["rest"].delay(1)
        sim.run_until_idle(limit="30m")
        assert worker.is_alive
        assert sim.history.task(result.id).attempts[0].outcome == "succeeded"


def test_a_worker_whose_connections_are_lost_on_the_path_is_deaf_until_tcp_gives_up() -> None:
    """Kombu's BRPOP waits without a timeout of its own; only the 15 minutes of TCP end it (tcp(7), tcp_retries2)."""
    app = _app(options={"visibility_timeout": 60})
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.half_open("w1", at=0))
        sim.run(for_=5)
        lost, later = (app.tasks["rest"].delay(1) for _ in range(2))
        sim.run(for_="10m")
        assert [sim.history.task(result.id).attempts for result in (lost, later)] == [(), ()]
        sim.run(for_="10m")
        assert worker.is_alive
        attempt = sim.history.task(later.id).attempts[0]
        assert attempt.outcome == "succeeded"
        assert 900 < (attempt.received or 0) < 1_000
        assert sim.history.task(lost.id).attempts == ()


def test_asyncio_clients_have_the_same_links() -> None:
    app = _app()

    async def talk() -> tuple[float, str, object]:
        client: Any = redis.asyncio.Redis()
        await client.ping()
        with sim.faults.add(faults.latency("talker", delay="10ms")):
            begin = time.monotonic()
            await client.set("a", 1)
            took = time.monotonic() - begin
        sim.faults.add(faults.connection_reset("talker", at=0))
        await asyncio.sleep(0.1)
        lost = client.connection_pool._available_connections[0]._reader.exception()
        value = await client.get("a")  # over a new connection
        await client.aclose()
        return took, repr(lost), value

    with tqsim.Simulation(app) as sim:
        client = sim.client(lambda: asyncio.run(talk()), "talker")
        sim.run(for_=1)
        took, *rest = client.result()
        assert took == pytest.approx(0.02)
        assert rest == ["ConnectionResetError(104, 'Connection reset by peer')", b"1"]


def _connect(kind: str) -> tuple[str, float]:
    """Open one connection, without a timeout of its own and without a second try; return how it went and how long."""
    timeouts: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": None}

    async def connect() -> None:
        connection = redis.asyncio.Connection(**timeouts, retry=AsyncRetry(NoBackoff(), 0))
        await connection.connect()
        await connection.disconnect()

    begin, outcome = time.monotonic(), "connected"
    try:
        if kind == "asyncio":
            asyncio.run(connect())
        else:
            redis.Connection(**timeouts, retry=_ONCE).connect()
    except redis.TimeoutError:
        outcome = "timed out"
    return outcome, round(time.monotonic() - begin, 4)


@pytest.mark.parametrize("kind", ["plain", "asyncio"])
def test_tcp_gives_up_connecting_in_a_partition(kind: str) -> None:
    """It asks for the last time after 63 s, and gives up after 127 (tcp(7), tcp_syn_retries)."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.partition(at=0))
        client = sim.client(lambda: _connect(kind), "caller")
        sim.run(for_="3m")
        assert client.result() == ("timed out", 127)


@pytest.mark.parametrize("kind", ["plain", "asyncio"])
def test_a_connection_is_called_for_again_ever_more_rarely(kind: str) -> None:
    """After 1, 3, 7, 15 s: what was cut for 8 s is open after 15."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.partition(at=0, for_=8))
        client = sim.client(lambda: _connect(kind), "caller")
        sim.run(for_="3m")
        assert client.result() == ("connected", 15)
        assert sim._redis.links._watchers == {}


@pytest.mark.parametrize("kind", ["plain", "asyncio"])
@pytest.mark.parametrize("fault", [faults.connection_reset, faults.broker_restart])
def test_connections_that_were_ended_are_forgotten(kind: str, fault: Any) -> None:
    """By a reset, or by the server: when the client has another, nothing is left of the one before."""
    app = _app()

    async def talk() -> None:
        async with redis.asyncio.Redis() as client:
            for number in range(6):
                await client.set("a", number)
                await asyncio.sleep(1)

    def plain() -> None:
        client = redis.Redis()
        for number in range(6):
            client.set("a", number)
            time.sleep(1)  # virtual

    with tqsim.Simulation(app) as sim:
        client = sim.client(plain if kind == "plain" else lambda: asyncio.run(talk()), "talker")
        sim.run(for_=0.5)
        links = sim._redis.links
        process = next(iter(links._ends)).process
        callbacks = len(process.on_death)
        for _ in range(4):
            sim.faults.add(fault(at=0))
            sim.run(for_=1)
        assert (len(links._ends), links._cables, len(process.on_death)) == (1, {}, callbacks)
        sim.run(for_=3)
        client.result()


@pytest.mark.parametrize("broker", ["redis://", "amqp://"])
@pytest.mark.parametrize("is_cut", [True, False], ids=["connecting", "connected"])
def test_killed_processes_leave_no_wire(broker: str, is_cut: bool) -> None:
    app = _app()
    app.conf.update(broker_url=broker)
    with tqsim.Simulation(app) as sim:
        sim.run(for_=1)
        before = len(sim._kernel.wires)
        if is_cut:
            sim.faults.add(faults.partition())
        worker = sim.worker("w1", concurrency=1)
        for _ in range(3):
            sim.run(for_=2)
            assert len(sim._kernel.wires) > before
            worker.kill()
            worker.restart()
        worker.kill()
        sim.run(for_=1)
        assert len(sim._kernel.wires) == before


def test_the_broker_and_the_results_can_be_cut_off_apart() -> None:
    app = _app()
    app.conf.update(broker_url="amqp://", result_backend="redis://")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.latency("w1", delay="1s", server="redis"))
        result = app.tasks["rest"].delay(1)
        sim.run_until_idle()
        attempt = sim.history.task(result.id).attempts[0]
        assert (attempt.received, attempt.started) == (1, 1)
        assert result.get(timeout=1) == "done"


def test_a_crash_of_redis_without_a_file_loses_what_it_had_and_workers_come_back() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1, prefetch_multiplier=1)
        sim.run(for_=1)
        running, reserved, *waiting = (app.tasks["rest"].delay(5) for _ in range(4))
        sim.faults.add(faults.broker_crash(at=1, down_for=10))
        sim.run(for_=30)
        assert worker.is_alive
        # What had not begun Celery forgets with the connection (celery/worker/consumer/consumer.py, ``on_close``).
        assert [sim.history.task(one.id).attempts[0].outcome for one in (running, reserved)] == ["succeeded", None]
        assert [len(sim.history.task(one.id).attempts) for one in waiting] == [0, 0]
        assert sim.redis.llen("celery") == 0
        again = app.tasks["rest"].delay(1)
        sim.run(for_=5)
        assert sim.history.task(again.id).attempts[0].outcome == "succeeded"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faults.memory_alarm(at=0, for_=1), "faults.memory_alarm: Redis raises no memory alarm"),
        (faults.broker_crash(at=0), "faults.broker_crash: what a Redis with persistence='aof' loses in a crash"),
    ],
)
def test_what_cannot_happen_to_redis_is_refused(fault: Any, message: str) -> None:
    app = _app()
    with tqsim.Simulation(app, broker=tqsim.Redis(persistence="aof")) as sim:
        with pytest.raises(tqsim.UsageError, match=message):
            sim.faults.add(fault)
