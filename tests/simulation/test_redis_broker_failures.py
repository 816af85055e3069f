"""What goes wrong with Celery on Redis in production, and what mends it; F-numbers are the project's failure modes."""

from __future__ import annotations

import celery
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import tqsim
from tests.simulation.redis_stories import make_app
from tests.simulation.worker_stories import broker_story, story

#: Small enough for a test: the sweep acts at the first and then every tenth call, ten seconds apart.
VISIBILITY = {"visibility_timeout": 60}


def test_eta_longer_than_the_visibility_timeout_runs_several_times() -> None:
    """F1: every sweep after the timeout restores the message, and it is received again (celery/celery#4766)."""
    app = make_app(options=VISIBILITY)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        sim.run(for_=1)
        result = app.tasks["say"].apply_async(("hello",), countdown=350)
        sim.run_until_idle()
        # Received at 1; restored by the sweeps at 100, 200 and 300, each of which finds it older than 60 s.
        received = [at for at, name in story(sim, result.id) if name == "task.received"]
        assert [round(at) for at in received] == [1, 100, 200, 300]
        assert len(sim.history.task(result.id).attempts) == 4
        started = [at for at, name in story(sim, result.id) if name == "task.started"]
        assert started == [351] * 4
        with pytest.raises(tqsim.CheckFailed):
            sim.check(tqsim.checks.exactly_once())


def test_eta_shorter_than_the_visibility_timeout_runs_once() -> None:
    """F1, mended: a timeout longer than the longest countdown."""
    app = make_app(options={"visibility_timeout": 400})
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        app.tasks["say"].apply_async(("hello",), countdown=350)
        sim.run_until_idle()
        sim.check(tqsim.checks.exactly_once(), tqsim.checks.nothing_lost())


def test_late_task_longer_than_the_visibility_timeout_overlaps_itself() -> None:
    """F2: acknowledged after the run, so it is restored while it runs (celery/celery#5935)."""
    app = make_app(options=VISIBILITY)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        sim.run(for_=1)
        result = app.tasks["late"].delay(150)
        sim.run_until_idle()
        runs = sim.history.task(result.id).attempts
        assert [(run.started, run.ended, run.redelivered) for run in runs] == [
            (1.0, 151.0, False),
            (pytest.approx(100, abs=1), pytest.approx(250, abs=1), True),
        ]
        with pytest.raises(tqsim.CheckFailed):
            sim.check(tqsim.checks.no_overlap())


def test_reserved_task_that_waits_longer_than_the_visibility_timeout_runs_twice() -> None:
    """F3: even acknowledged early, it is unacknowledged until a slot is free."""
    app = make_app(options=VISIBILITY)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, prefetch_multiplier=4)
        sim.run(for_=1)
        app.tasks["work"].delay(150)
        waiting = app.tasks["work"].delay(1)
        sim.run_until_idle()
        runs = sim.history.task(waiting.id).attempts
        assert [(run.started, run.redelivered) for run in runs] == [(151.0, False), (152.0, True)]
        with pytest.raises(tqsim.CheckFailed):
            sim.check(tqsim.checks.exactly_once())


@pytest.mark.skipif(celery.VERSION < (5, 6), reason="worker_disable_prefetch came with Celery 5.6")
def test_reserved_task_that_waits_runs_once_without_prefetching() -> None:
    """F3, mended: ``worker_disable_prefetch``, or one reserved message and late acknowledgement."""
    app = make_app(options=VISIBILITY, worker_disable_prefetch=True)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        app.tasks["work"].delay(150)
        waiting = app.tasks["work"].delay(1)
        sim.run(for_=1)
        sim.worker("w2", concurrency=1)
        sim.run_until_idle()
        sim.check(tqsim.checks.exactly_once(), tqsim.checks.nothing_lost())
        assert sim.history.task(waiting.id).attempts[0].worker == "w2"


def test_task_of_a_killed_worker_is_invisible_until_the_timeout() -> None:
    """F13: nobody restores ``unacked`` but the sweep of another worker."""
    app = make_app(options={"visibility_timeout": 600})
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        result = app.tasks["late"].delay(5)
        sim.run(for_=1)
        worker.kill()
        sim.worker("w2", concurrency=1)
        sim.run(for_=590)
        assert (sim.queue("celery").ready_count, sim.queue("celery").unacked_count) == (0, 1)
        sim.run_until_idle()
        # Recorded at 1 s, so a sweep of w2 that comes after 601 s restores it: w2 started at 2 s, sweeps each 100 s.
        run = sim.history.task(result.id).attempts[-1]
        assert run.worker == "w2"
        assert run.started == pytest.approx(602, abs=1)
        sim.check(tqsim.checks.nothing_lost())


def test_warm_shutdown_restores_what_is_reserved() -> None:
    """F13, mended: a worker that may close its channel puts everything back at once, in order."""
    app = make_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1, prefetch_multiplier=4)
        results = [app.tasks["work"].apply_async((5,), task_id=f"t{number}") for number in range(4)]
        sim.run(for_=1)
        worker.stop()
        sim.run(for_=10)
        queue = sim.queue("celery")
        assert (queue.ready_count, queue.unacked_count) == (3, 0)
        # Each is pushed to the end that is popped, in the order of delivery: the last one comes first.
        assert [m.properties["application_headers"]["id"] for m in queue.messages()] == ["t3", "t2", "t1"]
        assert broker_story(sim, results[1].id)[-1] == "message.requeued"
        worker.restart()
        sim.run_until_idle()
        sim.check(tqsim.checks.nothing_lost(), tqsim.checks.exactly_once())


def test_message_popped_and_not_recorded_is_lost_with_the_worker() -> None:
    """Between BRPOP's reply and HSET nobody but the client has the message.

    A solo worker whose timer runs an ETA task has a BRPOP outstanding meanwhile, and leaves its reply unread.
    """
    app = make_app(options=VISIBILITY)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", pool="solo")
        app.tasks["work"].apply_async((100,), countdown=5.5)
        sim.run(for_=5.7)
        lost = app.tasks["say"].delay("hello")
        sim.run(for_=20)
        assert broker_story(sim, lost.id) == ["task.published", "message.queued", "message.delivered"]
        worker.kill()
        assert broker_story(sim, lost.id)[-1] == "message.dropped"
        sim.worker("w2", concurrency=1)
        sim.run(for_="1h")
        with pytest.raises(tqsim.CheckFailed):
            sim.check(tqsim.checks.nothing_lost())


@pytest.mark.parametrize(("persistence", "left"), [("none", 0), ("rdb", 2), ("aof", 2)])
def test_restart_keeps_what_is_on_disk(persistence: str, left: int) -> None:
    app = make_app()
    with tqsim.Simulation(app, broker=tqsim.Redis(persistence=persistence)) as sim:
        results = [app.tasks["say"].delay(word) for word in ("a", "b")]
        sim.restart_broker()
        assert sim.queue("celery").ready_count == left
        sim.worker("w1", concurrency=1)
        sim.run_until_idle()
        outcome = "task.succeeded" if left else "message.dropped"
        assert [outcome in broker_story(sim, result.id) for result in results] == [True, True]


def test_worker_survives_a_restart_and_consumes_on() -> None:
    app = make_app()
    with tqsim.Simulation(app, broker=tqsim.Redis(persistence="aof")) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        sim.faults.add(tqsim.faults.broker_restart(at="1s", down_for="20s"))
        sim.run(for_=60)
        result = app.tasks["say"].delay("again")
        sim.run_until_idle()
        assert sim.history.task(result.id).attempts[0].ended == 61


def test_nobody_can_connect_while_the_server_is_down() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.redis.set("k", "v")
        sim.faults.add(tqsim.faults.broker_restart(at="1s", down_for="20s"))
        sim.run(for_=2)
        with pytest.raises(redis.ConnectionError, match=r"Error 111 connecting to localhost:6379. Connection refused."):
            sim.redis.get("k")
        sim.run(for_=20)
        assert sim.redis.get("k") is None


def test_late_task_runs_again_after_the_connection_was_lost() -> None:
    """F4 on Redis: the record of the running task stays, and the sweep restores it after the timeout."""
    app = make_app(options=VISIBILITY)
    with tqsim.Simulation(app, broker=tqsim.Redis(persistence="aof")) as sim:
        sim.worker("w1", concurrency=2)
        sim.run(for_=1)
        result = app.tasks["late"].delay(30)
        sim.run(for_=2)
        sim.restart_broker()
        sim.run_until_idle()
        assert len(sim.history.task(result.id).attempts) >= 1
        sim.check(tqsim.checks.nothing_lost())


def test_evicted_records_are_lost() -> None:
    """Redis that evicts (``allkeys-lru``) may drop ``unacked``: a killed worker's task is gone for good."""
    app = make_app(options=VISIBILITY)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        result = app.tasks["late"].delay(50)
        sim.run(for_=1)
        worker.kill()
        sim.redis.delete("unacked")
        assert broker_story(sim, result.id)[-1] == "message.dropped"
        sim.worker("w2", concurrency=1)
        sim.run(for_="1h")
        with pytest.raises(tqsim.CheckFailed):
            sim.check(tqsim.checks.nothing_lost())


def test_a_client_that_was_cut_off_finds_out_by_its_next_command() -> None:
    """Its command is sent into the void, and the reply is the end of the connection; the one after that connects."""
    app = make_app()
    with tqsim.Simulation(app) as sim:
        client = redis.Redis(retry=Retry(NoBackoff(), 0), single_connection_client=True)
        client.set("k", 1)
        sim.restart_broker()
        with pytest.raises(redis.ConnectionError, match=r"^Connection closed by server\.$"):
            client.get("k")
        assert client.get("k") is None
