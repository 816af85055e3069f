"""Processor time per task, next to bare Celery's own: publish, broker and worker.

Bare Celery is its ``memory://`` transport and a solo worker, and the targets are for the simulated solo
worker.  Bare Celery's prefork pool is not measured, because the work of its children is in other
processes; so the simulated one is shown next to the bare solo worker, for information.

Each round measures bare Celery and every kind of simulation one after another, and a ratio is the
median over the rounds, so that a machine that gets slower meanwhile slows both sides.
"""

from __future__ import annotations

import gc
import json
import signal
import statistics
import sys
from collections.abc import Callable
from typing import Any, Final

from celery.app import trace
from celery.apps.worker import Worker
from celery.worker import state

import tqsim
from tests.benchmarks.applications import make_app
from tests.benchmarks.measuring import cpu_s, in_fresh_interpreter
from tests.benchmarks.rows import Row, Size, at_most

__all__ = ["measure"]

_ROUNDS: Final = 7
_TASKS: Final = 2_000
_LIMITS: Final = {"off": 1.25, "on": 1.5}
_JUDGED: Final = "solo"
_POOLS: Final = (_JUDGED, "prefork")
_UNIT: Final = "x bare"
_FOR_INFORMATION: Final = (
    "The simulated prefork pool is shown next to bare Celery's solo worker and has no target: bare Celery's own "
    "prefork pool is not measured, because its children's work is in other processes."
)
#: What the command line's worker installs handlers for.
_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def measure(size: Size) -> list[Row]:
    """Return a row per result setting, history setting and pool."""
    rounds, tasks = size.of(_ROUNDS, 3), size.of(_TASKS, 500)
    rows = []
    for stores_results in (False, True):
        measured = in_fresh_interpreter(__name__, rounds, tasks, int(stores_results))
        bare_us = statistics.median(measured.pop("bare")) / tasks * 1e6
        for kind, ratios in measured.items():
            rows.append(_row(kind, ratios, bare_us, stores_results))
    return rows


def _row(kind: str, ratios: list[float], bare_us: float, stores_results: bool) -> Row:
    history, pool = kind.split("/")
    name = f"CPU per task, {pool}, history {history}, results {'on' if stores_results else 'off'}"
    ratio = statistics.median(ratios)
    spread = f"median of {len(ratios)} ({min(ratios):.2f} to {max(ratios):.2f}); bare {bare_us:.0f} us"
    if pool == _JUDGED:
        return at_most(name, ratio, _LIMITS[history], _UNIT, spread)
    return Row(name, f"{ratio:,.2f} {_UNIT}", note=spread, remark=_FOR_INFORMATION)


def _rounds(rounds: int, tasks: int, stores_results: bool) -> dict[str, list[float]]:
    """Return the seconds of bare Celery, and the ratio of each kind of simulation, per round."""
    kinds: dict[str, Callable[[], float]] = {
        f"{'on' if history else 'off'}/{pool}": _simulated(tasks, stores_results, history, pool)
        for history in (False, True)
        for pool in _POOLS
    }
    result: dict[str, list[float]] = {"bare": [], **{kind: [] for kind in kinds}}
    for number in range(-1, rounds):
        bare_s = _collected(lambda: _bare(tasks, stores_results))
        ratios = {kind: _collected(run) / bare_s for kind, run in kinds.items()}
        if number >= 0:  # the first round only warms up
            result["bare"].append(bare_s)
            for kind, ratio in ratios.items():
                result[kind].append(ratio)
    return result


def _collected(run: Callable[[], float]) -> float:
    gc.collect()
    return run()


def _bare(tasks: int, stores_results: bool) -> float:
    """Publish, then let the worker that the command line starts run everything."""
    app = make_app(stores_results=stores_results)
    app.conf.update(worker_hijack_root_logger=False, worker_redirect_stdouts=False)

    @app.task(name="bench.stop")
    def stop() -> None:
        state.should_stop = 0

    def run() -> None:
        _publish(app, tasks)
        stop.apply_async()
        worker = Worker(
            app=app, pool="solo", concurrency=1, quiet=True,
            without_heartbeat=True, without_mingle=True, without_gossip=True,
        )  # fmt: skip
        worker.start()

    app.set_current()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        return cpu_s(run)
    finally:
        state.should_stop = None
        trace.reset_worker_optimizations(app)
        app.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _simulated(tasks: int, stores_results: bool, history: bool, pool: str) -> Callable[[], float]:
    def measured() -> float:
        app = make_app(stores_results=stores_results)

        def run() -> None:
            _publish(app, tasks)
            sim.worker("w1", pool=pool, concurrency=1)
            sim.run_until_idle()

        with tqsim.Simulation(app, history=history) as sim:
            return cpu_s(run)

    return measured


def _publish(app: Any, tasks: int) -> None:
    noop = app.tasks["bench.noop"]
    for number in range(tasks):
        noop.apply_async((number,))


if __name__ == "__main__":
    _arguments = [int(argument) for argument in sys.argv[1:]]
    print(json.dumps(_rounds(_arguments[0], _arguments[1], bool(_arguments[2]))))
