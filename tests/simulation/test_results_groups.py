"""Groups and chords, on every backend that has them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from celery import chord, group
from celery.exceptions import ChordError

import tqsim
from tests.simulation.results_stories import BACKENDS, make_shop, place

NATIVE = ("redis://", "rpc://", "cache+memory://", "file://{place}")
WITH_CHORDS = tuple(backend for backend in BACKENDS if backend != "rpc://")


def sums(app: Any, count: int) -> Any:
    """Return a group of ``count`` additions."""
    return group(app.tasks["add"].s(number, number) for number in range(count))


@pytest.mark.parametrize("backend", BACKENDS)
def test_group_gives_its_results_in_order(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        assert sums(app, 4).apply_async().get() == [0, 2, 4, 6]


@pytest.mark.parametrize("backend", BACKENDS)
def test_group_can_be_joined(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        result = sums(app, 4).apply_async()
        assert result.join(timeout=60) == [0, 2, 4, 6]
        assert result.successful()


@pytest.mark.parametrize("backend", NATIVE)
def test_group_can_be_joined_natively(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        assert sums(app, 4).apply_async().join_native(timeout=60) == [0, 2, 4, 6]


def test_group_is_iterated_as_results_arrive() -> None:
    app = make_shop("redis://")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = sums(app, 3).apply_async()
        arrived = [(sim.elapsed, meta["result"]) for _, meta in result.iter_native()]
        assert arrived == [(1.0, 0), (2.0, 2), (3.0, 4)]


@pytest.mark.parametrize("backend", WITH_CHORDS)
def test_chord_runs_its_body_on_the_results(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        assert chord(sums(app, 4).tasks)(app.tasks["total"].s()).get(timeout=60) == 12
        assert len(sim.history.tasks("total")) == 1


def test_redis_chord_starts_its_body_with_the_last_part() -> None:
    app = make_shop("redis://")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        result = chord(sums(app, 4).tasks)(app.tasks["total"].s())
        assert result.get() == 12
        assert sim.elapsed == 1.0


@pytest.mark.parametrize("backend", ["redis://", "cache+memory://"])
def test_chord_with_a_failing_part_fails(backend: str) -> None:
    app = make_shop(backend)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        header = [app.tasks["add"].s(1, 1), app.tasks["fail"].s()]
        with pytest.raises((ChordError, ValueError), match=r"no such article"):
            chord(header)(app.tasks["total"].s()).get(timeout=60)


def test_rpc_refuses_chords_as_celery_does() -> None:
    app = make_shop("rpc://")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        with pytest.raises(NotImplementedError, match=r'^The "rpc" result backend does not support chords!'):
            chord(sums(app, 2).tasks)(app.tasks["total"].s())


def test_redis_chord_survives_the_loss_of_a_worker() -> None:
    """A part that runs twice counts once: Celery's own Lua script sees to it."""
    app = make_shop("redis://", task_acks_late=True, task_reject_on_worker_lost=True)
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        sim.worker("w2", concurrency=2)
        result = chord(sums(app, 6).tasks)(app.tasks["total"].s())
        sim.run(for_=1.5)
        worker.kill()
        assert result.get(timeout=60) == 30
        sim.run_until_idle()
        assert len(sim.history.tasks("total")) == 1


@pytest.mark.parametrize("backend", ["redis://", "cache+memory://"])
def test_saved_group_can_be_restored(backend: str) -> None:
    app = make_shop(backend)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        result = sums(app, 2).apply_async()
        result.save()
        sim.run_until_idle()
        restored = app.GroupResult.restore(result.id)
        # Not get(): Celery 5.5 waits for ever for a restored group that is complete, with real Redis too.
        assert restored.join() == [0, 2]


def test_group_of_many_clients_and_threads() -> None:
    """Threads of one process share a subscription each; nobody takes another's message."""
    app = make_shop("redis://", result_backend_thread_safe=True)

    @app.task(name="slow")
    def slow(seconds: int) -> int:
        time.sleep(seconds)
        return seconds

    def client() -> list[int]:
        import threading

        found: list[int] = []
        threads = [
            threading.Thread(target=lambda seconds=seconds: found.append(slow.delay(seconds).get()))
            for seconds in (3, 1, 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=6)
        handles = [sim.client(client) for _ in range(2)]
        sim.run_until_idle(limit="1h")
        assert [handle.result() for handle in handles] == [[1, 2, 3], [1, 2, 3]]
        assert sim.elapsed == 3.0
