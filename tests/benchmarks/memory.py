"""Memory: flat over many tasks, and little per queued message."""

from __future__ import annotations

import json
import sys
import tracemalloc
from typing import Final

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import in_fresh_interpreter, resident_bytes
from tests.benchmarks.rows import Row, Size, at_most

__all__ = ["measure"]

_MEGABYTE: Final = 1_000_000
_TASKS: Final = 300_000
_WARM_UP: Final = 50_000
_PER_SECOND: Final = 100
#: 10 MB over the full number of tasks; fewer tasks may grow it by less.
_GROWTH_LIMIT_BYTES: Final = 40
_MESSAGES: Final = 50_000
_MESSAGE_LIMIT_KB: Final = 3


def measure(size: Size) -> list[Row]:
    """Return the rows of growth and of a message."""
    warm_up, tasks = size.of(_WARM_UP, 5_000), size.of(_TASKS, 15_000)
    messages = size.of(_MESSAGES, 5_000)
    before, after = in_fresh_interpreter(__name__, "growth", warm_up, tasks)
    resident = in_fresh_interpreter(__name__, "messages", messages, 0)
    traced = in_fresh_interpreter(__name__, "messages", size.of(10_000, 2_000), 1)
    grown_mb = (after - before) / _MEGABYTE
    limit_mb = (tasks - warm_up) * _GROWTH_LIMIT_BYTES / _MEGABYTE
    conditions = f"time_limit=3600, {_PER_SECOND} tasks a second, history off"
    growth = at_most(
        f"memory growth from {warm_up:,} to {tasks:,} tasks",
        grown_mb, limit_mb, "MB", f"{conditions}; {after / _MEGABYTE:.0f} MB resident",
    )  # fmt: skip
    message = at_most(
        f"memory of a queued message, {messages:,} queued",
        resident / 1_000, _MESSAGE_LIMIT_KB, "KB", f"resident; {traced / 1_000:.2f} KB by tracemalloc",
    )  # fmt: skip
    return [growth, message]


def _growth(warm_up: int, tasks: int) -> tuple[int, int]:
    # 3,000 simulated seconds at 100 tasks a second: no limit of an hour is ever due, so that
    # whatever a finished task leaves behind is still there at the end.
    app = make_app(task_time_limit=3_600)
    with tqsim.Simulation(app, history=False) as sim:
        sim.worker("w1", concurrency=2)
        noop = app.tasks["bench.noop"]
        sim.load(tqsim.load.constant(_PER_SECOND, for_=tasks / _PER_SECOND), noop.s)
        sim.run(for_=warm_up / _PER_SECOND)
        before = resident_bytes()
        sim.run(for_=(tasks - warm_up) / _PER_SECOND)
        return before, resident_bytes()


def _message_bytes(messages: int, is_traced: bool) -> float:
    app = make_app()
    noop = app.tasks["bench.noop"]
    with tqsim.Simulation(app, history=False) as sim:
        for number in range(1_000):
            noop.apply_async((number,))
        if is_traced:
            tracemalloc.start()
        before = resident_bytes()
        for number in range(messages):
            noop.apply_async((number,))
        assert sim.queue("celery").ready_count == messages + 1_000
        grown = tracemalloc.get_traced_memory()[0] if is_traced else resident_bytes() - before
        return grown / messages


if __name__ == "__main__":
    _first, _second = int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(_growth(_first, _second) if sys.argv[1] == "growth" else _message_bytes(_first, bool(_second))))
