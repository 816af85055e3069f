"""An application that joins a simulation later is treated like the first."""

from __future__ import annotations

import threading
import time

import celery
import pytest
from celery import Celery

import tqsim
from tests.apps.shop.tasks import app, charge

other = Celery("other", broker="memory://", backend="cache+memory://", set_as_current=False)
stranger = Celery("stranger", broker="amqp://nowhere:1//", backend="redis://nowhere:2", set_as_current=False)
_guard = threading.Lock()
_before = celery.current_app._get_current_object()
current = Celery("current", broker="memory://", backend="cache+memory://")
_before.set_current()


@other.task(name="other.stamp", shared=False)
def stamp(now=time.time) -> float:  # type: ignore[no-untyped-def]
    """Take a lock made at import, wait, and read a clock that was captured as a default."""
    with _guard:
        time.sleep(1)
    return float(now())


def test_its_locks_and_captured_clocks_are_virtual_too() -> None:
    before = _guard
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        sim.worker("w2", app=other, concurrency=2, queues="other")
        stamps = [stamp.apply_async(queue="other") for _ in range(2)]
        paid = charge.delay(1)
        assert [result.get(timeout=10) for result in stamps] == [1893456001.0, 1893456001.0]
        assert paid.get(timeout=10) == "paid"
    assert _guard is before
    assert stamp.run.__defaults__ == (time.time,)


def test_an_application_that_joins_inside_an_eager_block_is_waited_for() -> None:
    with tqsim.Simulation(app) as sim, sim.eager():
        sim.worker("w2", app=other, queues="other")
        result = stamp.apply_async(queue="other", countdown=9)
        assert (result.state, sim.elapsed) == ("SUCCESS", 10.0)


@pytest.mark.parametrize("number", [1, 2])
def test_an_application_that_nobody_named_publishes_and_waits_inside(number: int) -> None:
    """It used its pools and its backend in another simulation, or for real, before this one."""
    with tqsim.Simulation(app) as sim:
        sent = stranger.send_task("x.y", queue="elsewhere")
        sim.client(lambda: stranger.send_task("x.y", queue="elsewhere"))
        sim.run(for_=1)
        assert (sent.state, sim.queue("elsewhere").ready_count) == ("PENDING", 2)
        inside = Celery("inside", set_as_current=False)
        inside.send_task("x.y", queue="elsewhere")
        assert sim.queue("elsewhere").ready_count == 3
        with pytest.raises(celery.exceptions.TimeoutError):
            sent.get(timeout=1)
    assert stranger._pool is None


@current.task(name="current.tell", shared=False)
def tell() -> str:
    """Return the name of the current application."""
    return str(celery.current_app.main)


def test_clients_and_loads_find_the_application_as_their_current_one() -> None:
    """celery/app/base.py, Celery.__init__: the application that a process imports is its current one."""
    before = celery.current_app.main
    with tqsim.Simulation(current) as sim:
        sim.worker("w1")
        client = sim.client(lambda: (celery.current_app.main, tell.delay().get()))
        sim.load(tqsim.load.constant(1, for_=3), lambda number: celery.current_app.signature("current.tell"))
        sim.run_until_idle()
        assert client.result() == ("current", "current")
        assert len(sim.history.tasks("current.tell")) == 4
        assert {life.state for life in sim.history.tasks("current.tell")} == {"succeeded"}
    assert celery.current_app.main == before
