"""Several workers in one simulation: each its own state, queues, name and application."""

from __future__ import annotations

import time
from typing import Any

import tqsim
from tests.simulation.worker_stories import make_app


def _app(name: str = "shop", **settings: Any) -> Any:
    app = make_app(name, **settings)

    @app.task(name="where", bind=True)
    def where(self: Any, seconds: float = 1) -> list[Any]:
        time.sleep(seconds)
        return [self.request.hostname, self.app.main]

    return app


def _workers(sim: tqsim.Simulation, name: str) -> list[str]:
    return [life.attempts[0].worker for life in sim.history.tasks(name)]


def test_every_task_sees_the_name_of_its_own_worker() -> None:
    """celery/app/trace.py, build_tracer, _localized; celery/worker/request.py, Request: hostname."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        for name in ("w1", "w2", "w3"):
            sim.worker(name, concurrency=2)
        sim.run(for_=1)
        results = [app.tasks["where"].delay() for _ in range(12)]
        sim.run_until_idle()
        told = [result.get()[0] for result in results]
        assert told == [f"{worker}@sim" for worker in _workers(sim, "where")]
        assert set(told) == {"w1@sim", "w2@sim", "w3@sim"}


def test_messages_go_round_the_workers_in_turn() -> None:
    """RabbitMQ: consumers of equal priority are served in turn."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        for name in ("w1", "w2", "w3"):
            sim.worker(name, concurrency=1)
        sim.run(for_=1)
        for _ in range(6):
            app.tasks["where"].delay(0.1)
            sim.run(for_=1)
        assert _workers(sim, "where") == ["w1", "w2", "w3", "w1", "w2", "w3"]


def test_two_workers_with_different_queues_consume_only_theirs_over_a_reconnect_too() -> None:
    """celery/app/amqp.py, Queues.select: _consume_from is the process's own."""
    app = _app()
    where = app.tasks["where"]
    with tqsim.Simulation(app) as sim:
        first = sim.worker("w1", concurrency=1, queues=["one"])
        sim.worker("w2", concurrency=1, queues="two")
        sim.run(for_=1)
        for step in range(3):
            for queue in ("one", "two", "one", "two"):
                where.apply_async((0.1,), queue=queue)
            sim.run_until_idle()
            if step == 0:
                sim.restart_broker()
                sim.run(for_=10)
            elif step == 1:
                first.kill()
                first.restart()
                sim.run(for_=1)
        assert _workers(sim, "where") == ["w1", "w2"] * 6
        queues = app.control.inspect(timeout=1).active_queues()
        assert {name: [queue["name"] for queue in found] for name, found in queues.items()} == {
            "w1@sim": ["one"],
            "w2@sim": ["two"],
        }


def test_excluded_queues_are_not_consumed() -> None:
    """celery/worker/worker.py, WorkController.setup_queues: exclude_queues."""
    app = _app(task_queues=None)
    from kombu import Queue  # beside its use: the one test that declares queues

    app.conf.task_queues = [Queue("one"), Queue("two")]
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, exclude_queues=["two"])
        sim.run(for_=1)
        kept = app.tasks["where"].apply_async(queue="two")
        assert app.tasks["where"].apply_async(queue="one").get(timeout=5)
        assert kept.state == "PENDING"


def test_workers_of_different_applications_share_the_broker() -> None:
    """Each application's worker runs its own task of a name, with its own settings."""
    shop, bank = _app("shop"), _app("bank", task_default_queue="bank", timezone="Europe/Paris")

    @shop.task(name="only.shop")
    def only_shop() -> str:
        return "shop"

    with tqsim.Simulation(shop) as sim:
        sim.worker("w1", concurrency=1)
        sim.worker("w2", app=bank, concurrency=1)
        sim.run(for_=1)
        mine = shop.tasks["where"].delay()
        theirs = shop.send_task("where", queue="bank")
        assert mine.get(timeout=5) == ["w1@sim", "shop"]
        assert theirs.get(timeout=5) == ["w2@sim", "bank"]
        published_by_bank = bank.tasks["where"].delay()
        assert published_by_bank.get(timeout=5) == ["w2@sim", "bank"]
        unknown = shop.send_task("only.shop", queue="bank")
        sim.run_until_idle()
        assert unknown.state == "FAILURE"
        assert type(unknown.result).__name__ == "NotRegistered"


def test_a_task_of_one_application_calls_one_of_another() -> None:
    """celery/app/base.py, Celery.send_task: by name, over the broker."""
    shop, bank = _app("shop"), _app("bank", task_default_queue="bank")

    @shop.task(name="ask", bind=True)
    def ask(self: Any) -> str:
        return str(self.app.send_task("where", queue="bank").id)

    with tqsim.Simulation(shop) as sim:
        sim.worker("w1", concurrency=1)
        sim.worker("w2", app=bank, concurrency=1)
        task_id = ask.delay().get(timeout=5)
        sim.run_until_idle()
        life = sim.history.task(task_id)
        assert (life.attempts[0].worker, life.parent_id is not None) == ("w2", True)


def test_statistics_and_counts_are_each_workers_own() -> None:
    """celery/worker/state.py, total_count; celery/worker/control.py, stats."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        first = sim.worker("w1", concurrency=1, queues=["one"])
        sim.worker("w2", concurrency=1, queues=["two"])
        sim.run(for_=1)
        for _ in range(3):
            app.tasks["where"].apply_async((0,), queue="one")
        app.tasks["where"].apply_async((0,), queue="two")
        sim.run_until_idle()
        stats = app.control.inspect(timeout=1).stats()
        assert stats["w1@sim"]["total"] == {"where": 3}
        assert stats["w2@sim"]["total"] == {"where": 1}
        assert stats["w1@sim"]["pid"] != stats["w2@sim"]["pid"]
        first.kill()
        first.restart()
        sim.run(for_=1)
        assert app.control.inspect(timeout=1).stats()["w1@sim"]["total"] == {}


def test_worker_direct_gives_every_worker_a_queue_of_its_own() -> None:
    """celery/worker/worker.py, WorkController.setup_queues: worker_direct."""
    app = _app(worker_direct=True)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.worker("w2", concurrency=1)
        sim.run(for_=1)
        for _ in range(3):
            app.tasks["where"].apply_async((0,), exchange="C.dq2", routing_key="w2@sim")
        sim.run_until_idle()
        assert _workers(sim, "where") == ["w2", "w2", "w2"]


def test_a_name_with_a_host_is_kept() -> None:
    """celery/utils/nodenames.py, default_nodename."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1@paris", concurrency=1)
        assert worker.hostname == "w1@paris"
        assert app.tasks["where"].delay().get(timeout=5)[0] == "w1@paris"
        assert app.control.ping(timeout=1) == [{"w1@paris": {"ok": "pong"}}]
