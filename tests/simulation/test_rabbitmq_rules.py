"""RabbitMQ's rules as Celery and kombu meet them: confirms, returns, quorum queues, delays, timeouts."""

from __future__ import annotations

import time
from typing import Any

import kombu
import pytest
from amqp.exceptions import MessageNacked, NotFound, PreconditionFailed
from kombu.exceptions import OperationalError

import tqsim
from tests.simulation.worker_stories import make_app
from tqsim.durations import instant


def _quorum(app: Any, **more: Any) -> None:
    app.conf.task_queues = [
        kombu.Queue(
            "celery",
            kombu.Exchange("celery", type="topic"),
            routing_key="celery",
            queue_arguments={"x-queue-type": "quorum", **more},
        )
    ]
    app.conf.task_default_exchange_type = "topic"


# --- publishing ----------------------------------------------------------------------------------


def test_direct_reply_to_is_not_simulated_and_not_advertised() -> None:
    with tqsim.Simulation(make_app()):
        connection = kombu.Connection("amqp://")
        channel: Any = connection.default_channel
        with pytest.raises(tqsim.UnsupportedError) as caught:
            channel.basic_consume("amq.rabbitmq.reply-to", "t", no_ack=True, callback=print)
        assert str(caught.value) == (
            "Direct reply-to (consuming from 'amq.rabbitmq.reply-to') is not simulated; have replies sent to a queue "
            "of the client's own: queue_declare(exclusive=True), and its name as reply_to."
        )
        assert "direct_reply_to" not in connection.connection.server_properties["capabilities"]


def test_what_a_publish_carries_is_no_longer_the_publishers() -> None:
    with tqsim.Simulation(make_app()):
        channel = kombu.Connection("amqp://").default_channel
        queue = channel.queue_declare(exclusive=True).queue
        headers: dict[str, Any] = {"list": [[1]], "table": {"inner": [{}]}}
        channel.basic_publish(channel.prepare_message(b"x", headers=headers), exchange="", routing_key=queue)
        headers["list"][0].append(2)
        headers["table"]["inner"][0]["a"] = 1
        first = channel.basic_get(queue)
        assert first.headers == {"list": [[1]], "table": {"inner": [{}]}}
        first.headers["list"][0].append(3)
        first.headers["table"]["inner"].clear()
        channel.basic_reject(first.delivery_tag, requeue=True)
        assert channel.basic_get(queue).headers == {"list": [[1]], "table": {"inner": [{}]}}


def test_a_full_queue_nacks_a_publisher_that_wants_confirms_and_nobody_else() -> None:
    """amqp/channel.py, basic_publish_confirm."""
    app = make_app()
    app.conf.task_queues = [
        kombu.Queue("celery", queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish"}),
    ]

    @app.task(name="work")
    def work() -> None:
        pass

    app.conf.broker_transport_options = {"confirm_publish": True}
    with tqsim.Simulation(app) as sim:
        work.delay()
        with pytest.raises(OperationalError) as nacked:
            work.delay()  # kombu takes a nack for an error that may pass, and tries again
        assert isinstance(nacked.value.__cause__, MessageNacked)
        assert sim.queue("celery").ready_count == 1
    app.conf.broker_transport_options = {}
    app.pool.force_close_all()
    with tqsim.Simulation(app) as sim:
        work.delay()
        second = work.delay()
        assert sim.queue("celery").ready_count == 1
        (life,) = [life for life in sim.history.tasks("work") if life.id == second.id]
        assert life.state == "lost"


def test_a_mandatory_message_comes_back_to_the_producer() -> None:
    app = make_app()
    returned: list[tuple[str, str, str, str]] = []

    def on_return(error: Any, exchange: str, routing_key: str, message: Any) -> None:
        returned.append((error.reply_text, exchange, routing_key, message.body))

    with tqsim.Simulation(app), app.connection_for_write() as connection:
        producer = kombu.Producer(connection, on_return=on_return)
        producer.publish("hello", routing_key="nowhere", mandatory=True, serializer="json")
        connection.drain_events(timeout=1)
    assert returned == [("NO_ROUTE", "", "nowhere", '"hello"')]


def test_without_a_callback_a_returned_message_is_an_error_of_the_next_read() -> None:
    """amqp/channel.py, _on_basic_return."""
    app = make_app()
    with tqsim.Simulation(app), app.connection_for_write() as connection:
        kombu.Producer(connection).publish("hello", routing_key="nowhere", mandatory=True)
        with pytest.raises(connection.channel_errors, match="NO_ROUTE"):
            connection.drain_events(timeout=1)


def test_exchanges_are_bound_to_exchanges() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim, app.connection_for_write() as connection:
        channel = connection.channel()
        source, target = (
            kombu.Exchange("source", "topic", channel=channel),
            kombu.Exchange("target", "fanout", channel=channel),
        )
        source.declare()
        target.declare()
        target.bind_to("source", routing_key="a.#")
        kombu.Queue("q", target, channel=channel).declare()
        producer = kombu.Producer(connection)
        producer.publish("1", exchange="source", routing_key="a.b")
        target.unbind_from("source", routing_key="a.#")
        producer.publish("2", exchange="source", routing_key="a.b")
        assert sim.queue("q").ready_count == 1


# --- quorum queues and native delayed delivery -------------------------------------------------------


def test_a_worker_on_a_quorum_queue_detects_it_and_works() -> None:
    """celery/worker/consumer/tasks.py, qos_global; celery/utils/quorum_queues.py."""
    app = make_app()
    _quorum(app)

    @app.task(name="work", acks_late=True)
    def work() -> str:
        time.sleep(1)
        return "done"

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        results = [work.delay() for _ in range(6)]
        sim.run(for_=0.5)
        worker.kill()
        sim.run(for_=1)
        worker.restart()
        assert [result.get(timeout=30) for result in results] == ["done"] * 6
        sim.run_until_idle()
        sim.check(tqsim.checks.nothing_lost())
        redelivered = [
            attempt for life in sim.history.tasks("work") for attempt in life.attempts if attempt.redelivered
        ]
        assert redelivered


def test_a_poison_task_reaches_the_delivery_limit() -> None:
    app = make_app()
    _quorum(app, **{"x-delivery-limit": 2})
    app.conf.task_reject_on_worker_lost = True

    @app.task(name="poison", acks_late=True)
    def poison() -> None:
        time.sleep(60)

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        poison.delay()
        for _ in range(4):
            sim.run(for_=5)
            worker.kill()
            sim.run(for_=5)
            worker.restart()
        sim.run(for_=5)
        (life,) = sim.history.tasks("poison")
        assert len(life.attempts) == 3
        drops = [moment for moment in sim.history.moments if moment.name == "message.dropped"]
        assert [moment.fields["reason"] for moment in drops] == ["delivery_limit"]


def test_countdowns_travel_through_native_delayed_delivery() -> None:
    """kombu/transport/native_delayed_delivery.py: 28 levels of lifetimes and dead letters."""
    app = make_app()
    _quorum(app)
    app.conf.broker_native_delayed_delivery_queue_type = "classic"
    ran: dict[int, float] = {}

    with tqsim.Simulation(app) as sim:

        @app.task(name="work")
        def work(countdown: int) -> None:
            ran[countdown] = sim.elapsed

        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        for countdown in (1, 2, 5, 100, 3_600):
            work.apply_async((countdown,), countdown=countdown)
        assert sim.queue("celery").ready_count + sim.queue("celery").unacked_count == 0
        sim.run(for_="2h")
        assert {countdown: round(at - 1, 1) for countdown, at in ran.items()} == {
            1: 1.0, 2: 2.0, 5: 5.0, 100: 100.0, 3_600: 3_600.0,
        }  # fmt: skip


@pytest.mark.skipif(kombu.VERSION < (5, 7), reason="kombu asks for a prefetch of its consumers on RabbitMQ 4 since 5.7")
@pytest.mark.parametrize(("version", "state"), [("3.13", "SUCCESS"), ("4.0", "PENDING"), ("4.3", "PENDING")])
def test_tasks_with_an_eta_fill_the_prefetch_for_good_on_rabbitmq_4(version: str, state: str) -> None:
    """kombu/transport/pyamqp.py, qos_semantics_matches_spec: what is added for ETAs reaches no consumer of before."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        """Do nothing."""

    with tqsim.Simulation(app, broker=tqsim.RabbitMQ(version=version)) as sim:
        sim.worker("w1", concurrency=1, prefetch_multiplier=1)
        sim.run(for_=1)
        for _ in range(3):
            work.apply_async(countdown=100)
        result = work.delay()
        sim.run(for_=30)
        assert result.state == state
        sim.run_until_idle()
        assert result.state == "SUCCESS"


# --- time ----------------------------------------------------------------------------------------


def test_a_late_ack_task_that_outlasts_the_consumer_timeout_ends_its_worker_and_runs_elsewhere() -> None:
    """PRECONDITION_FAILED is no error that Celery recovers from (celery/worker/worker.py, start)."""
    app = make_app()

    @app.task(name="long", acks_late=True)
    def long() -> None:
        time.sleep(30 * 60)

    with tqsim.Simulation(app, broker=tqsim.RabbitMQ(consumer_timeout="10m")) as sim:
        first = sim.worker("w1", concurrency=1)
        long.delay()
        sim.run(for_="1m")
        sim.worker("w2", concurrency=1)
        sim.run(for_="19m")
        (life,) = sim.history.tasks("long")
        assert [attempt.worker for attempt in life.attempts] == ["w1", "w2"]
        # The tick comes once a minute, from the opening of the channel.
        assert life.attempts[1].received == pytest.approx(630, abs=31)
        sim.run(for_="11m")
        assert not first.is_alive  # it waited for its task before it went
        assert len(life.attempts) == 2


def test_an_eta_beyond_the_consumer_timeout_ends_the_worker_that_holds_it() -> None:
    """The worker keeps the message unacknowledged until the ETA, and RabbitMQ's timeout is 30 minutes."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        pass

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        work.apply_async(countdown=3_600)
        sim.run(for_="40m")
        assert not worker.is_alive
        assert sim.queue("celery").ready_count == 1
        with pytest.raises(tqsim.NoProgress) as caught:
            sim.run_until_idle(limit="1m")
    (end,) = sim.history.moments_named("process.stopped")
    assert end.fields["exit_code"] == 1
    assert str(end.fields["error"]).startswith("PreconditionFailed: ")
    words = f"worker 'w1' ended by itself at {instant(end.at_us)} with exit code 1 ({end.fields['error']})"
    assert f"(nobody consumes it); {words}." in str(caught.value)


def test_without_a_consumer_timeout_it_runs_once() -> None:
    app = make_app()
    runs: list[float] = []

    with tqsim.Simulation(app, broker=tqsim.RabbitMQ(consumer_timeout=None)) as sim:

        @app.task(name="long", acks_late=True)
        def long() -> None:
            runs.append(sim.elapsed)
            time.sleep(2 * 3_600)

        sim.worker("w1", concurrency=2)
        long.delay()
        sim.run(for_="3h")
    assert len(runs) == 1


@pytest.mark.parametrize(("pool", "attempts"), [("solo", 2), ("prefork", 1)])
def test_a_task_in_the_event_loop_keeps_the_heartbeats_back(pool: str, attempts: int) -> None:
    """The server gives the connection up after three heartbeats of 60 s (measured on 3.10)."""
    app = make_app()
    app.conf.broker_connection_retry_on_startup = True

    @app.task(name="long", acks_late=True)
    def long() -> None:
        time.sleep(400)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, pool=pool)
        sim.run(for_=1)
        long.delay()
        sim.run(for_=700)
        closed = [moment.at for moment in sim.history.moments if moment.name == "connection.closed"]
        (life,) = sim.history.tasks("long")
        assert len(life.attempts) == attempts
        assert [at for at in closed if at < 400] == ([180.0] * len([at for at in closed if at < 400]))
        assert bool(closed) == (pool == "solo")


def test_a_kombu_client_must_send_its_own_heartbeats() -> None:
    app = make_app()
    with tqsim.Simulation(app):
        silent = app.connection_for_write(heartbeat=10)
        silent.connect()
        with pytest.raises(ConnectionResetError):
            silent.drain_events(timeout=60)
        careful = app.connection_for_write(heartbeat=10)
        careful.connect()
        for _ in range(12):
            time.sleep(5)
            careful.heartbeat_check()
        assert careful.connected


def test_a_publisher_waits_for_the_end_of_a_memory_alarm() -> None:
    app = make_app()

    @app.task(name="work")
    def work() -> str:
        return "done"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        told: list[Any] = []
        app.conf.broker_transport_options = {"on_blocked": told.append, "on_unblocked": lambda: told.append("free")}
        broker: Any = sim._broker
        broker.alarm(True)
        with app.connection_for_write() as connection:
            result = work.apply_async(connection=connection)
            sim.run(for_=60)
            assert sim.history.tasks("work")[0].attempts == ()
            sim.run(for_=0)
            broker.alarm(False)
            sim.run(for_=1)
            assert sim.history.tasks("work")[0].state == "succeeded"
            assert result.get(timeout=5) == "done"
            while len(told) < 2:
                connection.drain_events(timeout=1)
        app.conf.broker_transport_options = {}
        assert told == ["connection blocked, see broker logs", "free"]


def test_a_wrong_profile_is_named() -> None:
    with pytest.raises(tqsim.UsageError) as wrong:
        tqsim.RabbitMQ(version="2.8")
    assert str(wrong.value) == "version='2.8' is not simulated; expected one of 3.10, 3.12, 3.13, 4.0, 4.1, 4.3."
    with pytest.raises(tqsim.UsageError, match="consumer_timeout=-1 is negative"):
        tqsim.RabbitMQ(consumer_timeout=-1)


def test_the_servers_refusal_is_raised_where_the_real_one_raises_it() -> None:
    app = make_app()
    with tqsim.Simulation(app), app.connection_for_write() as connection:
        queue = kombu.Queue("q", channel=connection.channel(), queue_arguments={"x-overflow": "bogus"})
        with pytest.raises(
            PreconditionFailed, match="invalid arg 'x-overflow' for queue 'q' in vhost '/': invalid_overflow"
        ):
            queue.declare()


def test_four_idle_workers_cost_nothing_in_a_week() -> None:
    """Heartbeats and timeouts need no events while nobody is silent and nothing is open."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        pass

    with tqsim.Simulation(app) as sim:
        for number in range(4):
            sim.worker(f"w{number}", concurrency=1)
        work.delay()
        sim.run(for_="1h")
        broker: Any = sim._broker
        assert broker.server.next_deadline() is None
        before = sim._kernel.loop.switches
        sim.run(for_="7d")
        assert sim._kernel.loop.switches - before < 20


def test_a_channel_that_was_refused_asks_for_confirms_again() -> None:
    """``_do_revive`` in amqp/channel.py forgets that it had asked; a publish would wait for ever."""
    app = make_app()
    app.conf.broker_transport_options = {"confirm_publish": True}
    with tqsim.Simulation(app), app.connection_for_write() as connection:
        channel = connection.channel()
        for exchange in ("missing", "missing"):
            with pytest.raises(NotFound):
                channel.basic_publish(channel.prepare_message(b"x"), exchange, "k")
        channel.basic_publish(channel.prepare_message(b"x"), "", "k")
        assert channel.server_channel.is_confirming


def test_a_text_needs_an_encoding_when_kombu_prepares_it() -> None:
    """Kombu names the encoding even if there is none, and py-amqp then has no default (amqp/method_framing.py)."""
    app = make_app()
    with tqsim.Simulation(app), app.connection_for_write() as connection:
        channel = connection.channel()
        with pytest.raises(TypeError) as refused:
            channel.basic_publish(channel.prepare_message("x"), "", "k")
    assert str(refused.value) == "encode() argument 'encoding' must be str, not None"
