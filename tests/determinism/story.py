"""One eventful run, on whichever broker; results in Redis have a story of their own.

The main name is :func:`run_story`.  The story has two workers, retries with jitter, ETAs, task
events, a kill and a restart, the loss of a child, beat, remote control, a chord and a group, and
tasks that use threads, every source of chance, and what a process and its threads are known by.
"""

from __future__ import annotations

import datetime
from typing import Any

import tqsim
from tests.determinism.story_app import ROUTED_QUEUES, add, app, draw, identify, pay, threads

__all__ = ["POLICIES", "run_story"]

POLICIES = ("fifo", "random", "pct(3)")


def run_story(seed: int = 7, policy: str = "fifo", broker: tqsim.RabbitMQ | tqsim.Redis | None = None) -> tqsim.History:
    """Run the story and return its history."""
    with tqsim.Simulation(app, seed=seed, policy=policy, broker=broker) as sim:
        first = sim.worker("w1", concurrency=3, queues=list(ROUTED_QUEUES), task_events=True)
        sim.worker("w2", concurrency=3, queues=list(ROUTED_QUEUES), task_events=True, prefetch_multiplier=2)
        sim.beat()
        sim.load(tqsim.load.poisson(1.5, for_="40s"), pay.s, "customers")
        shopper = sim.client(_shop, "shopper")
        results = [draw.delay(f"test {number}") for number in range(3)]
        results += [threads.delay(3), identify.delay(), identify.delay()]
        draw.apply_async(("later",), eta=sim.now + datetime.timedelta(seconds=25))
        sim.run(for_="8s")
        inspect = app.control.inspect(timeout=1)
        answers = [inspect.active(), inspect.reserved(), inspect.stats(), inspect.scheduled()]
        first.kill_child(1)
        sim.run(for_="2s")
        first.kill()
        app.control.revoke(results[0].id)
        sim.run(for_="15s")
        first.restart()
        sim.run(for_="60s")
        sim.run(until=lambda: shopper.is_done, limit="1h")
        told = (shopper.result(), [result.get(timeout=60) for result in results], answers)
        # What the test itself saw belongs to the run: it goes into the history as a result.
        add.apply_async((0, 0), headers={"told": repr(told)}, argsrepr=repr(told))
        sim.run(for_="5s")
    return sim.history


def _shop() -> Any:
    values = [pay.s(1_000).apply_async(countdown=3).get(timeout=600)]
    values.append((add.s(1, 2) | add.s(10)).apply_async().get(timeout=600))
    return values
