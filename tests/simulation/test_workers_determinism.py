"""The same scenario gives the same history: in fresh interpreters, and again in one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tqsim
from tests.simulation.worker_stories import make_app

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (
    "from tests.simulation.test_workers_determinism import run_everything; "
    "print(*[run_everything(policy) for policy in ('fifo', 'random', 'pct(3)')])"
)


def run_everything(policy: str = "fifo", seed: int = 7) -> str:
    """Run a scenario with a bit of everything and return its digest."""
    app = make_app(task_send_sent_event=True, worker_prefetch_multiplier=2)

    @app.task(name="flaky", bind=True, autoretry_for=(ValueError,), retry_backoff=True, max_retries=4)
    def flaky(self: Any, number: int) -> int:
        time.sleep(0.5)
        if self.request.retries < number % 3:
            raise ValueError(number)
        return number

    @app.task(name="slow", acks_late=True, soft_time_limit=20)
    def slow(number: int) -> object:
        time.sleep(number * 3)
        return object() if number == 4 else {"n": number}

    @app.task(name="crash", acks_late=True, reject_on_worker_lost=True, bind=True)
    def crash(self: Any) -> None:
        if not self.request.delivery_info["redelivered"]:
            os._exit(1)

    app.conf.beat_schedule = {"t": {"task": "flaky", "schedule": 15.0, "args": (1,)}}
    with tqsim.Simulation(app, seed=seed, policy=policy) as sim:
        first = sim.worker("w1", concurrency=2, task_events=True)
        sim.worker("w2", concurrency=3, gossip=True, mingle=True, heartbeat=True)
        sim.beat()
        sim.run(for_=1)
        ids = [flaky.delay(number).id for number in range(12)]
        slows = [slow.delay(number).id for number in range(8)]
        crash.delay()
        sim.client(lambda: app.control.inspect(timeout=1).stats())
        sim.run(for_=2)
        app.control.revoke([ids[0], ids[5], *slows[4:]], terminate=True)
        app.control.rate_limit("flaky", "2/s")
        app.control.pool_grow(1, destination=["w1@sim"])
        sim.run(for_=5)
        first.kill()
        sim.restart_broker()
        sim.run(for_=20)
        first.restart()
        sim.run(for_=60)
        assert len(sim.history.tasks()) > 20
    return sim.history.digest


def _fresh(hash_seed: int) -> str:
    """Return the digests of a fresh interpreter whose sets are walked in another order."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_five_fresh_interpreters_agree() -> None:
    """The order of sets, memory addresses and pids are no part of a history."""
    digests = {_fresh(hash_seed) for hash_seed in (0, 1, 2, 12345, 99999)}
    assert len(digests) == 1
    assert len(set(digests.pop().split())) == 3


def test_a_second_run_in_the_same_interpreter_agrees() -> None:
    """Nothing is left of a simulation: neither counters nor caches nor registered receivers."""
    digests = [run_everything() for _ in range(3)]
    assert len(set(digests)) == 1


def test_other_seeds_differ_where_chance_decides() -> None:
    """Jitter, ids and the random policy come from the seed."""
    assert len({run_everything("random", seed) for seed in (1, 2, 3)}) == 3


@pytest.mark.parametrize("policy", ["random", "pct(3)"])
def test_a_random_order_loses_nothing(policy: str) -> None:
    """Whatever the schedule, late acks and retries come to an end."""
    app = make_app(task_acks_late=True)

    @app.task(name="work", bind=True, max_retries=2, default_retry_delay=1)
    def work(self: Any, number: int) -> int:
        time.sleep(0.3)
        if self.request.retries < number % 2:
            raise self.retry()
        return number

    for seed in range(5):
        with tqsim.Simulation(app, seed=seed, policy=policy) as sim:
            worker = sim.worker("w1", concurrency=2)
            sim.worker("w2", concurrency=2)
            sim.run(for_=0.5)
            results = [work.delay(number) for number in range(20)]
            sim.run(for_=1)
            worker.kill()
            worker.restart()
            sim.run_until_idle()
            sim.check(tqsim.checks.nothing_lost())
            assert [result.get() for result in results] == list(range(20))
