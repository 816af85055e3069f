"""Processor time per task with a short and with a long queue in front of the worker.

The queue is filled to a depth that is then held: each round publishes as many tasks as the worker
runs.  The short queue is measured before and after the long one, in simulations of their own.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Final

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import cpu_s, in_fresh_interpreter
from tests.benchmarks.rows import Row, Size, at_most

__all__ = ["measure"]

_SHORT: Final = 1_000
_LONG: Final = 200_000
_LIMIT: Final = 1.25
_PER_ROUND: Final = 1_000
_ROUNDS: Final = 5


def measure(size: Size) -> list[Row]:
    """Return the row of the ratio."""
    long = size.of(_LONG, 20_000)
    short_us, long_us = in_fresh_interpreter(__name__, _SHORT, long)
    return [
        at_most(
            f"CPU per task, {long:,} queued against {_SHORT:,}", long_us / short_us, _LIMIT, "x",
            f"{long_us:.0f} us and {short_us:.0f} us, prefork, history off",
        )
    ]  # fmt: skip


def _compare(short: int, long: int) -> tuple[float, float]:
    _per_task_us(short)  # warms up
    before_us = _per_task_us(short)
    long_us = _per_task_us(long)
    return (before_us + _per_task_us(short)) / 2, long_us


def _per_task_us(depth: int) -> float:
    app = make_app()
    noop = app.tasks["bench.noop"]
    with tqsim.Simulation(app, history=False) as sim:
        # A hundred tasks a second, so that a stretch of time is a number of tasks.
        sim.cost("bench.noop", "10ms")
        for number in range(depth):
            noop.apply_async((number,))
        sim.worker("w1", concurrency=1)
        sim.run(for_="1s")

        def one_round() -> None:
            for number in range(_PER_ROUND):
                noop.apply_async((number,))
            sim.run(for_=_PER_ROUND / 100)

        rounds = [cpu_s(one_round) for _ in range(_ROUNDS)]
        if abs(sim.queue("celery").ready_count - depth) > depth // 4:
            raise RuntimeError(f"{sim.queue('celery').ready_count} messages are queued; expected about {depth}")
        return statistics.median(rounds) / _PER_ROUND * 1e6


if __name__ == "__main__":
    print(json.dumps(_compare(int(sys.argv[1]), int(sys.argv[2]))))
