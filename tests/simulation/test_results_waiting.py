"""Waiting for a single result, on every backend that runs in a simulation."""

from __future__ import annotations

import functools
import time
from pathlib import Path

import pytest
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import allow_join_result

import tqsim
from tests.simulation.results_stories import BACKENDS, MESSAGE_BACKENDS, POLLED_BACKENDS, make_shop, place


@pytest.mark.parametrize("backend", BACKENDS)
def test_get_waits_in_virtual_time(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        assert app.tasks["add"].delay(1, 2).get(timeout=60) == 3
        assert sim.elapsed == 1.0


@pytest.mark.parametrize("backend", MESSAGE_BACKENDS)
def test_backend_with_messages_returns_at_the_instant_the_result_is_stored(backend: str) -> None:
    app = make_shop(backend)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        sim.run(for_=0.123)
        started = sim.elapsed
        assert app.tasks["add"].delay(1, 2).get() == 3
        assert sim.elapsed == pytest.approx(started + 1.0, abs=1e-9)


@pytest.mark.parametrize("backend", POLLED_BACKENDS)
def test_polled_backend_returns_within_half_a_second(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].delay(1, 2)
        sim.run(for_=0.8)
        assert result.get() == 3
        # Asked at 0.8 and then every 0.5 s (celery/backends/base.py, wait_for): 1.3 is the first after 1.0.
        assert sim.elapsed == pytest.approx(1.3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("timeout", [2.5, 5])
def test_get_times_out_exactly(backend: str, timeout: float, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        result = app.tasks["add"].delay(1, 2)
        with pytest.raises(CeleryTimeoutError, match=r"^The operation timed out\.$"):
            result.get(timeout=timeout)
        assert sim.elapsed == timeout


@pytest.mark.parametrize("backend", ["redis://", "rpc://"])
def test_other_results_do_not_move_a_timeout(backend: str) -> None:
    """Celery looks at its timeout once per message or second, and would raise up to a second late."""
    app = make_shop(backend)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        waited_for = app.tasks["add"].apply_async((1, 2), countdown=60)
        others = [app.tasks["add"].apply_async((1, 2), countdown=second + 0.3) for second in range(4)]
        with pytest.raises(CeleryTimeoutError):
            waited_for.get(timeout=5)
        assert sim.elapsed == 5.0
        assert [other.get() for other in others] == [3, 3, 3, 3]


@pytest.mark.parametrize("backend", BACKENDS)
def test_client_process_waits_for_its_own_result(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        clients = [
            sim.client(functools.partial(lambda number: app.tasks["add"].delay(number, 0).get(), number))
            for number in (10, 20)
        ]
        sim.run_until_idle()
        assert [client.result() for client in clients] == [10, 20]


@pytest.mark.parametrize("backend", BACKENDS)
def test_get_inside_a_task_is_refused(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        with pytest.raises(RuntimeError, match=r"^Never call result\.get\(\) within a task!"):
            app.tasks["wait_inside"].delay().get()


@pytest.mark.parametrize("backend", BACKENDS)
def test_get_inside_a_task_works_where_celery_allows_it(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))

    @app.task(name="patient")
    def patient() -> int:
        with allow_join_result():
            return int(app.tasks["add"].delay(1, 2).get())

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        assert patient.delay().get() == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_error_of_a_task_is_raised_by_get(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["fail"].delay()
        with pytest.raises(ValueError, match=r"^no such article$"):
            result.get()
        assert result.failed()
        assert isinstance(result.get(propagate=False), ValueError)


@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend != "rpc://"])
def test_states_are_visible_in_order(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path), task_track_started=True)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["flaky"].delay()
        seen = [(sim.elapsed, result.state)]
        while not result.ready():
            sim.run(for_=0.25)
            if result.state != seen[-1][1]:
                seen.append((sim.elapsed, result.state))
        # One second of work, two of countdown, one of work.
        assert seen == [(0, "PENDING"), (0.25, "STARTED"), (1, "RETRY"), (3, "STARTED"), (4, "SUCCESS")]
        assert result.successful()
        assert result.get() == "at last"


@pytest.mark.parametrize("backend", BACKENDS)
def test_revoked_task_is_known_as_such(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].apply_async((1, 2), countdown=5)
        sim.run(for_=1)  # the worker has to be there to hear of it
        result.revoke()
        sim.run(for_=6)
        assert result.state == "REVOKED"


@pytest.mark.parametrize("backend", ["redis://", "cache+memory://", "file://{place}"])
def test_forgotten_result_is_pending_again(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].delay(1, 2)
        assert result.get() == 3
        result.forget()
        assert app.AsyncResult(result.id).state == "PENDING"


@pytest.mark.parametrize("backend", ["redis://", "cache+memory://"])
def test_children_of_a_task_are_found(backend: str) -> None:
    app = make_shop(backend)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        result = app.tasks["fan_out"].delay()
        assert result.get() == "sent"
        assert [child.get() for child in result.children] == [3]


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_process_has_a_backend_of_its_own(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    backends = []

    @app.task(name="look")
    def look() -> None:
        backends.append(app.backend)
        time.sleep(1)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        sim.worker("w2", concurrency=1)
        sim.run(for_=1)  # both have to be there to get their share
        for _ in range(3):
            look.delay()
        backends.append(app.backend)
        sim.client(lambda: backends.append(app.backend))
        sim.run_until_idle()
        assert len({id(backend) for backend in backends}) == 5


def test_thread_safe_backend_is_one_per_process() -> None:
    app = make_shop("redis://", result_backend_thread_safe=True)
    backends = []

    @app.task(name="look")
    def look() -> None:
        backends.append(app.backend)
        time.sleep(1)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        backends.append(app.backend)
        for _ in range(4):
            look.delay()
        sim.run_until_idle()
        assert len(backends) == 5
        assert len({id(backend) for backend in backends}) == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_waiting_for_what_never_comes_is_no_progress(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app):
        result = app.tasks["add"].delay(1, 2)
        with pytest.raises(tqsim.NoProgress, match=r"^Nothing is left to happen at .*, and main waits for "):
            result.get()


@pytest.mark.parametrize("backend", ["disabled://", None])
def test_without_a_backend_a_result_cannot_be_read(backend: str | None) -> None:
    app = make_shop(backend)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].delay(1, 2)
        with pytest.raises(NotImplementedError, match=r"^No result backend is configured\."):
            result.get()
        sim.run_until_idle()
        assert [attempt.outcome for attempt in sim.history.task(result.id).attempts] == ["succeeded"]


def test_ignored_result_is_none_at_once() -> None:
    app = make_shop("redis://", task_ignore_result=True)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].delay(1, 2)
        assert result.get() is None
        assert sim.elapsed == 0
        sim.run_until_idle()
        assert result.state == "PENDING"


def test_long_wait_costs_no_polling() -> None:
    """A day of waiting for a message is one event, where Celery looks every second."""
    app = make_shop("redis://")
    with tqsim.Simulation(app, broker=tqsim.RabbitMQ(consumer_timeout=None)) as sim:
        sim.worker("w1")
        result = app.tasks["add"].apply_async((1, 2), countdown=86_400)
        sim.run(for_=1)
        before = sim._kernel.loop.switches
        assert result.get() == 3
        assert sim.elapsed == 86_401.0
        assert sim._kernel.loop.switches - before < 100


def test_result_expires_in_virtual_time() -> None:
    app = make_shop("redis://", result_expires=600)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].delay(1, 2)
        sim.run(for_=601)
        # Stored at 1.0 for 600 s; Redis expires a key when its time has passed, not at it.
        assert app.AsyncResult(result.id).state == "SUCCESS"
        sim.run(for_=0.01)
        assert app.AsyncResult(result.id).state == "PENDING"
