"""Soft and hard time limits: what the task sees, what the worker does, and when."""

from __future__ import annotations

import time
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded
from celery.exceptions import SoftTimeLimitExceeded

import tqsim
from tests.simulation.worker_stories import make_app, starts, story


def test_a_soft_limit_raises_in_the_task_at_the_right_instant() -> None:
    """celery/concurrency/asynpool.py, _create_timelimit_handlers; billiard/pool.py, soft_timeout_sighandler."""
    app = make_app()
    seen: list[tuple[str, float]] = []

    @app.task(name="work", soft_time_limit=2.5)
    def work() -> str:
        begin = time.monotonic()
        try:
            time.sleep(100)
        except SoftTimeLimitExceeded:
            seen.append(("caught", time.monotonic() - begin))
            time.sleep(1)
            return "cleaned"
        finally:
            seen.append(("finally", time.monotonic() - begin))
        return "done"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        assert work.delay().get(timeout=10) == "cleaned"
        assert seen == [("caught", 2.5), ("finally", 3.5)]
        assert sim.history.moments_named("child.ended") == []


def test_a_soft_limit_that_nobody_catches_fails_the_task() -> None:
    """celery/app/trace.py, build_tracer: an Exception like any other."""
    app = make_app()

    @app.task(name="work", soft_time_limit=2, acks_late=True)
    def work() -> None:
        time.sleep(100)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        with pytest.raises(SoftTimeLimitExceeded):
            result.get(timeout=10)
        sim.run_until_idle()
        names = ("task.timed_out", "task.failed", "message.acked")
        assert story(sim, result.id, *names) == [(2.0, name) for name in names]


def test_a_hard_limit_kills_the_child_after_a_grace_and_the_worker_goes_on() -> None:
    """billiard/pool.py, TimeoutHandler.on_hard_timeout, _trywaitkill: SIGTERM, 0.1 s, SIGKILL."""
    app = make_app()
    seen: list[tuple[str, float]] = []

    @app.task(name="work", time_limit=3)
    def work(index: int) -> None:
        begin = time.monotonic()
        try:
            time.sleep(100)
        finally:
            seen.append((f"finally {index}", time.monotonic() - begin))
            time.sleep(0.05)
            seen.append((f"soon {index}", time.monotonic() - begin))
            time.sleep(10)
            seen.append((f"never {index}", time.monotonic() - begin))

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        first, second = work.delay(1), work.delay(2)
        with pytest.raises(TimeLimitExceeded):
            first.get(timeout=10)
        assert sim.elapsed == 3.0
        sim.run_until_idle()
        # Killed at 3.1, found by the timer (tests/simulation/test_workers_reaping.py).
        assert starts(sim, [second.id]) == [5.0]
        expected = [("finally 1", 3.0), ("soon 1", 3.05), ("finally 2", 3.0), ("soon 2", 3.05)]
        assert [name for name, _ in seen] == [name for name, _ in expected]
        assert [at for _, at in seen] == pytest.approx([at for _, at in expected])
        assert [moment.fields["exit_code"] for moment in sim.history.moments_named("child.ended")] == [-9, -9]


def test_a_task_that_swallows_the_soft_limit_meets_the_hard_one() -> None:
    """celery/concurrency/asynpool.py, _on_soft_timeout: the hard limit comes hard - soft later."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        while True:
            try:
                time.sleep(100)
            except SoftTimeLimitExceeded:
                pass

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, soft_time_limit=2, time_limit=5)
        result = work.delay()
        sim.run_until_idle()
        limits = sim.history.moments_named("task.timed_out")
        assert [(moment.at, moment.fields["kind"]) for moment in limits] == [(2.0, "soft"), (5.0, "hard")]
        assert isinstance(result.result, TimeLimitExceeded)
        assert sim.history.task(result.id).attempts[0].ended == 5.0


@pytest.mark.parametrize(
    ("settings", "options", "call", "expected"),
    [
        ({"task_soft_time_limit": 4}, {}, {}, 4.0),
        ({}, {"soft_time_limit": 3}, {}, 3.0),
        # The setting is also the default of every task, and a task's limit wins over the pool's.
        ({"task_soft_time_limit": 4}, {"soft_time_limit": 3}, {}, 4.0),
        ({"task_soft_time_limit": 4}, {}, {"soft_time_limit": 1}, 1.0),
        ({"task_annotations": {"work": {"soft_time_limit": 6}}}, {}, {}, 6.0),
    ],
    ids=["setting", "worker", "setting wins", "call wins", "annotation"],
)
def test_where_a_limit_may_come_from(settings: Any, options: Any, call: Any, expected: float) -> None:
    """celery/worker/request.py, execute_using_pool; celery/worker/worker.py, setup_defaults."""
    app = make_app(**settings)

    @app.task(name="work")
    def work() -> None:
        time.sleep(100)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, **options)
        result = work.apply_async(**call)
        sim.run_until_idle()
        assert sim.history.task(result.id).attempts[0].ended == expected


def test_a_hard_limit_rejects_a_late_ack_task_that_is_not_to_be_acked_on_timeout() -> None:
    """celery/worker/request.py, Request.on_timeout: acks_on_timeout."""
    app = make_app()

    @app.task(name="work", bind=True, acks_late=True, acks_on_failure_or_timeout=False, time_limit=3)
    def work(self: Any) -> None:
        if not self.request.delivery_info["redelivered"]:
            time.sleep(100)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        attempts = sim.history.task(result.id).attempts
        assert [item.redelivered for item in attempts] == [False, True]
        assert [item.outcome for item in attempts] == ["failed", "succeeded"]


def test_limits_hold_while_the_worker_shuts_down() -> None:
    """celery/concurrency/prefork.py, TaskPool.on_stop fires the timers; asynpool.py, on_stop_not_started."""
    app = make_app()
    seen: list[float] = []

    @app.task(name="soft", soft_time_limit=10)
    def soft() -> None:
        begin = time.monotonic()
        try:
            time.sleep(100)
        except SoftTimeLimitExceeded:
            seen.append(time.monotonic() - begin)

    @app.task(name="hard", time_limit=12)
    def hard() -> None:
        time.sleep(100)

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        results = [soft.delay(), hard.delay()]
        sim.run(for_=5)
        worker.stop()
        sim.run(for_=20)
        assert not worker.is_alive
        assert seen == pytest.approx([10], abs=0.5)
        assert [result.state for result in results] == ["SUCCESS", "FAILURE"]


def test_limits_hold_across_a_lost_connection() -> None:
    """celery/worker/loops.py, asynloop: the timer is not cleared on connection loss (5.7)."""
    app = make_app()

    @app.task(name="work", time_limit=20)
    def work() -> None:
        time.sleep(100)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run(for_=5)
        sim.restart_broker()
        sim.run_until_idle()
        assert sim.history.task(result.id).attempts[0].ended == 20.0
        assert result.state == "FAILURE"


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_limits_do_not_strike_in_pools_without_children(pool: str) -> None:
    """celery/concurrency/solo.py and thread.py: neither knows time limits."""
    app = make_app()

    @app.task(name="work", soft_time_limit=1, time_limit=2)
    def work() -> str:
        time.sleep(5)
        return "done"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, pool=pool)
        assert work.delay().get(timeout=10) == "done"
        assert sim.history.moments_named("task.timed_out") == []
