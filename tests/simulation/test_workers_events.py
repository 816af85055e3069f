"""Task events: a receiver in a client process sees what workers and publishers send."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery

import tqsim
from tests.simulation.worker_stories import make_app


def _app(**settings: Any) -> Any:
    app = make_app(**settings)

    @app.task(name="work")
    def work(seconds: float) -> str:
        time.sleep(seconds)
        return "done"

    @app.task(name="fail")
    def fail() -> None:
        raise ValueError("no")

    return app


def _capture(app: Celery, events: list[dict[str, Any]], seconds: float) -> None:
    """Collect events for some seconds, as a monitor does."""
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": events.append})
        try:
            receiver.capture(limit=None, timeout=seconds, wakeup=False)
        except TimeoutError:
            pass


def _types(events: list[dict[str, Any]], task_id: str) -> list[tuple[str, float]]:
    return [(event["type"], event["timestamp"]) for event in events if event.get("uuid") == task_id]


def test_task_events_arrive_with_virtual_timestamps() -> None:
    """celery/worker/request.py, Request.send_event; celery/events/dispatcher.py, EventDispatcher.send."""
    app = _app(task_send_sent_event=True)
    events: list[dict[str, Any]] = []
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, task_events=True)
        sim.client(lambda: _capture(app, events, 60))
        sim.run(for_=1)
        base = sim.now.timestamp()
        done, failed = app.tasks["work"].delay(5), app.tasks["fail"].delay()
        sim.run(for_=20)
        assert _types(events, done.id) == [
            ("task-sent", base), ("task-received", base), ("task-started", base), ("task-succeeded", base + 5),
        ]  # fmt: skip
        assert _types(events, failed.id) == [
            ("task-sent", base), ("task-received", base), ("task-started", base + 5), ("task-failed", base + 5),
        ]  # fmt: skip
        assert {event["hostname"] for event in events if event["type"] == "task-started"} == {"w1@sim"}
        succeeded = next(event for event in events if event["type"] == "task-succeeded")
        assert (succeeded["result"], succeeded["runtime"]) == ("'done'", 5.0)


def test_a_worker_sends_events_when_its_application_says_so() -> None:
    """celery/worker/worker.py, setup_defaults: worker_send_task_events."""
    app = _app(worker_send_task_events=True)
    events: list[dict[str, Any]] = []
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.client(lambda: _capture(app, events, 10))
        sim.run(for_=1)
        result = app.tasks["work"].delay(1)
        sim.run(for_=5)
        assert [kind for kind, _ in _types(events, result.id)] == ["task-received", "task-started", "task-succeeded"]


def test_without_events_nothing_is_sent_until_they_are_enabled() -> None:
    """celery/worker/control.py, enable_events; celery/worker/consumer/events.py, Events."""
    app = _app()
    events: list[dict[str, Any]] = []
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.client(lambda: _capture(app, events, 300))
        sim.run(for_=1)
        app.tasks["work"].delay(1)
        sim.run(for_=5)
        assert [event for event in events if event["type"].startswith("task-")] == []
        app.control.enable_events()
        sim.run(for_=1)
        result = app.tasks["work"].delay(1)
        sim.run(for_=5)
        kinds = ["task-received", "task-started", "task-succeeded"]
        assert [kind for kind, _ in _types(events, result.id)] == kinds
        app.control.disable_events()
        sim.run(for_=1)
        count = len(events)
        app.tasks["work"].delay(1)
        sim.run(for_=5)
        assert len(events) == count


def test_revoked_and_retried_tasks_are_told() -> None:
    """celery/worker/request.py, Request.on_retry, _announce_revoked."""
    app = _app()

    @app.task(name="retry", bind=True, max_retries=1, default_retry_delay=3)
    def retry(self: Any) -> None:
        if not self.request.retries:
            raise self.retry()

    events: list[dict[str, Any]] = []
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, task_events=True)
        sim.client(lambda: _capture(app, events, 60))
        sim.run(for_=1)
        retried = retry.delay()
        later = app.tasks["work"].apply_async((1,), countdown=10)
        later.revoke()
        sim.run(for_=20)
        kinds = [kind for kind, _ in _types(events, retried.id)]
        assert kinds[:2] == ["task-received", "task-started"]
        # The child publishes the retry before it reports, so either may be told first.
        assert sorted(kinds[2:4]) == ["task-received", "task-retried"]
        assert kinds[4:] == ["task-started", "task-succeeded"]
        assert [kind for kind, _ in _types(events, later.id)] == ["task-received", "task-revoked"]


def test_the_state_of_a_cluster_follows_heartbeats_and_tasks() -> None:
    """celery/events/state.py, State, Worker.alive; celery/worker/heartbeat.py, Heart."""
    app = _app()
    state = app.events.State()

    def watch() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": state.event})
            try:
                receiver.capture(limit=None, timeout=300, wakeup=True)
            except TimeoutError:
                pass

    with tqsim.Simulation(app) as sim:
        first = sim.worker("w1", concurrency=1, task_events=True, heartbeat=True)
        sim.worker("w2", concurrency=1, task_events=True, heartbeat=True)
        sim.client(watch)
        sim.run(for_=5)
        results = [app.tasks["work"].delay(1) for _ in range(4)]
        sim.run(for_=10)
        assert sorted(state.workers) == ["w1@sim", "w2@sim"]
        assert state.task_count == 4
        assert {state.tasks[result.id].state for result in results} == {"SUCCESS"}
        assert {state.tasks[result.id].worker.hostname for result in results} == {"w1@sim", "w2@sim"}
        assert len(list(state.alive_workers())) == 2
        first.kill()
        sim.run(for_=60)
        assert [worker.hostname for worker in state.alive_workers()] == ["w2@sim"]


def test_a_heartbeat_tells_what_its_worker_does_and_has_done() -> None:
    """celery/worker/heartbeat.py, Heart._send: names that the module has imported from celery.worker.state."""
    app = _app()
    events: list[dict[str, Any]] = []
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2, heartbeat=True, heartbeat_interval=2)
        sim.worker("w2", concurrency=1, heartbeat=True, heartbeat_interval=2, queues=["other"])
        sim.client(lambda: _capture(app, events, 60))
        sim.run(for_=1)
        for seconds in (0, 0, 4):
            app.tasks["work"].delay(seconds)
        sim.run(for_=8)
    beats = [event for event in events if event["type"] == "worker-heartbeat"]
    told = {
        name: [(b["active"], b["processed"]) for b in beats if b["hostname"] == name] for name in ("w1@sim", "w2@sim")
    }
    assert told == {"w1@sim": [(1, 3), (1, 3), (0, 3), (0, 3)], "w2@sim": [(0, 0)] * 4}
    # The machine that a simulation stands for has nothing to do, whatever the real one does.
    assert {tuple(beat["loadavg"]) for beat in beats} == {(0.0, 0.0, 0.0)}
    assert {(beat["freq"], beat["sw_ident"]) for beat in beats} == {(2.0, "py-celery")}


def test_gossip_and_mingle_let_workers_know_each_other() -> None:
    """celery/worker/consumer/mingle.py; celery/worker/consumer/gossip.py, Gossip.on_node_join."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        for name in ("w1", "w2"):
            sim.worker(name, concurrency=1, gossip=True, mingle=True, heartbeat=True)
            sim.run(for_=5)
        app.control.revoke("an-id")
        sim.run(for_=30)
        sim.worker("w3", concurrency=1, gossip=True, mingle=True, heartbeat=True)
        sim.run(for_=10)
        revoked = app.control.inspect(timeout=1).revoked()
        assert revoked == {"w1@sim": ["an-id"], "w2@sim": ["an-id"], "w3@sim": ["an-id"]}
        assert app.tasks["work"].delay(1).get(timeout=5) == "done"
