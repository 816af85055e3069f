"""What tasks draw: every execution other numbers, also under one task id."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

import tqsim
from tests.simulation.worker_stories import make_app


def _drawing_app() -> tuple[Any, list[str]]:
    app, drawn = make_app(), []

    @app.task(name="draw", bind=True)
    def draw(self: Any, times: int) -> None:
        drawn.append(str(uuid.uuid4()))
        if times:
            raise self.replace(draw.s(times - 1))

    return app, drawn


def test_task_that_replaces_another_draws_other_numbers() -> None:
    """It has the other's id, and as few retries; on Redis equal numbers were equal delivery tags and a lost message."""
    app, drawn = _drawing_app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        app.tasks["draw"].delay(2)
        sim.run_until_idle()
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_task_that_is_sent_twice_under_one_id_draws_twice(workers: int) -> None:
    app, drawn = _drawing_app()
    with tqsim.Simulation(app) as sim:
        for number in range(workers):
            sim.worker(f"w{number}")
        for _ in range(2):
            app.tasks["draw"].apply_async((0,), task_id="same")
        sim.run_until_idle()
    assert len(set(drawn)) == 2
