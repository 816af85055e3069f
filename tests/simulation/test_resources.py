"""A thousand simulations in one interpreter leave nothing behind."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("many_simulations.py")
ROOT = PROGRAM.parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_simulations_leave_no_more_behind_than_a_hundred() -> None:
    """One test for everything, as the program runs for twenty seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", str(PROGRAM)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=280)
    assert (ended.returncode, ended.stderr) == (0, "")
    report = json.loads(ended.stdout)
    early, late = report["early"], report["late"]

    same = ("threads", "greenlets", "files", "is gc on", "frozen")
    assert {name: late[name] for name in same} == {name: early[name] for name in same}
    assert (late["is gc on"], late["frozen"], late["threads"]) == (True, 0, 1)
    # Caches of other libraries fill slowly; one object left by each simulation would be 900.
    assert late["objects"] - early["objects"] < 900
    assert late["resident_mb"] - early["resident_mb"] < 20
    assert report["changed"] == []
    assert report["differing"] == []
