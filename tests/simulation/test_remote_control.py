"""Remote control: ``app.control`` against simulated workers, from the test and from a client."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError

import tqsim
from tests.simulation.worker_stories import broker_story, make_app, starts, story

TASK = "work"


def _app(**settings: Any) -> Any:
    app = make_app(**settings)

    @app.task(name=TASK)
    def work(seconds: float = 10) -> str:
        time.sleep(seconds)
        return "done"

    return app


def test_ping_is_answered_by_every_worker_from_the_test_and_from_a_client() -> None:
    """celery/worker/control.py, ping; celery/app/control.py, Control.ping."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.worker("w2", concurrency=1)
        sim.run(for_=1)
        answer = [{"w1@sim": {"ok": "pong"}}, {"w2@sim": {"ok": "pong"}}]
        assert app.control.ping(timeout=1) == answer
        assert sim.elapsed == 2.0
        client = sim.client(lambda: app.control.ping(timeout=0.5))
        sim.run(for_=1)
        assert client.result() == answer


def test_inspect_shows_active_reserved_and_scheduled_tasks() -> None:
    """celery/worker/control.py, active, reserved, scheduled."""
    app = _app(worker_prefetch_multiplier=4)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        running, waiting = app.tasks[TASK].delay(60), app.tasks[TASK].delay(60)
        later = app.tasks[TASK].apply_async(countdown=1000)
        sim.run(for_=1)
        inspect = app.control.inspect(timeout=1)
        (active,) = inspect.active()["w1@sim"]
        assert (active["id"], active["hostname"], active["acknowledged"]) == (running.id, "w1@sim", True)
        assert active["time_start"] == pytest.approx(sim.now.timestamp() - 2)
        assert active["worker_pid"] > worker.pid
        assert [item["id"] for item in inspect.reserved()["w1@sim"]] == [waiting.id]
        (scheduled,) = inspect.scheduled()["w1@sim"]
        assert scheduled["request"]["id"] == later.id
        assert scheduled["eta"].startswith("2030-01-01T00:16:41")
        assert next(iter(inspect.query_task(running.id)["w1@sim"].values()))[0] == "active"


def test_inspect_shows_what_a_worker_is() -> None:
    """celery/worker/control.py, stats, registered, active_queues, conf, report, clock."""
    app = _app(task_time_limit=77)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=3, queues=["fast", "slow"])
        sim.run(for_=1)
        inspect = app.control.inspect(timeout=1)
        stats = inspect.stats()["w1@sim"]
        assert stats["pid"] == worker.pid
        assert stats["prefetch_count"] == 12
        assert stats["pool"]["max-concurrency"] == 3
        assert len(stats["pool"]["processes"]) == 3
        assert stats["pool"]["timeouts"] == [0, 77]
        assert TASK in inspect.registered()["w1@sim"]
        assert [queue["name"] for queue in inspect.active_queues()["w1@sim"]] == ["fast", "slow"]
        assert inspect.conf()["w1@sim"]["task_time_limit"] == 77
        assert inspect.clock()["w1@sim"]["clock"] > 0
        assert "software -> celery" in inspect.report()["w1@sim"]["ok"]


def test_a_revoked_task_is_discarded_before_it_starts() -> None:
    """celery/worker/control.py, revoke; celery/worker/request.py, Request.revoked."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        app.tasks[TASK].delay()
        waiting = app.tasks[TASK].delay()
        later = app.tasks[TASK].apply_async(countdown=60)
        sim.run(for_=1)
        waiting.revoke()
        app.control.revoke(later.id)
        sim.run_until_idle()
        assert (waiting.state, later.state) == ("REVOKED", "REVOKED")
        assert story(sim, waiting.id, "task.started", "task.revoked") == [(11.0, "task.revoked")]
        assert story(sim, later.id, "task.started", "task.revoked") == [(61.0, "task.revoked")]
        with pytest.raises(TaskRevokedError):
            waiting.get(timeout=1)


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGKILL"])
def test_terminate_ends_a_running_task_and_replaces_the_child(signal_name: str) -> None:
    """celery/worker/request.py, Request.terminate; billiard/pool.py, Pool.terminate_job."""
    app = make_app()
    cleaned: list[float] = []

    @app.task(name=TASK)
    def work() -> None:
        try:
            time.sleep(100)
        finally:
            cleaned.append(time.monotonic())

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result, following = work.delay(), work.delay()
        sim.run(for_=5)
        result.revoke(terminate=True, signal=signal_name)
        sim.run(for_=1)
        assert result.state == "REVOKED"
        assert len(cleaned) == (signal_name == "SIGTERM")
        life = sim.history.task(result.id)
        assert (life.state, life.attempts[0].outcome, life.attempts[0].ended) == ("terminated", "terminated", 5.0)
        # Which of the two is found at once: tests/simulation/test_workers_reaping.py.
        sim.run(for_=4)
        assert starts(sim, [following.id]) == [5.0 if signal_name == "SIGKILL" else 10.0]
        assert broker_story(sim, result.id).count("message.acked") == 1


def test_revokes_are_a_workers_own_and_a_restarted_worker_has_forgotten_them() -> None:
    """celery/worker/state.py, revoked: in memory without --statedb."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        first = sim.worker("w1", concurrency=1)
        sim.worker("w2", concurrency=1)
        sim.run(for_=1)
        app.control.revoke("some-id", destination=["w1@sim"])
        inspect = app.control.inspect(timeout=1)
        assert inspect.revoked() == {"w1@sim": ["some-id"], "w2@sim": []}
        first.kill()
        first.restart()
        sim.run(for_=1)
        assert inspect.revoked() == {"w1@sim": [], "w2@sim": []}


def test_a_revoke_of_one_worker_does_not_stop_the_task_on_another() -> None:
    """celery/worker/control.py, revoke: only the addressed workers keep the id."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, queues=["one"])
        sim.worker("w2", concurrency=1, queues=["two"])
        sim.run(for_=1)
        app.control.revoke("an-id", destination=["w1@sim"])
        sim.run(for_=1)
        elsewhere = app.tasks[TASK].apply_async(queue="two", task_id="an-id")
        sim.run_until_idle()
        assert story(sim, elsewhere.id)[-1][1] == "task.succeeded"
        here = app.tasks[TASK].apply_async(queue="one", task_id="an-id")
        sim.run_until_idle()
        assert story(sim, here.id)[-2][1] == "task.revoked"


def test_a_revoke_marks_the_result_at_once_even_if_no_worker_has_the_task() -> None:
    """celery/worker/control.py, _revoke: backend.mark_as_revoked for every id that is not active."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        app.control.revoke("an-id")
        sim.run(for_=1)
        assert app.AsyncResult("an-id").state == "REVOKED"


def test_pool_grow_and_shrink_change_slots_and_prefetch() -> None:
    """celery/worker/control.py, pool_grow, pool_shrink: _update_prefetch_count."""
    app = _app(task_acks_late=True)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, prefetch_multiplier=2)
        for _ in range(20):
            app.tasks[TASK].delay(100)
        sim.run(for_=1)
        assert sim.queue("celery").unacked_count == 2
        assert app.control.pool_grow(2, reply=True, timeout=1) == [{"w1@sim": {"ok": "pool will grow"}}]
        # The prefetch count grows at once, the pool with the next maintain_pool (Pool.grow).
        sim.run(for_=1)
        assert sim.queue("celery").unacked_count == 6
        assert len(app.control.inspect(timeout=1).active()["w1@sim"]) == 1
        sim.run(for_=5)
        assert len(app.control.inspect(timeout=1).active()["w1@sim"]) == 3
        replies = app.control.pool_shrink(1, reply=True, timeout=1)
        assert "All processes busy" in replies[0]["w1@sim"]["error"]
        assert len(app.control.inspect(timeout=1).active()["w1@sim"]) == 3


def test_an_idle_pool_shrinks() -> None:
    """billiard/pool.py, Pool.shrink."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=3, prefetch_multiplier=2)
        sim.run(for_=1)
        assert app.control.pool_shrink(2, reply=True, timeout=1) == [{"w1@sim": {"ok": "pool will shrink"}}]
        sim.run(for_=4)
        stats = app.control.inspect(timeout=1).stats()["w1@sim"]
        assert (len(stats["pool"]["processes"]), stats["prefetch_count"]) == (1, 2)
        ids = [app.tasks[TASK].delay().id for _ in range(3)]
        sim.run_until_idle()
        assert starts(sim, ids) == pytest.approx([7.0, 17.0, 27.0], abs=1)


def test_a_queue_is_added_and_cancelled_while_the_worker_runs() -> None:
    """celery/worker/control.py, add_consumer, cancel_consumer."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, queues=["one"])
        sim.run(for_=1)
        result = app.tasks[TASK].apply_async((0,), queue="two")
        sim.run(for_=5)
        assert result.state == "PENDING"
        replies = app.control.add_consumer("two", reply=True, timeout=1)
        assert replies == [{"w1@sim": {"ok": "add consumer two"}}]
        assert result.get(timeout=1) == "done"
        replies = app.control.cancel_consumer("two", reply=True, timeout=1)
        assert replies == [{"w1@sim": {"ok": "no longer consuming from two"}}]
        again = app.tasks[TASK].apply_async((0,), queue="two")
        sim.run(for_=5)
        assert again.state == "PENDING"
        assert [queue["name"] for queue in app.control.inspect(timeout=1).active_queues()["w1@sim"]] == ["one"]


def test_a_rate_limit_is_set_while_the_worker_runs() -> None:
    """celery/worker/control.py, rate_limit."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        sim.run(for_=1)
        replies = app.control.rate_limit(TASK, "1/m", reply=True, timeout=1)
        assert replies == [{"w1@sim": {"ok": "new rate limit set successfully"}}]
        ids = [app.tasks[TASK].delay(0).id for _ in range(3)]
        sim.run_until_idle()
        assert starts(sim, ids) == pytest.approx([2.0, 62.0, 122.0], abs=0.001)
        unknown = app.control.rate_limit("nobody", "1/m", reply=True, timeout=1)
        assert unknown == [{"w1@sim": {"error": "unknown task"}}]
    assert app.tasks[TASK].rate_limit is None


def test_time_limits_set_by_command_hold_from_the_next_connection_on() -> None:
    """celery/worker/request.py, create_request_cls reads a task's limits once, for its strategy.

    So celery/worker/control.py, time_limit, changes nothing before Consumer.update_strategies runs
    again, which it does after a reconnect.
    """
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        replies = app.control.time_limit(TASK, soft=2, hard=5, reply=True, timeout=1)
        assert replies == [{"w1@sim": {"ok": "time limits set successfully"}}]
        assert app.tasks[TASK].delay(20).get(timeout=30) == "done"
        sim.restart_broker()
        sim.run(for_=10)
        result = app.tasks[TASK].delay(20)
        sim.run_until_idle()
        assert type(result.result).__name__ == "SoftTimeLimitExceeded"
        assert sim.history.task(result.id).attempts[0].duration == 2.0
    assert app.tasks[TASK].soft_time_limit is None


def test_limits_set_by_command_belong_to_the_worker_that_was_told() -> None:
    """celery/worker/control.py, rate_limit: sets an attribute of the task in that process."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        first = sim.worker("w1", concurrency=1, queues=["one"])
        sim.worker("w2", concurrency=1, queues=["two"])
        sim.run(for_=1)
        app.control.rate_limit(TASK, "1/m", destination=["w1@sim"])
        sim.run(for_=1)
        registered = app.control.inspect(timeout=1).registered("rate_limit")
        assert f"{TASK} [rate_limit=1/m]" in registered["w1@sim"]
        assert TASK in registered["w2@sim"]
        sim.restart_broker()
        sim.run(for_=10)
        ids = [app.tasks[TASK].apply_async((0,), queue="two").id for _ in range(3)]
        sim.run_until_idle()
        assert len(set(starts(sim, ids))) == 1
        first.kill()
        first.restart()
        sim.run(for_=1)
        assert TASK in app.control.inspect(timeout=1).registered("rate_limit")["w1@sim"]


def test_shutdown_by_remote_control_is_warm_and_reaches_only_who_is_meant() -> None:
    """celery/worker/control.py, shutdown: WorkerShutdown."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        first, second = sim.worker("w1", concurrency=1), sim.worker("w2", concurrency=1)
        sim.run(for_=1)
        results = [app.tasks[TASK].delay() for _ in range(2)]
        sim.run(for_=1)
        app.control.shutdown(destination=["w1@sim"])
        sim.run(for_=1)
        assert (first.is_alive, second.is_alive) == (True, True)
        sim.run(for_=15)
        assert (first.is_alive, second.is_alive) == (False, True)
        assert [result.state for result in results] == ["SUCCESS", "SUCCESS"]


def test_broadcast_collects_replies_up_to_a_limit_and_of_a_destination() -> None:
    """celery/app/control.py, Control.broadcast; kombu/pidbox.py, Mailbox._collect."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        for name in ("w1", "w2", "w3"):
            sim.worker(name, concurrency=1)
        sim.run(for_=1)
        before = sim.elapsed
        replies = app.control.broadcast("ping", reply=True, limit=3, timeout=60)
        assert [list(reply) for reply in replies] == [["w1@sim"], ["w2@sim"], ["w3@sim"]]
        assert sim.elapsed == before
        replies = app.control.broadcast("ping", reply=True, destination=["w2@sim"], timeout=1)
        assert replies == [{"w2@sim": {"ok": "pong"}}]
        replies = app.control.broadcast("ping", reply=True, pattern="w[13]*", matcher="glob", timeout=1)
        assert [list(reply) for reply in replies] == [["w1@sim"], ["w3@sim"]]
        assert app.control.broadcast("no_such_command", reply=True, timeout=1) is not None


def test_events_are_switched_on_and_off() -> None:
    """celery/worker/control.py, enable_events, disable_events."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        assert app.control.enable_events(reply=True, timeout=1) == [{"w1@sim": {"ok": "task events enabled"}}]
        again = app.control.enable_events(reply=True, timeout=1)
        assert again == [{"w1@sim": {"ok": "task events already enabled"}}]
        off = app.control.disable_events(reply=True, timeout=1)
        assert off == [{"w1@sim": {"ok": "task events disabled"}}]


def test_a_command_of_the_application_is_run_by_the_worker() -> None:
    """celery/worker/control.py, Panel.register."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        replies = app.control.broadcast("hello", arguments={"from_node": "me@x", "revoked": {}}, reply=True, timeout=1)
        assert set(replies[0]["w1@sim"]) == {"clock", "revoked"}


def test_two_tasks_terminated_at_once_with_a_number_for_the_signal() -> None:
    """celery/worker/control.py, revoke: signal may be a number."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        results = [app.tasks[TASK].delay(100) for _ in range(2)]
        sim.run(for_=1)
        app.control.terminate([result.id for result in results], signal=signal.SIGKILL)
        sim.run(for_=1)
        assert [result.state for result in results] == ["REVOKED", "REVOKED"]
        assert app.tasks[TASK].delay(0).get(timeout=1) == "done"


def test_a_child_that_survives_the_signal_of_a_revoke_goes_on_working() -> None:
    """SIGUSR1 is the soft time limit (billiard/pool.py, Worker.after_fork), which a task may catch."""
    app = make_app()

    @app.task(name="work")
    def work() -> str:
        try:
            time.sleep(60)
        except SoftTimeLimitExceeded:
            return "early"
        return "late"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        first = work.delay()
        sim.run(for_=5)
        first.revoke(terminate=True, signal="SIGUSR1")
        assert first.get(timeout=60) == "early"
        assert work.delay().get(timeout=90) == "late"
        assert len(sim.history.moments_named("child.started")) == 1
