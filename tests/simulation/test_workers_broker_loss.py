"""The broker goes away while workers run: they reconnect by Celery's own rules and go on."""

from __future__ import annotations

import pytest

import tqsim
from tests.simulation.worker_stories import make_sleeping_app, story


def _outage(sim: tqsim.Simulation, at: float, seconds: float) -> None:
    sim.faults.add(tqsim.faults.broker_restart(at=at, down_for=seconds))
    sim.run(for_=at + seconds)


def test_a_worker_reconnects_after_a_restart_and_its_unacked_messages_come_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """celery/worker/consumer/consumer.py, on_connection_error_after_connected."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        early, late, waiting = app.tasks["early"].delay(), app.tasks["late"].delay(), app.tasks["late"].delay()
        sim.run(for_=3)
        sim.restart_broker()
        sim.run_until_idle()
        assert [result.state for result in (early, late, waiting)] == ["SUCCESS"] * 3
        assert len(sim.history.task(early.id).runs) == 1
        assert [item.redelivered for item in sim.history.task(late.id).attempts][-1]
        sim.check(tqsim.checks.nothing_lost())
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_late_ack_task_that_runs_through_a_restart_runs_again() -> None:
    """Its acknowledgement belongs to a channel that is gone: at least once."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        late = app.tasks["late"].delay()
        sim.run(for_=3)
        sim.restart_broker()
        sim.run_until_idle()
        assert len(sim.history.task(late.id).runs) == 2
        assert late.state == "SUCCESS"
        queue = sim.queue("celery")
        assert (queue.ready_count, queue.unacked_count) == (0, 0)


def test_long_tasks_are_cancelled_on_connection_loss_if_asked_for() -> None:
    """worker_cancel_long_running_tasks_on_connection_loss: Request.cancel."""
    app = make_sleeping_app(worker_cancel_long_running_tasks_on_connection_loss=True)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        late = app.tasks["late"].delay(30)
        sim.run(for_=3)
        sim.restart_broker()
        sim.run_until_idle()
        life = sim.history.task(late.id)
        assert life.attempts[0].outcome == "terminated"
        assert life.attempts[-1].outcome == "succeeded"
        assert late.state == "SUCCESS"


def test_a_broker_that_is_down_is_tried_again_after_two_four_six_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """celery/worker/consumer/consumer.py, ensure_connected; kombu Connection.ensure_connection: 2, +2, up to 30."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        _outage(sim, 1, 31)
        sim.run(for_=60)
        assert app.tasks["early"].delay(1).get(timeout=5) == "done"
        opened = [moment.at for moment in sim.history.moments_named("connection.opened") if moment.process == "w1"]
        assert min(at for at in opened if at > 1) == 43.0
    tries = [record.message for record in caplog.records if "Cannot connect to" in record.message]
    assert len(tries) == 6
    assert [text.rstrip().splitlines()[-1] for text in tries[:3]] == [
        "Trying again in 2.00 seconds... (1/100)",
        "Trying again in 4.00 seconds... (2/100)",
        "Trying again in 6.00 seconds... (3/100)",
    ]


def test_tasks_that_run_while_the_broker_is_down_end_as_usual() -> None:
    """celery/worker/consumer/consumer.py, Consumer.on_close keeps active requests."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        early = app.tasks["early"].delay(10)
        _outage(sim, 3, 30)
        sim.run_until_idle()
        assert story(sim, early.id, "task.succeeded") == [(10.0, "task.succeeded")]
        assert early.state == "SUCCESS"


def test_eta_tasks_come_back_after_a_restart_and_start_at_their_time() -> None:
    """celery/worker/consumer/consumer.py, Consumer.on_close cancels their timers."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        later = app.tasks["early"].apply_async((1,), countdown=100)
        sim.run(for_=3)
        sim.restart_broker()
        sim.run_until_idle()
        assert story(sim, later.id, "task.started") == [(100.0, "task.started")]


def test_a_worker_started_while_the_broker_is_down_waits_for_it() -> None:
    """broker_connection_retry_on_startup: retried by default, with a warning in Celery 5."""
    app = make_sleeping_app(broker_connection_retry_on_startup=True)
    with tqsim.Simulation(app) as sim:
        sim.faults.add(tqsim.faults.broker_restart(at=0, down_for=10))
        sim.run(for_=1)
        sim.worker("w1", concurrency=1)
        sim.run(for_=12)
        assert app.tasks["early"].delay(1).get(timeout=5) == "done"


def test_a_worker_that_must_not_retry_ends() -> None:
    """celery/worker/consumer/consumer.py, Consumer.start: WorkerShutdown(1)."""
    app = make_sleeping_app(broker_connection_retry=False, broker_connection_retry_on_startup=True)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.restart_broker()
        sim.run(for_=10)
        assert not worker.is_alive
        worker.restart()
        assert app.tasks["early"].delay(1).get(timeout=5) == "done"


def test_a_client_that_publishes_while_the_broker_is_down_waits_for_it() -> None:
    """kombu/connection.py, Connection.ensure; app.conf.task_publish_retry_policy: 0, 0.2, 0.4."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(tqsim.faults.broker_restart(at=0, down_for=0.2))
        sim.run(for_=0.1)
        client = sim.client(lambda: app.tasks["early"].delay(1).id)
        sim.run(for_=60)
        assert sim.history.task(client.result()).state == "succeeded"
        sim.faults.add(tqsim.faults.broker_restart(at=0, down_for=60))
        sim.run(for_=0.1)
        lost = sim.client(lambda: app.tasks["early"].delay(1))
        sim.run(for_=50)
        with pytest.raises(Exception, match="Connection refused"):
            lost.result()


def test_gossip_survives_a_lost_connection_without_errors(caplog: pytest.LogCaptureFixture) -> None:
    """celery/bootsteps.py, ConsumerStep.stop; amqp/channel.py, basic_cancel without a connection."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        for name in ("w1", "w2"):
            sim.worker(name, concurrency=1, gossip=True, mingle=True, heartbeat=True)
        sim.run(for_=5)
        sim.restart_broker()
        sim.run(for_=30)
        assert app.control.ping(timeout=1) == [{"w1@sim": {"ok": "pong"}}, {"w2@sim": {"ok": "pong"}}]
        assert app.tasks["early"].delay(1).get(timeout=5) == "done"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
