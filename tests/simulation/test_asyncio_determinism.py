"""Tasks with event loops give the same history for the same seed, whatever the addresses of their objects."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tqsim
from tests.simulation.worker_stories import make_app

ROOT = Path(__file__).resolve().parents[2]
POLICIES = ("fifo", "random", "pct(3)")
SCRIPT = (
    "from tests.simulation.test_asyncio_determinism import run_everything; "
    f"print(*[run_everything(policy) for policy in {POLICIES}])"
)


def run_everything(policy: str, seed: int = 7) -> str:
    """Run tasks that walk through sets of asyncio's objects, and return the digest and what they saw."""
    app = make_app()
    app.conf.result_extended = True

    @app.task(name="work")
    def work(number: int) -> list[str]:
        log: list[str] = []

        async def step(name: str) -> str:
            log.append(f"begin {name}")
            try:
                await asyncio.sleep(len(name) % 3)
                await asyncio.to_thread(time.sleep, 1)
            except asyncio.CancelledError:
                log.append(f"cancelled {name}")
                raise
            return name

        async def main() -> None:
            names = [f"{number}{'x' * index}" for index in range(9)]
            log.extend([await finished for finished in asyncio.as_completed([step(name) for name in names])])
            waited_for: set[Any] = {asyncio.create_task(step(name)) for name in names}
            waited_for.add(asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.5))
            done, pending = await asyncio.wait(waited_for, timeout=1.5)
            log.extend(str(item.result()) for item in done)
            log.extend(item.get_name() for item in pending if isinstance(item, asyncio.Task))
            for item in pending:
                item.cancel()

        asyncio.run(main())
        return log

    with tqsim.Simulation(app, seed=seed, policy=policy) as sim:
        for name in ("w1", "w2"):
            sim.worker(name, concurrency=3)
        results = [work.delay(number) for number in range(10)]
        seen = [result.get(timeout=1_000) for result in results]
        sim.run_until_idle()
        return f"{sim.history.digest}:{hashlib.sha256(repr(seen).encode()).hexdigest()}"


@pytest.mark.parametrize("policy", POLICIES)
def test_twice_in_one_process_gives_the_same_history(policy: str) -> None:
    assert run_everything(policy) == run_everything(policy)


def test_seeds_differ() -> None:
    assert run_everything("random", seed=1) != run_everything("random", seed=2)


def test_fresh_interpreters_give_the_same_history() -> None:
    found = []
    for hash_seed, junk in (("0", 1), ("1", 1_000), ("2", 100_000)):
        # Objects that were made before shift the addresses of those that come.
        script = f"import sys; sys.path.insert(0, '.'); junk = [object() for _ in range({junk})]; {SCRIPT}"
        ended = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(ended.stdout)
    assert found[0] == found[1] == found[2]
