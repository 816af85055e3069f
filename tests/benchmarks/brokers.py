"""Processor time per task on the simulated Redis, next to the simulated RabbitMQ: publish, broker and worker.

Each round measures one after the other, and the ratio is the median over the rounds.  An idle worker on Redis is
measured too: its transport polls every second, where RabbitMQ pushes.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
from typing import Any, Final

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import cpu_s, in_fresh_interpreter
from tests.benchmarks.rows import Row, Size, at_most

__all__ = ["measure"]

_ROUNDS: Final = 9
_TASKS: Final = 2_000
_LIMIT: Final = 2.5
_IDLE_HOURS: Final = 24
_HOURS_A_WEEK: Final = 168
_WORKERS: Final = 4
_IDLE_LIMIT_S: Final = 60


def measure(size: Size) -> list[Row]:
    """Return the rows of the two brokers."""
    rounds, tasks, hours = size.of(_ROUNDS, 3), size.of(_TASKS, 500), size.of(_IDLE_HOURS, 2)
    measured = in_fresh_interpreter(__name__, rounds, tasks, hours)
    rows = []
    for history, ratios in measured["ratios"].items():
        rows.append(
            at_most(
                f"CPU per task on Redis, history {history}",
                statistics.median(ratios),
                _LIMIT,
                "x simulated RabbitMQ",
                f"median of {rounds} ({min(ratios):.2f} to {max(ratios):.2f}); "
                f"RabbitMQ {statistics.median(measured['rabbitmq'][history]) / tasks * 1e6:.0f} us",
            )
        )
    week_s = measured["idle_s"] * _HOURS_A_WEEK / hours
    rows.append(
        at_most(f"idle week of {_WORKERS} workers on Redis", week_s, _IDLE_LIMIT_S, "s", f"measured over {hours} h")
    )
    return rows


def _rounds(rounds: int, tasks: int, hours: int) -> dict[str, Any]:
    result: dict[str, Any] = {"ratios": {"off": [], "on": []}, "rabbitmq": {"off": [], "on": []}}
    for number in range(-1, rounds):
        for history in ("off", "on"):
            rabbitmq_s = _tasks(tasks, tqsim.RabbitMQ(), history)
            redis_s = _tasks(tasks, tqsim.Redis(), history)
            if number >= 0:  # the first round only warms up
                result["rabbitmq"][history].append(rabbitmq_s)
                result["ratios"][history].append(redis_s / rabbitmq_s)
    result["idle_s"] = _idle(hours)
    return result


def _tasks(tasks: int, broker: Any, history: str) -> float:
    app = make_app()
    noop = app.tasks["bench.noop"]

    def run() -> None:
        for number in range(tasks):
            noop.apply_async((number,))
        sim.worker("w1", concurrency=1)
        sim.run_until_idle()

    gc.collect()
    with tqsim.Simulation(app, broker=broker, history=history == "on") as sim:
        return cpu_s(run)


def _idle(hours: int) -> float:
    with tqsim.Simulation(make_app(), broker=tqsim.Redis()) as sim:
        for number in range(_WORKERS):
            sim.worker(f"w{number}", concurrency=2)
        sim.run(for_="1m")
        return cpu_s(lambda: sim.run(for_=f"{hours}h"))


if __name__ == "__main__":
    print(json.dumps(_rounds(*(int(argument) for argument in sys.argv[1:]))))
