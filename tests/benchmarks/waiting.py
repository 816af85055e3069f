"""Virtual time in which little happens: an idle week, and a day of beat."""

from __future__ import annotations

import json
import sys
from typing import Final

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import cpu_s, in_fresh_interpreter
from tests.benchmarks.rows import Row, Size, at_most

__all__ = ["measure"]

_WORKERS: Final = 4
_WEEK_LIMIT_MS: Final = 50
_DAY_LIMIT_S: Final = 3
_DAY_TASKS: Final = 1_440


def measure(size: Size) -> list[Row]:
    """Return the two rows; each is the same at every size."""
    week_s = in_fresh_interpreter(__name__, "week")
    day_s, tasks = in_fresh_interpreter(__name__, "day")
    return [
        at_most(f"an idle simulated week, {_WORKERS} workers", week_s * 1_000, _WEEK_LIMIT_MS, "ms", "", 1),
        at_most("a simulated day of minutely beat", day_s, _DAY_LIMIT_S, "s", f"{tasks:,} tasks, history on"),
    ]


def _week() -> float:
    with tqsim.Simulation(make_app()) as sim:
        for number in range(_WORKERS):
            sim.worker(f"w{number}", concurrency=4)
        sim.run(for_="1s")
        return cpu_s(lambda: sim.run(for_="7d"))


def _day() -> tuple[float, int]:
    app = make_app(beat_schedule={"minutely": {"task": "bench.noop", "schedule": 60.0, "args": (1,)}})
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        sim.beat()
        day_s = cpu_s(lambda: sim.run(for_="1d"))
        done = sum(life.attempts[-1].outcome == "succeeded" for life in sim.history.tasks("bench.noop"))
    if abs(done - _DAY_TASKS) > 1:
        raise RuntimeError(f"{done} tasks ran in a day of minutely beat; expected {_DAY_TASKS}")
    return day_s, done


if __name__ == "__main__":
    print(json.dumps(_week() if sys.argv[1] == "week" else _day()))
