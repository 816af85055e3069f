"""What a history costs after the run: its digest, its task lives, and every check."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any, Final

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import cpu_s, in_fresh_interpreter
from tests.benchmarks.rows import Row, Size

__all__ = ["measure"]

_TASKS: Final = 10_000


def measure(size: Size) -> list[Row]:
    """Return a row each for the digest, the task lives, and the checks together."""
    tasks = size.of(_TASKS, 2_000)
    measured = in_fresh_interpreter(__name__, tasks)
    what = f"history of {tasks:,} tasks"
    checks = measured["checks"]
    slowest = max(checks, key=lambda name: float(checks[name]))
    return [
        Row(f"{what}: digest", _ms(measured["digest"]), note=f"{measured['moments']:,} moments"),
        Row(f"{what}: task lives", _ms(measured["lives"])),
        Row(f"{what}: {len(checks)} checks", _ms(sum(checks.values())), note=f"slowest: {slowest}"),
    ]


def _ms(value_s: float) -> str:
    return f"{value_s * 1e3:,.0f} ms"


def _judge(tasks: int) -> dict[str, Any]:
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
    return {
        "moments": len(history),
        "digest": cpu_s(lambda: history.digest),
        "lives": cpu_s(history.tasks),
        "checks": {str(check): cpu_s(partial(sim.check, check)) for check in checks},
    }


if __name__ == "__main__":
    print(json.dumps(_judge(int(sys.argv[1]))))
