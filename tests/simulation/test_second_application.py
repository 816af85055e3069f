"""An application that joins a simulation later is treated like the first."""

from __future__ import annotations

import threading
import time

from celery import Celery

import tqsim
from tests.apps.shop.tasks import app, charge

other = Celery("other", broker="memory://", backend="cache+memory://", set_as_current=False)
_guard = threading.Lock()


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
