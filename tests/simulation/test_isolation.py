"""Nothing of a simulation reaches the world around it, another simulation, or another process."""

from __future__ import annotations

import asyncio
import datetime
import gc
import os
import pathlib
import random
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from typing import Any

import pytest
from celery import Celery

import tqsim

app = Celery("isolated", broker="pyamqp://guest@localhost//", backend="cache+memory://")
LOCAL = threading.local()
log: list[Any] = []


@app.task(name="isolated.draw")
def draw() -> list[Any]:
    """Chance, time and the process that runs this."""
    return [random.random(), os.urandom(4).hex(), time.time(), os.getpid()]


@app.task(name="isolated.remember")
def remember() -> int:
    """Count the calls in a thread-local, as a database connection would be kept."""
    LOCAL.calls = getattr(LOCAL, "calls", 0) + 1
    return int(LOCAL.calls)


@app.task(name="isolated.linger")
def linger(seconds: float) -> None:
    """Wait, and note how it ends."""
    log.append("began")
    try:
        time.sleep(seconds)
        log.append("done")
    finally:
        log.append("finally")


@app.task(name="isolated.write")
def write(path: str, what: str, seconds: float) -> None:
    """Hold a transaction open."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO sale VALUES (?)", (what,))
        time.sleep(seconds)


@app.task(name="isolated.loop")
def loop() -> bool:
    """Run an event loop of its own."""

    async def wait() -> bool:
        return asyncio.get_running_loop().is_running()

    time.sleep(1)
    return asyncio.run(wait())


@app.task(name="isolated.sink")
def sink() -> None:
    """Do nothing."""


def world() -> dict[str, Any]:
    """What a simulation changes while it is open."""
    return {
        "conf": dict(app.conf.changes),
        "pool": app.pool,
        "functions": [time.sleep, time.time, time.monotonic, os.getpid, os.kill, signal.signal, threading.Lock],
        "classes": [datetime.datetime, datetime.date, threading.Thread.start, sqlite3.connect],
        "random": random.getstate(),
        "environment": dict(os.environ),
        "zone": time.tzname,
        "threads": threading.enumerate(),
        "gc": [gc.isenabled(), gc.get_freeze_count()],
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
        "tracers": [task.__trace__ for _, task in sorted(app.tasks.items())],
        "excepthook": [sys.excepthook, threading.excepthook],
    }


@pytest.fixture(autouse=True)
def fresh_log() -> None:
    log.clear()
    app.finalize(auto=True)


def simulate(seed: int = 7) -> tuple[str, list[Any]]:
    with tqsim.Simulation(app, seed=seed) as sim:
        sim.worker("w1", concurrency=2)
        results = [draw.delay() for _ in range(5)]
        values = [result.get(timeout=60) for result in results]
    return sim.history.digest, values


def test_a_simulation_leaves_the_world_as_it_was() -> None:
    app.pool.limit = app.pool.limit  # so that the pool exists
    before = world()
    simulate()

    assert world() == before


def test_two_simulations_give_what_each_gives_alone() -> None:
    first, second = simulate(1), simulate(2)

    assert (simulate(2), simulate(1)) == (second, first)
    assert first != second


def test_a_failing_block_leaves_the_world_as_it_was() -> None:
    before = world()

    def block() -> None:
        with tqsim.Simulation(app) as sim:
            sim.worker()
            linger.delay(10)
            sim.run(for_="1s")
            raise KeyError("mine")

    with pytest.raises(KeyError, match=r"^'mine'$"):
        block()

    assert world() == before


def test_opening_that_fails_half_way_leaves_the_world_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    before = world()
    simulation = tqsim.Simulation(app, timezone="Europe/Paris")

    def fail(*args: object) -> None:
        raise OSError("half way")

    monkeypatch.setattr(simulation._applications, "install", fail)
    with pytest.raises(OSError, match=r"^half way$"):
        simulation.__enter__()

    assert world() == before
    simulate()


def test_each_child_has_its_own_thread_locals_and_a_new_child_begins_anew() -> None:
    LOCAL.calls = 100
    with tqsim.Simulation(app) as sim:
        worker = sim.worker(concurrency=1)
        counts = [remember.delay().get(timeout=60) for _ in range(2)]
        worker.kill_child()
        counts.append(remember.delay().get(timeout=60))
        other = LOCAL.calls

    assert (counts, other, LOCAL.calls) == ([1, 2, 1], 100, 100)


def test_a_killed_child_runs_no_finally_while_the_simulation_lasts() -> None:
    with tqsim.Simulation(app) as sim:
        worker = sim.worker(concurrency=1)
        linger.delay(10)
        sim.run(for_="1s")
        worker.kill_child()
        sim.run(for_="1m")
        during = list(log)

    assert during == ["began"]


def test_a_killed_worker_runs_no_finally_while_the_simulation_lasts() -> None:
    with tqsim.Simulation(app) as sim:
        worker = sim.worker(concurrency=1)
        linger.delay(10)
        sim.run(for_="1s")
        worker.kill()
        sim.run(for_="1m")
        during = list(log)

    assert during == ["began"]


def test_a_terminated_task_runs_its_finally() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker(concurrency=1)
        result = linger.delay(10)
        sim.run(for_="1s")
        result.revoke(terminate=True)
        sim.run(for_="1s")
        during = list(log)

    assert during == ["began", "finally"]


def test_the_end_of_a_simulation_ends_a_running_task_at_once() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker(concurrency=1)
        linger.delay(10)
        sim.run(for_="1s")
        moments = len(sim.history)
        during = list(log)

    assert (during, log, len(sim.history)) == (["began"], ["began", "finally"], moments)


def test_the_connection_of_a_killed_child_is_rolled_back(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "shop.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE sale (what TEXT)")
    with tqsim.Simulation(app) as sim:
        worker = sim.worker(concurrency=2)
        write.delay(path, "never", 60)
        sim.run(for_="1s")
        worker.kill_child()
        write.delay(path, "next", 2).get(timeout=60)
        elapsed = sim.elapsed
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT what FROM sale").fetchall()

    assert (rows, elapsed) == ([("next",)], 3.0)


def test_tasks_on_several_children_have_event_loops_of_their_own() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker(concurrency=4)
        results = [loop.delay() for _ in range(4)]
        values = [result.get(timeout=60) for result in results]

        assert (values, sim.elapsed) == ([True] * 4, 1.0)


def test_many_countdowns_published_at_one_instant_have_one_base() -> None:
    """Reading the clock 20,000 times without doing anything else is waiting; publishing is doing something."""
    with tqsim.Simulation(app, history=False) as sim:
        for _ in range(10_000):
            sink.apply_async(countdown=60, expires=600)

        assert sim.elapsed == 0.0


def test_random_state_that_a_test_sets_is_kept_over_a_simulation() -> None:
    random.seed(42)
    expected = [random.random() for _ in range(2)]
    random.seed(42)
    first = random.random()
    simulate()

    assert [first, random.random()] == expected
