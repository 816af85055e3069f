"""Module globals of the application: shared and noticed, or one copy for each process."""

from __future__ import annotations

import logging

import pytest

import tqsim
from tests.apps import deduplicating
from tests.apps.deduplicating import app, send


@pytest.fixture(autouse=True)
def _clean() -> None:
    deduplicating.done.clear()


def _sent_twice(*, isolate_globals: bool) -> tuple[list[bool], list[str]]:
    with tqsim.Simulation(app, isolate_globals=isolate_globals) as sim:
        sim.worker("w1", concurrency=1)
        sim.worker("w2", concurrency=1)
        sim.run(for_="1s")  # both consume now, so the broker takes turns
        results = [send.delay(7) for _ in range(2)]
        sim.run_until_idle()
        workers = sorted(attempt.worker for life in sim.history.tasks() for attempt in life.attempts)
        assert workers == ["w1", "w2"]
        return [result.get() for result in results], sim.changed_globals


def test_shared_globals_are_noticed_once_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="tqsim"):
        answers, changed = _sent_twice(isolate_globals=False)
    assert sorted(answers) == [False, True]
    assert changed == ["tests.apps.deduplicating.done"]
    assert [record.getMessage() for record in caplog.records if record.name == "tqsim"] == [
        (
            "Task code changed the module global tests.apps.deduplicating.done. Simulated processes share it, "
            "processes in production do not; give each its own with "
            "isolate_globals=True, or isolate_globals = true in a scenario's file."
        )
    ]
    assert deduplicating.done == {7}


def test_isolated_globals_show_the_bug() -> None:
    answers, changed = _sent_twice(isolate_globals=True)
    assert (answers, changed) == ([True, True], [])
    assert deduplicating.done == set()
