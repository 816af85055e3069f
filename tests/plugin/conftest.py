"""Runs pytest with the plugin over a small Celery application.

It makes no difference whether the plugin is installed: in these runs no plugin is loaded by its
entry point, and this one is named by its module.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = (ROOT, ROOT / "pytest_plugin")
Run: TypeAlias = Callable[..., pytest.RunResult]

SHOP: Final = """
import random
import time

from celery import Celery

app = Celery("shop", broker="pyamqp://guest@localhost//", backend="cache+memory://")


@app.task
def add(x, y):
    time.sleep(1)
    total = x + y
    return total


@app.task
def draw():
    time.sleep(random.random())
    return random.random()


@app.task(bind=True, max_retries=100, default_retry_delay=7200)
def never(self):
    raise self.retry(exc=ValueError("not yet"))
"""


@pytest.fixture
def environment(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with ``shop.py``, where a new process finds tqsim and the plugin."""
    for name in list(os.environ):
        is_a_tools = name.startswith(("PYTEST_XDIST", "COV_CORE", "COVERAGE_"))
        # In CI pytest prints whole messages in its summary.
        if is_a_tools or name in ("PYTEST_ADDOPTS", "CI", "BUILD_NUMBER"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")  # the summary is cut at the terminal's width
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, SOURCES)))
    pytester.makepyfile(shop=SHOP)
    return pytester


@pytest.fixture
def run(environment: pytest.Pytester) -> Run:
    """``run(*arguments, stdin=b"")`` runs pytest there in a process of its own."""

    def run_pytest(*arguments: str, stdin: bytes = b"") -> pytest.RunResult:
        command = environment._getpytestargs()
        return environment.run(*command, "-p", "pytest_tqsim", *arguments, stdin=stdin, timeout=50)

    return run_pytest


@pytest.fixture
def run_here(environment: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run_here(*arguments)`` runs pytest in this process, for tests that open no simulation."""
    for path in reversed(SOURCES):
        monkeypatch.syspath_prepend(path)

    def run_pytest(*arguments: str) -> pytest.RunResult:
        return environment.runpytest_inprocess("-p", "pytest_tqsim", *arguments)

    return run_pytest
