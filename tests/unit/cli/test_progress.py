"""The progress bar: only on a terminal, only after a while, and gone at the end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.unit.screens import screen, text
from tqsim.cli import progress
from tqsim.cli.progress import Progress


def test_nothing_is_shown_where_there_is_no_terminal() -> None:
    console = screen()
    before = threading.active_count()
    with Progress(console) as bar:
        bar.watch("", clock(1.0), 2_000_000)
        assert threading.active_count() == before
    assert text(console) == ""


def test_a_short_run_shows_nothing() -> None:
    console = screen(force_terminal=True)
    with Progress(console) as bar:
        bar.watch("", clock(1.0), 2_000_000)
    assert text(console) == ""


def test_a_long_run_shows_its_variant_and_its_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "_STEP_S", 0.001)
    console = screen(force_terminal=True, _environ={"TERM": "xterm"})
    looks = threading.Semaphore(0)
    with Progress(console) as bar:
        bar.watch("fixed", clock(90.5, looks), 180_000_000)
        for _ in range(3):
            assert looks.acquire(timeout=20)
    assert "fixed: 1m 30s of virtual time" in text(console)
    assert "50%" in text(console)


def clock(elapsed: float, looks: threading.Semaphore | None = None) -> Any:
    """Return something whose ``elapsed`` is read as that of a simulation."""

    class Clock:
        @property
        def elapsed(self) -> float:
            if looks is not None:
                looks.release()
            return elapsed

    return Clock()
