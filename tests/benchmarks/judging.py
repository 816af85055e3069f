"""What a history costs after the run: its digest, its task lives, and every check."""

from __future__ import annotations

import json
import sys
from typing import Final

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import cpu_s, in_fresh_interpreter
from tests.benchmarks.rows import Row, Size

__all__ = ["measure"]

_TASKS: Final = 10_000


def measure(size: Size) -> list[Row]:
    """Return a row each for the digest, the task lives, and the checks."""
    tasks = size.of(_TASKS, 2_000)
    measured = in_fresh_interpreter(__name__, tasks)
    moments = measured.pop("moments")
    rows = [Row(f"history of {tasks:,} tasks: moments", f"{moments:,}")]
    return rows + [
        Row(f"history of {tasks:,} tasks: {name}", f"{value * 1e3:,.0f} ms")
        for name, value in measured.items()
    ]


def _judge(tasks: int) -> dict[str, float]:
    app = make_app(stores_results=True)
    noop = app.tasks["bench.noop"]
    with tqsim.Simulation(app, history=True) as sim:
        sim.worker("w1", concurrency=4)
        for number in range(tasks):
            noop.apply_async((number,))
        sim.run_until_idle()
    history = sim.history
    checks = (
        tqsim.checks.nothing_lost(),
        tqsim.checks.exactly_once(),
        tqsim.checks.at_most_runs(1),
        tqsim.checks.no_overlap(),
        tqsim.checks.succeeded(),
        tqsim.checks.queue_depth(at_most=tasks),
        tqsim.checks.latency(max="1d"),
    )
    result: dict[str, float] = {"moments": len(history)}
    result["digest"] = cpu_s(lambda: history.digest)
    result["task lives"] = cpu_s(history.tasks)
    for check in checks:
        result[f"check {check}"] = cpu_s(lambda check=check: sim.check(check))  # type: ignore[misc]
    return result


if __name__ == "__main__":
    print(json.dumps(_judge(int(sys.argv[1]))))
