"""Ends of workers and of their children: warm, cold, killed, by their own hand, and what comes after."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery import signals

import tqsim
from tests.simulation.worker_stories import broker_story, make_app, make_sleeping_app, starts, story


def test_a_warm_shutdown_finishes_what_runs_and_gives_the_rest_back() -> None:
    """celery/apps/worker.py, install_worker_term_handler; celery/worker/worker.py, WorkController.stop."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        early, late = app.tasks["early"].delay(), app.tasks["late"].delay()
        sim.run(for_=3)
        worker.stop()
        sim.run(for_=1)
        assert worker.is_alive
        sim.run(for_=9)
        assert not worker.is_alive
        assert early.state == "SUCCESS"
        assert late.state == "PENDING"
        assert (sim.queue("celery").ready_count, sim.queue("celery").unacked_count) == (1, 0)
        other = sim.worker("w2", concurrency=1)
        assert late.get(timeout=20) == "done"
        assert [item.redelivered for item in sim.history.task(late.id).attempts] == [False, True]
        assert other.is_alive


def test_a_late_ack_task_that_ends_during_a_warm_shutdown_is_acked() -> None:
    """celery/concurrency/prefork.py, _run_ready_callbacks (5.7)."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        late = app.tasks["late"].delay()
        sim.run(for_=3)
        worker.stop()
        sim.run(for_=20)
        assert (worker.is_alive, late.state) == (False, "SUCCESS")
        assert broker_story(sim, late.id)[-2:] == ["task.succeeded", "message.acked"]
        assert sim.queue("celery").ready_count == 0


def test_a_cold_shutdown_gives_late_ack_tasks_back_and_they_run_elsewhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """celery/apps/worker.py, on_cold_shutdown: cancel_active_requests, then the pool stops."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        early, late = app.tasks["early"].delay(100), app.tasks["late"].delay()
        sim.run(for_=3)
        worker.send_signal(signal.SIGQUIT)
        sim.run(for_=1)
        assert not worker.is_alive
        assert sim.queue("celery").ready_count == 1
        sim.worker("w2", concurrency=1)
        assert late.get(timeout=20) == "done"
        attempts = sim.history.task(late.id).attempts
        assert [(item.worker, item.redelivered) for item in attempts] == [("w1", False), ("w2", True)]
        assert early.state == "RETRY"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_soft_shutdown_waits_for_its_time() -> None:
    """celery/worker/worker.py, WorkController.wait_for_soft_shutdown."""
    app = make_sleeping_app(worker_soft_shutdown_timeout=20)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        short, long = app.tasks["late"].delay(10), app.tasks["late"].delay(100)
        sim.run(for_=3)
        worker.send_signal(signal.SIGQUIT)
        sim.run(for_=30)
        assert not worker.is_alive
        assert (short.state, long.state) == ("SUCCESS", "PENDING")
        assert sim.queue("celery").ready_count == 1


@pytest.mark.parametrize(("task", "outcome"), [("early", "lost"), ("late", "succeeded")])
def test_a_killed_worker_loses_early_acks_and_late_ones_come_again(task: str, outcome: str) -> None:
    """RabbitMQ requeues what a closed connection has not acknowledged."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        result = app.tasks[task].delay()
        sim.run(for_=3)
        worker.kill()
        worker.restart()
        sim.run_until_idle()
        attempts = sim.history.task(result.id).attempts
        assert (attempts[0].outcome, attempts[0].ended) == ("lost", 3.0)
        assert (attempts[-1].outcome, attempts[-1].redelivered) == (outcome, outcome == "succeeded")


def test_a_killed_worker_runs_no_finally() -> None:
    """signal(7): SIGKILL cannot be caught."""
    app = make_app()
    seen: list[str] = []

    @app.task(name="work")
    def work() -> None:
        try:
            time.sleep(100)
        finally:
            seen.append("finally")

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        work.delay()
        sim.run(for_=3)
        worker.kill()
        sim.run(for_=200)
        assert seen == []


def test_a_killed_child_is_a_lost_worker_and_is_replaced() -> None:
    """billiard/pool.py, Pool.mark_as_worker_lost; celery/concurrency/asynpool.py, on_job_process_lost."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        first, second = app.tasks["early"].delay(), app.tasks["early"].delay()
        sim.run(for_=3)
        worker.kill_child()
        with pytest.raises(WorkerLostError, match=r"Worker exited prematurely: signal 9 \(SIGKILL\) Job: 0\."):
            first.get(timeout=3)
        assert second.get(timeout=20) == "done"
        # At 3 the event loop looks too early (tqsim/worker/reaping.py); its timer rings every 5 s.
        assert starts(sim, [second.id]) == [5.0]


def test_a_late_ack_task_of_a_lost_child_is_acked_as_failed_by_default() -> None:
    """celery/worker/request.py, Request.on_failure: reject_on_worker_lost is off."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        result = app.tasks["late"].delay()
        sim.run(for_=3)
        worker.kill_child()
        sim.run_until_idle()
        assert isinstance(result.result, WorkerLostError)
        assert broker_story(sim, result.id)[-1] == "message.acked"


def test_reject_on_worker_lost_delivers_again() -> None:
    """celery/worker/request.py, Request.on_failure: requeue."""
    app = make_app()

    @app.task(name="work", bind=True, acks_late=True, reject_on_worker_lost=True)
    def work(self: Any) -> str:
        if not self.request.delivery_info["redelivered"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        assert result.get(timeout=10) == "done"
        attempts = sim.history.task(result.id).attempts
        assert [(item.outcome, item.redelivered) for item in attempts] == [("lost", False), ("succeeded", True)]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (lambda: os._exit(3), "exitcode 3"),
        (lambda: os.kill(os.getpid(), 9), "signal 9 (SIGKILL)"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), "signal 11 (SIGSEGV)"),
        (lambda: os.abort(), "signal 6 (SIGABRT)"),  # noqa: PLW0108 - os.abort itself would be the real one
        (lambda: sys.exit(4), None),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "signal 15 (SIGTERM)"),
    ],
    ids=["_exit", "SIGKILL", "SIGSEGV", "abort", "exit", "SIGTERM"],
)
def test_a_task_that_ends_its_own_process_is_lost_and_the_worker_goes_on(end: Any, text: str | None) -> None:
    """billiard/pool.py, Worker.workloop, mark_as_worker_lost; celery/worker/request.py, _worker_lost_info."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        time.sleep(1)
        end()

    @app.task(name="next")
    def following() -> str:
        return "done"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result, then = work.delay(), following.delay()
        assert then.get(timeout=10) == "done"
        assert result.state == "FAILURE"
        assert isinstance(result.result, WorkerLostError)
        if text is not None:
            assert str(result.result).startswith(f"Worker exited prematurely: {text} Job: ")
        assert len(sim.history.moments_named("child.ended")) == 1
        assert sim.history.task(result.id).attempts[0].outcome == "lost"


def test_a_crashing_task_may_crash_many_children_at_one_instant() -> None:
    """billiard/pool.py, ResultHandler.on_ack: each accepted job resets the count of restarts."""
    app = make_app()

    @app.task(name="crash")
    def crash() -> None:
        os._exit(1)

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        for _ in range(300):
            crash.delay()
        sim.run_until_idle()
        assert worker.is_alive
        assert len(sim.history.moments_named("child.ended")) == 300


def test_a_worker_killed_twice_is_a_mistake_of_the_test() -> None:
    """The whole message says what to do."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        worker.kill()
        for action, verb in ((worker.kill, "kill"), (worker.stop, "stop"), (worker.kill_child, "kill_child")):
            with pytest.raises(tqsim.UsageError) as caught:
                action()
            assert str(caught.value) == (
                f"Worker 'w1' cannot {verb}: it has ended already. Start it again with restart()."
            )
        worker.restart()
        with pytest.raises(tqsim.UsageError) as caught:
            worker.restart()
        assert str(caught.value) == "Worker 'w1' is running already; kill() or stop() it first."
        sim.run(for_=1)
        with pytest.raises(tqsim.UsageError) as caught:
            worker.kill_child(5)
        assert str(caught.value) == (
            "worker 'w1': kill_child(5): it has 1 living children; expected an index from 0 to 0."
        )


def test_a_child_of_a_worker_that_has_not_run_yet_cannot_be_killed() -> None:
    """The worker connects, and starts its children, when the simulation runs."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        with pytest.raises(tqsim.UsageError) as caught:
            worker.kill_child()
        assert str(caught.value) == (
            "worker 'w1': kill_child(0): it has no living children; let it start with sim.run(...), and "
            "use a prefork pool."
        )


def test_a_worker_may_be_ended_before_it_has_started() -> None:
    """Signals reach a process that has not run yet."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        killed, stopped = sim.worker("w1", concurrency=1), sim.worker("w2", concurrency=1)
        killed.kill()
        stopped.stop()
        sim.run(for_=1)
        assert (killed.is_alive, stopped.is_alive) == (False, False)
        killed.restart()
        stopped.restart()
        assert app.tasks["early"].delay(0).get(timeout=1) == "done"


def test_one_workers_shutdown_leaves_the_others_alone() -> None:
    """celery/worker/state.py, should_stop: a flag of the process."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        workers = [sim.worker(name, concurrency=1) for name in ("w1", "w2", "w3")]
        sim.run(for_=1)
        workers[0].stop()
        workers[1].send_signal(signal.SIGQUIT)
        sim.run(for_=60)
        assert [worker.is_alive for worker in workers] == [False, False, True]
        assert app.tasks["early"].delay(1).get(timeout=5) == "done"


def test_the_signals_of_a_workers_life_come_with_their_senders() -> None:
    """celery/worker/worker.py, celery/apps/worker.py, celery/concurrency/prefork.py: signals."""
    app = make_sleeping_app()
    seen: list[tuple[str, Any]] = []
    watched = {
        "celeryd_init": signals.celeryd_init,
        "worker_init": signals.worker_init,
        "worker_before_create_process": signals.worker_before_create_process,
        "worker_process_init": signals.worker_process_init,
        "worker_ready": signals.worker_ready,
        "worker_shutting_down": signals.worker_shutting_down,
        "worker_process_shutdown": signals.worker_process_shutdown,
        "worker_shutdown": signals.worker_shutdown,
    }
    receivers = []
    for name, watched_signal in watched.items():

        def receive(sender: Any, name: str = name, **kwargs: Any) -> None:
            seen.append((name, sender if isinstance(sender, str) else type(sender).__name__))

        watched_signal.connect(receive, weak=False)
        receivers.append((watched_signal, receive))
    try:
        with tqsim.Simulation(app) as sim:
            worker = sim.worker("w1", concurrency=1)
            sim.run(for_=1)
            worker.stop()
            sim.run(for_=5)
    finally:
        for watched_signal, receive in receivers:
            watched_signal.disconnect(receive)
    assert seen == [
        ("celeryd_init", "w1@sim"),
        ("worker_init", "Worker"),
        ("worker_before_create_process", "TaskPool"),
        ("worker_ready", "Consumer"),
        ("worker_process_init", "w1@sim"),
        ("worker_shutting_down", "w1@sim"),
        ("worker_process_shutdown", "w1@sim"),
        ("worker_shutdown", "Worker"),
    ]


def test_what_was_reserved_by_a_killed_worker_runs_elsewhere_without_loss() -> None:
    """Prefetched messages were never acknowledged."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        first = sim.worker("w1", concurrency=2)
        sim.run(for_=1)
        results = [app.tasks["late"].delay(1) for _ in range(20)]
        sim.run(for_=1.5)
        sim.worker("w2", concurrency=2)
        first.kill()
        sim.run_until_idle()
        assert {result.state for result in results} == {"SUCCESS"}
        sim.check(tqsim.checks.nothing_lost())
        assert story(sim, results[0].id)[-1][0] <= 15


def test_sighup_ends_a_worker_and_leaves_the_interpreter_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """celery/apps/worker.py, _reload_current_worker: registered at exit, it would replace this process."""
    registered: list[Any] = []
    monkeypatch.setattr("atexit.register", registered.append)
    executed: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *args: executed.append(args))
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        worker.send_signal(signal.SIGHUP)
        sim.run(for_=2)
        assert not worker.is_alive
    for action in registered:
        action()
    assert executed == []


def test_the_state_file_of_the_settings_is_not_touched(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """celery/worker/components.py, StateDB: a file, and a write when the interpreter exits."""
    registered: list[Any] = []
    monkeypatch.setattr("atexit.register", registered.append)
    app = make_sleeping_app(worker_state_db=str(tmp_path / "state"))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        assert app.tasks["early"].delay(0).get(timeout=5) == "done"
    assert list(tmp_path.iterdir()) == []
    assert registered == []
