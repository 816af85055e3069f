"""One seed, one history, with results in Redis: whatever the hash seed and the memory layout are."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).with_name("redis_results_script.py")
INTERPRETERS: Final = 8


def digest(seed: int, policy: str, hash_seed: int, junk: int) -> str:
    """Return the digest of a run in an interpreter of its own."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(seed), policy, str(junk)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("policy", ["fifo", "random", "pct(3)"])
def test_same_seed_gives_the_same_history_in_every_interpreter(policy: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(lambda number: digest(7, policy, 31 * number + 1, 3_001 * number), range(INTERPRETERS)))
    assert len(set(digests)) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_other_seeds_give_other_histories() -> None:
    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(lambda seed: digest(seed, "random", 0, 0), range(4)))
    assert len(set(digests)) == 4
