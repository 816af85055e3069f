"""Open a simulation, run one task, close: the price that every test pays, in real time.

Beside it, measured once, what Celery's own fixture for tests asks for the same: a real worker in
a thread (``celery.contrib.testing.worker.start_worker``).
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any, Final

from celery.contrib.testing import worker as celery_fixture

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import in_fresh_interpreter
from tests.benchmarks.rows import Row, Size, at_most
from tests.benchmarks.synthetic_modules import load_until

__all__ = ["measure"]

_TIMES: Final = 50
_MODULES: Final = 1_300
_LIMIT_MS: Final = 20
_MS: Final = 1_000


def measure(size: Size) -> list[Row]:
    """Return the row of the median, those of the first time and of Celery's fixture."""
    times = size.of(_TIMES, 15)
    measured = in_fresh_interpreter(__name__, "simulation", times)
    fixture_ms = in_fresh_interpreter(__name__, "fixture", 1)
    cpu_ms = statistics.median(measured["cpu"])
    return [
        at_most(
            f"open + one task + close, {_MODULES:,} modules",
            statistics.median(measured["real"]), _LIMIT_MS, "ms",
            f"median of {times}, real time; processor time {cpu_ms:.1f} ms", 1,
        ),
        Row("the same, the first time in a process", f"{measured['first']:,.0f} ms"),
        Row("the same with Celery's threaded worker fixture", f"{fixture_ms:,.0f} ms", note="measured once"),
    ]  # fmt: skip


def _simulations(times: int) -> dict[str, Any]:
    load_until(_MODULES)
    app = make_app(stores_results=True)
    noop = app.tasks["bench.noop"]

    def once() -> tuple[float, float]:
        real, cpu = time.perf_counter(), time.process_time()
        with tqsim.Simulation(app) as sim:
            sim.worker("w1")
            result = noop.delay(1)
            assert result.get(timeout=10) == 1
        return (time.perf_counter() - real) * _MS, (time.process_time() - cpu) * _MS

    first, _ = once()
    pairs = [once() for _ in range(times)]
    return {"first": first, "real": [real for real, _ in pairs], "cpu": [cpu for _, cpu in pairs]}


def _fixture() -> float:
    app = make_app(stores_results=True)
    begin = time.perf_counter()
    with celery_fixture.start_worker(app, perform_ping_check=False):
        assert app.tasks["bench.noop"].delay(1).get(timeout=10) == 1
    return (time.perf_counter() - begin) * _MS


if __name__ == "__main__":
    print(json.dumps(_simulations(int(sys.argv[2])) if sys.argv[1] == "simulation" else _fixture()))
