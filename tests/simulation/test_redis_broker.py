"""Celery on kombu's own Redis transport: messages, moments, queues, idleness."""

from __future__ import annotations

import pytest

import tqsim
from tests.simulation.redis_stories import make_app
from tests.simulation.worker_stories import broker_story, starts, story


def test_url_chooses_the_profile() -> None:
    app = make_app("redis://localhost:6379/2")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        results = [app.tasks["work"].delay(2) for _ in range(6)]
        sim.run_until_idle()
        assert sim.elapsed == 6
        assert [result.get() for result in results] == [2] * 6
        assert sim.queue("celery").vhost == "2"


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
def test_every_pool_runs_tasks(pool: str) -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2, pool=pool)
        results = [app.tasks["work"].delay(1) for _ in range(4)]
        sim.run_until_idle()
        assert [result.get() for result in results] == [1] * 4
        assert sim.elapsed == (4 if pool == "solo" else 2)


def test_life_of_a_message() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        result = app.tasks["late"].delay(3)
        sim.run_until_idle()
        assert story(sim, result.id) == [
            (1.0, "task.published"),
            (1.0, "message.queued"),
            (1.0, "message.delivered"),
            (1.0, "task.received"),
            (1.0, "task.started"),
            (4.0, "task.succeeded"),
            (4.0, "message.acked"),
        ]
        attempt = sim.history.task(result.id).attempts[0]
        assert (attempt.worker, attempt.redelivered) == ("w1", False)
        sim.check(tqsim.checks.nothing_lost(), tqsim.checks.exactly_once(), tqsim.checks.no_overlap())


def test_queue_shows_what_waits_and_what_is_out() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        for number in range(3):
            app.tasks["work"].apply_async((10,), task_id=f"t{number}")
        queue = sim.queue("celery")
        assert (queue.ready_count, queue.unacked_count, queue.consumer_count) == (3, 0, 0)
        assert [m.properties["application_headers"]["id"] for m in queue.messages()] == ["t0", "t1", "t2"]
        assert [m.number for m in queue.messages()] == [1, 2, 3]
        sim.worker("w1", concurrency=1, prefetch_multiplier=2)
        sim.run(for_=1)
        # One runs and is acknowledged, two are reserved.
        assert (queue.ready_count, queue.unacked_count) == (0, 2)
        assert repr(queue) == "<QueueView 0:celery ready=0 unacked=2 consumers=1>"
        sim.run_until_idle()
        assert (queue.ready_count, queue.unacked_count) == (0, 0)
        assert sim.history.queue("celery").depth_max == 3


def test_eta_task_keeps_the_simulation_from_being_idle() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = app.tasks["say"].apply_async(("later",), countdown=90)
        sim.run(for_=1)
        assert (sim.queue("celery").ready_count, sim.queue("celery").unacked_count) == (0, 1)
        sim.run_until_idle()
        assert starts(sim, [result.id]) == [90]


def test_what_is_still_there_is_named() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        app.tasks["work"].apply_async(queue="mails")
        with pytest.raises(tqsim.NoProgress) as caught:
            sim.run_until_idle(limit="1h")
    assert str(caught.value).splitlines()[0] == (
        "Not idle after 1h of virtual time. Still there: 1 ready in queue 'mails' (nobody consumes it). "
        'If nobody is meant to consume it, as a queue of dead letters, give ignore_queues=["mails"].'
    )


def test_eager_publish_returns_when_everything_is_over() -> None:
    app = make_app(results="redis://")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        with sim.eager():
            result = app.tasks["work"].apply_async((5,), countdown=10, link=app.tasks["say"].si("done"))
            assert sim.elapsed == 15
            assert result.state == "SUCCESS"


def test_requeued_task_is_redelivered() -> None:
    app = make_app(task_reject_on_worker_lost=True)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        result = app.tasks["late"].delay(5)
        sim.run(for_=2)
        worker.kill_child()
        sim.run_until_idle()
        attempts = sim.history.task(result.id).attempts
        assert [attempt.redelivered for attempt in attempts] == [False, True]
        assert "message.requeued" in broker_story(sim, result.id)
        sim.check(tqsim.checks.nothing_lost())


def test_purged_messages_are_dropped() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        result = app.tasks["work"].delay()
        assert app.control.purge() == 1
        assert broker_story(sim, result.id)[-1] == "message.dropped"
        sim.run_until_idle()


def test_fetched_message_keeps_nobody_waiting() -> None:
    """basic_get with no_ack pops the message, and nothing records it."""
    app = make_app()
    with tqsim.Simulation(app) as sim:
        result = app.tasks["work"].delay()
        with app.connection_for_read() as connection:
            connection.default_channel.basic_get("celery", no_ack=True)
            sim.run_until_idle()
        assert broker_story(sim, result.id)[-2:] == ["message.delivered", "message.acked"]


def test_remote_control_and_events_travel_by_fanout() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.worker("w2", concurrency=1)
        sim.run(for_=1)
        replies = app.control.ping(timeout=2)
        assert sorted(name for reply in replies for name in reply) == ["w1@sim", "w2@sim"]
        assert sim.elapsed == 3
        assert sorted(app.control.inspect(timeout=1).active_queues()) == ["w1@sim", "w2@sim"]


def test_application_on_redis_runs_on_rabbitmq_when_told_to() -> None:
    app = make_app("redis://")
    with tqsim.Simulation(app, broker=tqsim.RabbitMQ()) as sim:
        sim.worker("w1", concurrency=1)
        assert app.tasks["say"].delay("x").get() == "x"
        assert type(sim.queue("celery")).__name__ == "QueueView"


def test_application_on_rabbitmq_runs_on_redis_when_told_to() -> None:
    app = make_app("pyamqp://guest@localhost//")
    with tqsim.Simulation(app, broker=tqsim.Redis()) as sim:
        sim.worker("w1", concurrency=1)
        assert app.tasks["say"].delay("x").get() == "x"
        assert app.connection_for_write().transport.driver_type == "redis"


def test_vhost_that_is_no_database_is_refused() -> None:
    app = make_app("pyamqp://guest@localhost/shop")
    with pytest.raises(tqsim.UsageError) as caught, tqsim.Simulation(app, broker=tqsim.Redis()):
        raise AssertionError("it opened")
    assert str(caught.value) == (
        "The application's broker URL has the vhost 'shop', which no Redis server has; expected the number of a "
        "database, such as redis://localhost:6379/0. Set app.conf.broker_url for the test, or pass "
        "Simulation(app, broker=tqsim.RabbitMQ())."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"version": 7}, 'version=7 is not a version of Redis; expected text such as "7.0".'),
        ({"persistence": "disk"}, 'persistence=\'disk\'; expected "none", "rdb" or "aof".'),
    ],
)
def test_wrong_setting_of_the_server(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(tqsim.UsageError) as caught:
        tqsim.Redis(**arguments)  # type: ignore[arg-type]
    assert str(caught.value) == message
