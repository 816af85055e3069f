"""Every form of Redis URL, failover lists, read and write URLs, beat and reconnecting clients."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from celery import chord
from kombu.exceptions import OperationalError

import tqsim
from tests.simulation.redis_stories import make_app


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://user:secret@redis.example:6380/3", {}),
        ("rediss://redis.example:6380/0?ssl_cert_reqs=required", {}),
        ("sentinel://one.example:26379;sentinel://two.example:26379", {"master_name": "shop"}),
        ("redis+socket:///run/redis.sock", {}),
    ],
)
def test_every_form_of_url(url: str, options: dict[str, Any]) -> None:
    app = make_app(url, options=options)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = app.tasks["say"].delay("hello")
        assert result.get() == "hello"
        sim.run_until_idle()
        assert sim.queue("celery").consumer_count == 1
        assert b"_kombu.binding.celery" in sim.redis.keys("*")
        sim.check(tqsim.checks.nothing_lost())


def test_read_and_write_url_may_differ_in_form() -> None:
    app = make_app("redis://", broker_write_url="redis://127.0.0.1:6379/0", broker_read_url="redis://localhost//")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        assert app.tasks["say"].delay("hello").get() == "hello"


def test_failover_goes_to_the_next_server() -> None:
    app = make_app(["redis://first:6379", "redis://second:6379"])
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim._redis.server("first:6379").stop()
        result = app.tasks["say"].delay("hello")
        sim.run_until_idle()
        assert result.get() == "hello"
        assert sim.history.task(result.id).attempts[0].worker == "w1"
        second = redis.Redis(host="second")
        assert second.exists("_kombu.binding.celery")


def test_beat_sends_over_redis() -> None:
    app = make_app(beat_schedule={"hourly": {"task": "say", "schedule": 3600.0, "args": ("tick",)}})
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.beat()
        sim.run(for_="6h")
        assert len(sim.history.tasks("say")) == 6
        sim.check(tqsim.checks.nothing_lost(), tqsim.checks.exactly_once())


def test_client_that_publishes_finds_the_server_again() -> None:
    app = make_app()
    with tqsim.Simulation(app, broker=tqsim.Redis(persistence="rdb")) as sim:
        sim.worker("w1", concurrency=1)
        app.tasks["say"].delay("before")
        sim.run(for_=1)
        sim.restart_broker()
        result = app.tasks["say"].delay("after")
        sim.run_until_idle()
        assert result.get() == "after"


def test_publishing_fails_while_the_server_is_down() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        app.tasks["say"].delay("before")
        sim.faults.add(tqsim.faults.broker_restart(at="1s", down_for="1h"))
        sim.run(for_=2)
        with pytest.raises(OperationalError, match=r"^Error 111 connecting to localhost:6379. Connection refused.$"):
            app.tasks["say"].apply_async(("lost",), retry=False)


def test_chord_and_results_in_the_same_redis() -> None:
    app = make_app(results="redis://")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=3)

        def ask() -> Any:
            return chord([app.tasks["work"].s(number) for number in (1, 2, 3)])(app.tasks["say"].si("all")).get()

        client = sim.client(ask)
        sim.run_until_idle()
        assert client.result() == "all"
        assert sim.elapsed == pytest.approx(3, abs=0.1)
        sim.check(tqsim.checks.nothing_lost(), tqsim.checks.exactly_once())
