"""An idle worker on Redis sleeps through its own polling, and nobody can tell."""

from __future__ import annotations

import pytest

import tqsim
from tests.simulation.redis_stories import make_app
from tests.simulation.worker_stories import story
from tqsim.worker.dozing import Dozing


def gaps(seed: int = 1) -> tqsim.History:
    """A run with long pauses: three workers that started at odd moments, tasks, a ping, a cancelled queue, a kill."""
    app = make_app(options={"visibility_timeout": 130}, task_create_missing_queues=True)
    with tqsim.Simulation(app, seed=seed) as sim:
        workers = []
        for name, pause in (("w1", 0.35), ("w2", 0.2), ("w3", 0.45)):
            workers.append(sim.worker(name, concurrency=1))
            sim.run(for_=pause)
        for pause in (37.21, 3.5, 119.999, 300.0, 61.4):
            for _ in range(2):
                app.tasks["work"].delay(0.7)
            sim.run(for_=pause)
        app.control.ping(timeout=2)
        sim.run(for_=45.3)
        app.control.add_consumer("extra", reply=True, timeout=1)
        sim.run(for_=33.3)
        app.tasks["late"].apply_async((0.1,), queue="extra")
        app.control.cancel_consumer("extra", reply=True, timeout=1)
        sim.run(for_=22.2)
        app.tasks["late"].delay(100)
        sim.run(for_=5)
        workers[0].kill()
        sim.run(for_=400)
        sim.restart_broker()
        sim.run(for_=70)
        app.tasks["say"].delay("last")
        sim.run_until_idle()
    return sim.history


def test_sleeping_worker_sees_what_a_polling_one_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = gaps()
    monkeypatch.setattr(Dozing, "begin", lambda dozing, wires: False)
    awake = gaps()
    assert [(m.at, m.name, m.process, m.task_id) for m in asleep.moments] == [
        (m.at, m.name, m.process, m.task_id) for m in awake.moments
    ]
    assert asleep.digest == awake.digest


def test_message_reaches_a_sleeping_worker_at_once() -> None:
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1000.123)
        result = app.tasks["say"].delay("hello")
        sim.run_until_idle()
        assert story(sim, result.id, "task.started") == [(1000.123, "task.started")]


def test_idle_day_is_cheap() -> None:
    """A worker that polls every second switches four times a second."""
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        switches = sim._kernel.loop.switches
        sim.run(for_="1d")
        # Timers of 10 s and of 25 s, and a sweep each minute.
        assert sim._kernel.loop.switches - switches < 86_400 / 4


def test_connection_of_a_sleeping_worker_is_not_taken_for_dead(caplog: pytest.LogCaptureFixture) -> None:
    """A BRPOP connection without an answer for 26 s is dropped (``maybe_check_brpop_health``)."""
    app = make_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_="10m")
        assert not [record for record in caplog.records if "stale" in record.getMessage()]
