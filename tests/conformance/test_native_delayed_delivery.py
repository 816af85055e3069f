"""Celery's native delayed delivery on a simulated and on a real RabbitMQ: countdowns wait in the broker.

kombu/transport/native_delayed_delivery.py: 28 queues whose lifetimes are powers of two, each of which lets its
dead letters fall to the next exchange.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tqsim
from tests.conformance.delayed_app import QUEUE, make_app, runs
from tests.conformance.rabbitmq_site import Site
from tests.conformance.real_workers import RealWorkerProcess

_OPTIONS = ("-c", "1", "--without-mingle", "--without-gossip", "--without-heartbeat")


@pytest.fixture(params=["simulation", pytest.param("server", marks=[pytest.mark.conformance, pytest.mark.slow])])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Callable[[float], None]]]:
    """An application with a worker, and how time passes."""
    if request.param == "simulation":
        app = make_app("amqp://", tmp_path)
        with tqsim.Simulation(app) as sim:
            sim.worker("w1", concurrency=1)
            yield app, lambda seconds: sim.run(for_=seconds)
        return
    site: Site = request.getfixturevalue("rabbitmq_site")
    with site.shared():
        environment = {"DELAYED_BROKER": site.url, "DELAYED_FOLDER": str(tmp_path)}
        worker = RealWorkerProcess("tests.conformance.delayed_app", "w", tmp_path, _OPTIONS, environment)
        worker.launch()
        worker.await_ready()
        yield make_app(site.url, tmp_path), time.sleep
        worker.kill()


def _waiting(app: Any) -> dict[str, int]:
    """How many messages wait in which queue."""
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        names = [QUEUE, *(f"celery_delayed_{level}" for level in range(4))]
        counts = {name: channel.queue_declare(name, passive=True).message_count for name in names}
    return {name: count for name, count in counts.items() if count}


def test_countdowns_wait_in_queues_of_the_broker(world: tuple[Any, Callable[[float], None]], tmp_path: Path) -> None:
    app, wait = world
    wait(1)
    for name, countdown in (("five", 5), ("two", 2), ("now", 0)):
        app.send_task("note", (name,), countdown=countdown)
    wait(1)
    assert runs(tmp_path) == ["now"]
    assert _waiting(app) == {"celery_delayed_1": 1, "celery_delayed_2": 1}  # 2 = 10b, and 5 = 101b
    wait(2)
    assert runs(tmp_path) == ["now", "two"]
    assert _waiting(app) == {"celery_delayed_2": 1}
    wait(1.5)
    assert _waiting(app) == {"celery_delayed_0": 1}
    wait(2)
    assert runs(tmp_path) == ["now", "two", "five"]
    assert _waiting(app) == {}
