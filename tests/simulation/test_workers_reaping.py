"""When a worker notices that a child has ended, and what waits until then.

The five seconds are those of celery/concurrency/asynpool.py, ``AsynPool.timers``; why the loop is too
early at the death itself, and how often it was on a real worker, says :mod:`tqsim.worker.reaping`.  Workers
here begin to consume at 0, so that their timer rings at 5, 10, 15 ...
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

import tqsim
from tests.simulation.worker_stories import broker_story, make_sleeping_app, starts, story

#: Child and worker agree within this time that a result was read (billiard/pool.py, Worker._ensure_messages_consumed).
READING = 0.1


def _ends(sim: tqsim.Simulation) -> list[tuple[float, Any]]:
    return [(moment.at, moment.fields["exit_code"]) for moment in sim.history.moments_named("child.ended")]


def test_a_killed_child_is_found_when_the_timer_rings() -> None:
    """billiard/pool.py, Pool._join_exited_workers.

    Measured, seconds from SIGKILL to WorkerLostError: 4.5, 3.7, 3.9, 4.0, 3.1, 4.5, 4.2, 0.0, 0.0, 0.8, 4.4, 0.0.
    """
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        first, second = app.tasks["early"].delay(), app.tasks["early"].delay()
        sim.run(for_=3)
        worker.kill_child()
        sim.run(for_=1.999)
        assert first.state == "PENDING"
        sim.run(for_=0.001)
        with pytest.raises(WorkerLostError, match=r"Worker exited prematurely: signal 9 \(SIGKILL\) Job: 0\."):
            first.get(timeout=0)
        assert second.get(timeout=20) == "done"
        # The run itself ended with its child; the slot is free with the replacement.
        assert sim.history.task(first.id).attempts[0].ended == 3.0
        assert _ends(sim)[:1] == [(3.0, -9)]
        assert starts(sim, [second.id]) == [5.0]


@pytest.mark.parametrize(
    ("end", "exit_code"),
    [
        (lambda: os._exit(3), 3),
        (lambda: os._exit(0), 0),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -9),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), -11),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), -15),
        # billiard/common.py, _shutdown_cleanup: the worker's SIGTERM is the second signal, EX_SOFTWARE.
        (lambda: os.kill(os.getpid(), signal.SIGQUIT), 70),
        (lambda: os.kill(os.getpid(), signal.SIGHUP), 70),
    ],
    ids=["_exit(3)", "_exit(0)", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGQUIT", "SIGHUP"],
)
def test_a_task_that_ends_its_process_is_lost_when_the_timer_rings(end: Any, exit_code: int) -> None:
    """celery/concurrency/asynpool.py, AsynPool.on_job_process_lost; measured with these exit codes."""
    app = make_sleeping_app()

    @app.task(name="end")
    def ends() -> None:
        time.sleep(1)
        end()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result, then = ends.delay(), app.tasks["early"].delay(0)
        sim.run_until_idle()
        assert _ends(sim) == [(1.0, exit_code)]
        assert isinstance(result.result, WorkerLostError)
        assert starts(sim, [then.id]) == [5.0]
        assert story(sim, result.id, "task.lost") == [(1.0, "task.lost")]


def _raise_exit() -> None:
    raise SystemExit(3)


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("end", "text", "exit_code"),
    [
        (lambda: sys.exit(3), "exitcode 3", 3),
        (lambda: sys.exit("a reason"), "exitcode 1", 1),
        # billiard/pool.py, Worker.__call__: only its own sys.exit leaves an exit code.
        (_raise_exit, "exitcode 3", 0),
        (_interrupt, "KeyboardInterrupt", 0),
    ],
    ids=["sys.exit(3)", "sys.exit(text)", "SystemExit(3)", "KeyboardInterrupt"],
)
def test_a_task_that_leaves_is_lost_at_once_and_its_slot_is_free_when_the_timer_rings(
    end: Any, text: str, exit_code: int
) -> None:
    """billiard/pool.py, Worker.workloop: the exit is reported as a result, and the child leaves when it was read.

    The worker believes the child idle and gives it the next task (measured: it runs when the timer rings).
    """
    app = make_sleeping_app()

    @app.task(name="leave")
    def leave() -> None:
        time.sleep(1)
        end()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result, then = leave.delay(), app.tasks["early"].delay(0)
        with pytest.raises(WorkerLostError, match=f"Worker exited prematurely: {text}."):
            result.get(timeout=10)
        assert sim.elapsed == 1.0
        sim.run_until_idle()
        assert sim.history.task(result.id).attempts[0].ended == 1.0
        assert _ends(sim) == [(1.0 + READING, exit_code)]
        assert starts(sim, [then.id]) == [5.0]


def test_a_child_at_its_hard_limit_is_killed_after_a_grace_even_if_it_is_leaving() -> None:
    """billiard/pool.py, TimeoutHandler._trywaitkill: the worker waits 0.1 s and reads nothing (measured: -9)."""
    app = make_sleeping_app()

    @app.task(name="slow", time_limit=3)
    def slow() -> None:
        time.sleep(100)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result, then = slow.delay(), app.tasks["early"].delay(0)
        with pytest.raises(TimeLimitExceeded):
            result.get(timeout=10)
        assert sim.elapsed == 3.0
        sim.run_until_idle()
        assert _ends(sim) == [(3.1, -9)]
        assert starts(sim, [then.id]) == [5.0]


def test_a_child_that_ends_within_the_grace_of_its_hard_limit_is_found_at_once() -> None:
    """billiard/popen_fork.py, Popen.wait: after the pipe has closed it waits for the end itself (measured)."""
    app = make_sleeping_app()

    @app.task(name="slow", time_limit=3)
    def slow() -> None:
        try:
            time.sleep(100)
        finally:
            time.sleep(0.05)
            os._exit(7)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        slow.delay()
        then = app.tasks["early"].delay(0)
        sim.run_until_idle()
        assert _ends(sim) == [(3.05, 7)]
        assert starts(sim, [then.id]) == [3.05]


@pytest.mark.parametrize(
    ("name", "exit_code", "next_start"), [("SIGTERM", -15, 5.0), ("SIGQUIT", 70, 5.0), ("SIGKILL", -9, 2.0)]
)
def test_a_revoke_by_sigkill_frees_the_slot_at_once_and_others_when_the_timer_rings(
    name: str, exit_code: int, next_start: float
) -> None:
    """celery/worker/request.py, Request.terminate: the worker has more to do after SIGKILL than the child has.

    Measured: at once in 76 of 92 revokes by SIGKILL and in 44 of 102 by SIGTERM.
    """
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result, then = app.tasks["early"].delay(100), app.tasks["early"].delay(0)
        sim.run(for_=2)
        result.revoke(terminate=True, signal=name)
        sim.run_until_idle()
        assert result.state == "REVOKED"
        assert _ends(sim) == [(2.0, exit_code)]
        assert starts(sim, [then.id]) == [next_start]


def test_a_child_with_its_share_done_is_replaced_when_the_timer_rings() -> None:
    """billiard/pool.py, EX_RECYCLE; measured: 106 of 127 such children were found by the timer (celery#9588)."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, max_tasks_per_child=3)
        ids = [app.tasks["early"].delay(1).id for _ in range(7)]
        sim.run_until_idle()
        assert starts(sim, ids) == [0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 10.0]
        assert _ends(sim) == [(3.0 + READING, 155), (8.0 + READING, 155)]


def test_a_job_that_was_given_to_a_leaving_child_waits_although_another_is_idle() -> None:
    """celery/concurrency/asynpool.py, schedule_writes, on_partial_read: the worker takes the child for idle."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2, max_tasks_per_child=1)
        sim.run(for_=1)
        first, second = app.tasks["early"].delay(1), app.tasks["early"].delay(1.5)
        sim.run(for_=1.02)
        third = app.tasks["early"].delay(0)
        sim.run_until_idle()
        # The end of the second child, at 2.6, finds the first.
        assert starts(sim, [first.id, second.id, third.id]) == [1.0, 1.0, pytest.approx(2.5 + READING)]


def test_the_end_of_another_child_finds_the_one_before() -> None:
    """celery/concurrency/asynpool.py, _event_process_exit: maintain_pool looks at every child (measured)."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        results = [app.tasks["early"].delay(100) for _ in range(2)]
        sim.run(for_=1)
        worker.kill_child()
        sim.run(for_=1)
        assert [result.state for result in results] == ["PENDING", "PENDING"]
        worker.kill_child()
        sim.run(for_=1)
        assert [result.state for result in results] == ["FAILURE", "PENDING"]
        sim.run(for_=2.1)
        assert [result.state for result in results] == ["FAILURE", "FAILURE"]


@pytest.mark.parametrize(("index", "start"), [(0, 5.0), (1, 2.0)])
def test_a_job_that_was_given_to_a_dead_child_waits_until_it_is_found(index: int, start: float) -> None:
    """celery/concurrency/asynpool.py, schedule_writes: the same child is the first whenever several are idle.

    Measured with 2 and 4 children: after the death of that one a task waited for the timer, after the
    death of another it ran at once.
    """
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        sim.run(for_=2)
        worker.kill_child(index)
        result = app.tasks["early"].delay(0)
        sim.run_until_idle()
        assert starts(sim, [result.id]) == [start]


def test_the_five_seconds_are_counted_from_the_last_connection() -> None:
    """celery/worker/loops.py, asynloop: register_with_event_loop again; a lost connection finds the dead (flush)."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        first, second, third = (app.tasks["early"].delay(100) for _ in range(3))
        sim.run(for_=2)
        worker.kill_child()
        sim.run(for_=1)
        sim.restart_broker()
        sim.run(for_=1)
        assert first.state == "FAILURE"
        worker.kill_child()
        sim.run_until_idle()
        began = [story(sim, result.id, "task.started") for result in (first, second, third)]
        assert began == [[(at, "task.started")] for at in (0.0, 3.0, 8.0)]


def test_a_worker_that_waits_for_one_child_at_its_limit_finds_another_at_once() -> None:
    """billiard/pool.py, TimeoutHandler._trywaitkill: who was busy at the death does not look too early."""
    app = make_sleeping_app()

    @app.task(name="slow", time_limit=3)
    def slow() -> None:
        time.sleep(100)

    @app.task(name="end", acks_late=True)
    def ends() -> None:
        time.sleep(3.05)
        os._exit(1)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        slow.delay()
        result = ends.delay()
        sim.run_until_idle()
        times = story(sim, result.id, "task.lost", "message.acked")
        assert times == [(3.05, "task.lost"), (pytest.approx(3.1), "message.acked")]


def test_new_children_of_a_grown_pool_start_when_the_timer_rings() -> None:
    """billiard/pool.py, Pool.grow: it only makes room (measured: 5.03, 5.11 and 5.17 s after the loop began)."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        ids = [app.tasks["early"].delay(20).id for _ in range(2)]
        sim.run(for_=1)
        app.control.pool_grow(1)
        sim.run_until_idle()
        assert starts(sim, ids) == [0.0, 5.0]


def test_a_shrunk_pool_still_counts_its_leaving_child_until_the_timer_rings() -> None:
    """billiard/pool.py, Pool.shrink: terminate_controlled (measured: reaped 5.05, 5.13 and 5.19 s after)."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=3)
        sim.run(for_=1)
        app.control.pool_shrink(1)
        sim.run(for_=1)
        inspect = app.control.inspect(timeout=1)
        assert len(inspect.stats()["w1@sim"]["pool"]["processes"]) == 3
        sim.run(for_=5)
        assert len(inspect.stats()["w1@sim"]["pool"]["processes"]) == 2
        assert _ends(sim) == [(1.0, -15)]


def test_the_autoscaler_starts_children_at_once() -> None:
    """celery/worker/autoscale.py, Autoscaler.maybe_scale: maintain_pool."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", autoscale=(3, 1))
        sim.run(for_=1)
        ids = [app.tasks["early"].delay(20).id for _ in range(3)]
        sim.run_until_idle()
        assert starts(sim, ids) == [1.0, 1.0, 1.0]


def test_a_job_that_was_revoked_while_it_waited_at_a_dead_child_is_not_run() -> None:
    """celery/concurrency/asynpool.py, AsynPool._put_back: accepted by nobody, and terminated."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        worker.kill_child()
        result = app.tasks["early"].delay(0)
        sim.run(for_=1)
        result.revoke()
        sim.run_until_idle()
        assert result.state == "REVOKED"
        assert "task.started" not in broker_story(sim, result.id)


def _found_after(seed: int) -> bool:
    app = make_sleeping_app()
    with tqsim.Simulation(app, seed=seed, policy="random") as sim:
        worker = sim.worker("w1", concurrency=1)
        result = app.tasks["early"].delay(100)
        sim.run(for_=3)
        worker.kill_child()
        sim.run(for_=1)
        return bool(result.state == "FAILURE")


def test_another_policy_shows_both_outcomes_of_the_race() -> None:
    """An event loop that is held back for some milliseconds looks when the child has ended (tqsim/kernel/policy.py)."""
    found = [_found_after(seed) for seed in range(40)]
    assert 1 <= found.count(True) <= 20
