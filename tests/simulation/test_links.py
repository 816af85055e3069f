"""Links between processes and the broker: slow, cut, reset and half-open, and what Celery makes of them.

What a client sees of each is held to a real network in ``tests/conformance/test_links.py``.
"""

from __future__ import annotations

import time
from typing import Any

import kombu
import pytest

import tqsim
from tests.simulation.worker_stories import make_app, story
from tqsim import faults


def _app(**settings: Any) -> Any:
    app = make_app(**settings)

    @app.task(name="work")
    def work(seconds: float = 1) -> str:
        time.sleep(seconds)
        return "done"

    @app.task(name="late", acks_late=True)
    def late(seconds: float = 1) -> str:
        time.sleep(seconds)
        return "done"

    return app


def _moments(sim: tqsim.Simulation, task_id: str, *names: str) -> list[tuple[float, str]]:
    return [(at, name) for at, name in story(sim, task_id) if name in names]


def test_latency_is_paid_once_in_each_direction() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.latency("w1", delay="100ms"))
        sim.faults.add(faults.latency("test", delay="10ms"))
        connection = app.connection()
        channel = connection.default_channel
        begin = sim.elapsed
        result = app.tasks["late"].apply_async(
            (1,), producer=app.amqp.Producer(channel, auto_declare=False), declare=[]
        )
        sim.run_until_idle()
        at = {name: moment - begin for moment, name in story(sim, result.id)}
        assert at["task.published"] == pytest.approx(0.01)
        assert at["task.received"] - at["task.published"] == pytest.approx(0.1)
        assert at["message.acked"] - at["task.started"] == pytest.approx(1.1)
        connection.collect()


def test_latencies_add_up_and_end() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        connection = app.connection()
        channel = connection.default_channel
        queue = channel.queue_declare("q", auto_delete=False).queue

        def asking() -> float:
            begin = sim.elapsed
            channel.queue_declare(queue, passive=True)
            return round(sim.elapsed - begin, 6)

        assert asking() == 0
        with sim.faults.add(faults.latency("test", delay="20ms")), sim.faults.add(faults.latency(delay="1ms", for_=10)):
            assert asking() == 0.042
            sim.run(for_=10)
            assert asking() == 0.04
        assert asking() == 0
        connection.release()


def test_jitter_comes_from_the_seed_and_keeps_the_order() -> None:
    def digest(seed: int) -> str:
        app = _app()
        with tqsim.Simulation(app, seed=seed) as sim:
            sim.worker("w1", concurrency=4)
            sim.faults.add(faults.latency(delay="5ms", jitter="50ms"))
            results = [app.tasks["work"].delay(0) for _ in range(20)]
            sim.run_until_idle()
            received = [sim.history.task(result.id).attempts[0].received or 0 for result in results]
            assert received == sorted(received)
            return sim.history.digest

    assert digest(1) == digest(1) != digest(2)


def test_a_short_cut_delays_what_is_sent_again() -> None:
    """TCP sends again after 0.2, 0.4, 0.8 seconds; py-amqp gives up after one (TCP_USER_TIMEOUT)."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        connection = app.connection()
        producer = app.amqp.Producer(connection.default_channel)
        begin = sim.elapsed
        sim.faults.add(faults.partition("test", at=0, for_=0.5))
        sim.run(for_=0.1)
        result = app.tasks["work"].apply_async((0,), producer=producer)
        sim.run_until_idle()
        assert [at for at, _ in _moments(sim, result.id, "task.published")] == [pytest.approx(begin + 0.1 + 0.4)]
        connection.release()


def test_a_partition_that_outlasts_the_heartbeats_costs_a_redelivery() -> None:
    """The broker gives the worker up, and another one runs its tasks meanwhile: at least once."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        result = app.tasks["late"].delay(30)
        sim.run(for_=1)
        sim.worker("w2", concurrency=1)
        sim.faults.add(faults.partition("w1", at=1, for_="10m"))
        sim.run(for_="10m")
        sim.run_until_idle()
        runs = [(run.worker, run.outcome) for run in sim.history.task(result.id).attempts]
        # Its acknowledgement was lost, and the server looks once per minute: w2 has the task within three.
        assert runs == [("w1", "succeeded"), ("w2", "succeeded")]
        closed = [
            moment for moment in sim.history.moments if moment.name == "connection.closed" and moment.process == "w1"
        ]
        assert 120 <= closed[0].at - 3 <= 180


def test_a_worker_that_is_back_before_the_broker_gave_it_up_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Celery's remote control queue is exclusive, and the broker still holds the lost connection.

    ResourceLocked is no connection error, so the worker ends.  A real worker of Celery 5.7 on RabbitMQ 3.10
    behind a router that dropped its packets for 100 s did the same.
    """
    app = _app(worker_enable_remote_control=True)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=3)
        sim.faults.add(faults.half_open("w1", at=0))
        sim.run(for_=60)
        assert not worker.is_alive
    assert 'Unrecoverable error: ResourceLocked(405, "RESOURCE_LOCKED - cannot obtain exclusive access' in caplog.text


def test_a_reset_is_mended_by_reconnecting() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        result = app.tasks["late"].delay(10)
        sim.run(for_=2)
        sim.faults.add(faults.connection_reset("w1", at=1))
        sim.run_until_idle()
        assert worker.is_alive
        attempts = sim.history.task(result.id).attempts
        assert [run.redelivered for run in attempts] == [False, True]
        assert attempts[1].received == pytest.approx(4)


def test_what_is_on_its_way_is_lost_in_a_reset() -> None:
    """Without publisher confirms nobody knows: F34."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.latency("test", delay="50ms"))
        app.tasks["work"].delay()
        sim.faults.add(faults.connection_reset("test", at=0))
        sim.run(for_=1)
        assert [moment.name for moment in sim.history.moments if moment.name == "task.published"] == []


def test_a_forgotten_connection_is_found_out_by_heartbeats() -> None:
    """A firewall that forgets connections: the worker's own heartbeat is not answered."""
    app = _app(worker_enable_remote_control=False)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.half_open("w1", at=0))
        sim.run(for_=1)
        result = app.tasks["work"].delay(1)
        sim.run_until_idle(limit="10m")
        attempt = sim.history.task(result.id).attempts[-1]
        # It looks after a heartbeat of 60 s every 20 s, and sends one into nowhere at the second look; a second later
        # the socket gives up.
        assert attempt.outcome == "succeeded"
        opened = [
            moment.at for moment in sim.history.moments if moment.name == "connection.opened" and moment.process == "w1"
        ]
        assert opened[-1] == pytest.approx(41)


def test_a_server_that_has_forgotten_the_connection_resets_it() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        connection = app.connection()
        channel = connection.default_channel
        sim.faults.add(faults.half_open("test", at=0, lost_by="server"))
        sim.run(for_=1)
        with pytest.raises(ConnectionResetError, match="Connection reset by peer"):
            channel.queue_declare("q")
        connection.collect()


def test_an_idle_worker_finds_out_by_its_heartbeat_that_the_server_has_forgotten_it() -> None:
    """The next thing that it sends is answered with a reset: no task need come."""
    app = _app(worker_enable_remote_control=False, broker_heartbeat=10)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.half_open("w1", at=0, lost_by="server"))
        sim.run(for_=20)
        opened = [moment.at for moment in sim.history.moments if moment.name == "connection.opened"]
        assert opened == [0, pytest.approx(6.7, abs=0.1)]
        result = app.tasks["work"].delay(1)
        sim.run_until_idle(limit="1m")
        assert sim.history.task(result.id).attempts[0].outcome == "succeeded"


@pytest.mark.parametrize("at_ms", range(100, 1300, 100))
def test_a_reset_at_the_start_is_one_loss(at_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    """Epoll forgets a descriptor that is closed: the old connection's reader is never called again."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        sim.faults.add(faults.latency(delay="30ms"))
        sim.faults.add(faults.connection_reset("w1", at=at_ms / 1_000))
        sim.run(for_="5s")
    losses = [record for record in caplog.records if "Connection to broker lost" in record.message]
    assert len(losses) <= 1


def test_publishing_over_a_cut_link_fails_when_the_time_for_connecting_is_over() -> None:
    """Kombu tries no second time, because the clock is past the end (kombu/utils/functional.py)."""
    app = _app(broker_connection_timeout=4)
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.partition("test"))
        begin = sim.elapsed
        with pytest.raises(kombu.exceptions.OperationalError, match="timed out"):
            app.tasks["work"].delay(1)
        assert sim.elapsed - begin == pytest.approx(4, abs=0.1)


def test_connecting_over_a_cut_link_times_out() -> None:
    app = _app(broker_connection_timeout=4)
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.partition("test"))
        sim.run(for_=1)
        begin = sim.elapsed
        with pytest.raises(TimeoutError, match="timed out"):
            app.connection().transport.establish_connection()
        assert sim.elapsed - begin == pytest.approx(4)


def test_opening_a_connection_takes_four_round_trips() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.latency(delay="10ms"))
        begin = sim.elapsed
        connection = app.connection().transport.establish_connection()
        assert sim.elapsed - begin == pytest.approx(0.08)
        connection.collect()


def test_a_killed_worker_is_not_missed_while_it_is_cut_off() -> None:
    """The end of its connection cannot arrive: the loss of a machine, with which nobody says goodbye."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        app.tasks["late"].delay(1000)
        sim.run(for_=1)
        sim.faults.add(faults.partition("w1"))
        sim.run(for_=1)
        worker.kill()
        sim.run(for_=60)
        assert sim.queue("celery").unacked_count == 1
        sim.run(for_=120)
        assert (sim.queue("celery").unacked_count, sim.queue("celery").ready_count) == (0, 1)


def test_a_memory_alarm_blocks_whoever_publishes() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.memory_alarm(at=0, for_=30))
        sim.run(for_=1)
        results = [app.tasks["work"].delay(1) for _ in range(2)]
        sim.run_until_idle()
        assert [sim.history.task(result.id).attempts[0].started for result in results] == [31, 32]


def test_alarms_that_overlap_end_with_the_last() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.memory_alarm(at=0, for_=100))
        sim.faults.add(faults.memory_alarm(at=0, for_=10))
        sim.run(for_=20)
        result = app.tasks["work"].delay(1)
        sim.run_until_idle()
        assert sim.history.task(result.id).attempts[0].started == 101


def test_a_silent_connection_is_given_up_whatever_happens_to_others() -> None:
    """Its keep-alive counts from the cut (60 s, and 10 s for a probe), and not from the last change of any link."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w2", concurrency=1)
        connection = app.connection()
        connection.connect()
        sim.faults.add(faults.partition("test"))
        begin = sim.elapsed
        for _ in range(5):
            sim.faults.add(faults.latency("w2", delay="1ms", for_=1))
            sim.run(for_=10)
        with pytest.raises(TimeoutError, match=r"\[Errno 110\] Connection timed out"):
            connection.drain_events(timeout=500)
        assert sim.elapsed - begin == 70
        connection.collect()


def test_a_crash_loses_what_was_not_on_disk() -> None:
    """Persistent messages are on disk after 200 ms (``tqsim.broker.rabbitmq.disk``)."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        app.tasks["work"].delay()
        sim.run(for_=1)
        app.tasks["work"].delay()
        sim.faults.add(faults.broker_crash(at=0.05, down_for=10))
        sim.run(for_=20)
        assert sim.queue("celery").ready_count == 1


def test_eager_waits_for_what_is_still_on_its_way() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.faults.add(faults.latency(delay="50ms"))
        with sim.eager():
            assert app.tasks["work"].delay(1).state == "SUCCESS"


def test_a_message_on_its_way_keeps_the_simulation_from_being_idle() -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(faults.latency(delay="1s"))
        result = app.tasks["work"].apply_async((1,), ignore_result=True)
        sim.run_until_idle()
        sim.run_until_idle()
        assert sim.history.task(result.id).attempts[0].outcome == "succeeded"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda: faults.partition("w9"), "There is no process called 'w9' in this simulation; there are: test, w1."),
        (lambda: faults.partition("w1", server="db"), "server='db'; expected \"broker\", \"redis\" or None for both."),
        (lambda: faults.half_open("w1", at=0, lost_by="me"), "lost_by='me'; expected \"path\" or \"server\"."),
    ],
)  # fmt: skip
def test_a_wrong_link_is_named(fault: Any, message: str) -> None:
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        with pytest.raises(tqsim.UsageError) as caught:
            sim.faults.add(fault())
        assert str(caught.value) == message


def test_closed_connections_are_forgotten() -> None:
    """Also those that are closed while their links ail, whether the server was told or not."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.faults.add(faults.latency(delay="1ms"))
        for _ in range(5):
            app.connection().transport.establish_connection().collect()
        for fault in (faults.half_open("test", at=0), faults.half_open("test", at=0, lost_by="server")):
            connection = app.connection(heartbeat=10).transport.establish_connection()
            sim.faults.add(fault)
            connection.collect()
        sim.run(for_="1h")
        assert sim._broker.links._cables == {}
        assert sim._broker.links._ends == {}
