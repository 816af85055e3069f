"""Opens and closes 1,000 simulations and prints, as JSON, what the interpreter held then and later.

A program of its own, run by ``test_resources.py``: other tests would blur the counts.
"""

from __future__ import annotations

import gc
import json
import os
import pathlib
import random
import sys
import threading
import time
from types import ModuleType
from typing import Any

import greenlet
from celery import Celery

import tqsim

app = Celery("many", broker="pyamqp://guest@localhost//", backend="cache+memory://")
LOCK = threading.Lock()


@app.task(name="many.work")
def work(number: int) -> int:
    """Wait, and let a thread wait."""
    with LOCK:
        thread = threading.Thread(target=time.sleep, args=(2,))
        thread.start()
        time.sleep(1)
        thread.join()
    return number


def simulate(seed: int) -> None:
    """Run one task, and leave another one running."""
    with tqsim.Simulation(app, seed=seed) as sim:
        sim.worker("w1", concurrency=2)
        assert work.delay(seed).get(timeout=60) == seed
        work.delay(seed)
        sim.run(for_="1s")


def resident_mb() -> float:
    """Resident memory of this process (proc(5): ``statm``)."""
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def held() -> dict[str, Any]:
    """Count what a simulation may not leave behind."""
    gc.collect()
    return {
        "threads": threading.active_count(),
        "greenlets": sum(isinstance(item, greenlet.greenlet) for item in gc.get_objects()),
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - names only
        "objects": len(gc.get_objects()),
        "resident_mb": resident_mb(),
        "is gc on": gc.isenabled(),
        "frozen": gc.get_freeze_count(),
    }


def bindings() -> dict[tuple[str, str], int]:
    """The identity of every global of every module, and of every attribute of the classes in them."""
    found = {}
    for module_name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType):
            continue
        for name, value in list(vars(module).items()):
            if (module_name, name) == ("time", "tzname"):
                continue  # a new object each time the zone is set
            found[module_name, name] = id(value)
            if type(value) is type and value.__module__ == module_name:
                found.update({(module_name, f"{name}.{key}"): id(item) for key, item in list(vars(value).items())})
    return found


def outside() -> dict[str, Any]:
    """What the issue names, as values that can be compared."""
    return {
        "conf": repr(sorted(app.conf.items(), key=str)),
        "pool": repr(app.pool),
        "sleep": repr(time.sleep),
        "random": hash(random.getstate()),
        "environment": dict(os.environ),
        "zone": time.tzname,
        "lock": id(LOCK),
    }


def main() -> None:
    """Simulate 100 times, look, simulate 900 times more, and look again."""
    app.finalize(auto=True)
    before = outside()
    for seed in range(100):
        simulate(seed)
    early_bindings = bindings()  # first, as it takes memory itself
    early = held()
    for seed in range(100, 1_000):
        simulate(seed)
    late = held()
    late_bindings = bindings()
    changed = sorted(
        ".".join(key)
        for key in early_bindings.keys() | late_bindings.keys()
        if early_bindings.get(key) != late_bindings.get(key)
    )
    after = outside()
    differing = [key for key in before if before[key] != after[key]]
    json.dump({"early": early, "late": late, "changed": changed, "differing": differing}, sys.stdout)


if __name__ == "__main__":
    main()
