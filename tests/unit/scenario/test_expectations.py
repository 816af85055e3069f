"""Expectations of a file become checks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.scenario.stories import error_of, story
from tqsim.checks import run_checks
from tqsim.errors import CheckFailed
from tqsim.history import History
from tqsim.scenario.expectations import build, lost


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ('check = "nothing_lost"', "nothing_lost"),
        ('check = "exactly_once"\ntask = "a"', 'exactly_once (task = "a")'),
        ('check = "at_most_runs"\ntask = "a"\nn = 0', 'at_most_runs (n = 0, task = "a")'),
        ('check = "no_overlap"\nallow_empty = true', "no_overlap (allow_empty = true)"),
        ('check = "retry_delays"\nexpected = [1, "2s"]', 'retry_delays (expected = [1, "2s"])'),
        ('check = "retry_delays"\nwithin = [0, 10]\ntolerance = 1', "retry_delays (within = [0, 10], tolerance = 1)"),
        ('check = "retry_delays"\nwithin = [[0, 1], [1, 2]]', "retry_delays (within = [[0, 1], [1, 2]])"),
        ('check = "throughput"\nat_most = 5', 'throughput (at_most = 5, window = "1s")'),
        ('check = "latency"\np95 = "2s"', 'latency (p95 = "2s")'),
        ('check = "latency"\np95 = 2\nof = "run"', 'latency (p95 = 2, of = "run")'),
        ('check = "queue_depth"\nat_most = 9\nqueue = "q"', 'queue_depth (at_most = 9, queue = "q")'),
        ('check = "succeeded"\nat_least = 0.9', "succeeded (at_least = 0.9)"),
        ('check = "no_start_after_expiry"', "no_start_after_expiry"),
        ('check = "in_order"\nby = "success"', 'in_order (by = "success")'),
        ('check = "lost"\ncount = 0\ntask = "a"', 'lost (count = 0, task = "a")'),
    ],
)
def test_each_check_is_built_and_called_in_the_words_of_the_file(lines: str, name: str) -> None:
    expectation = story('check = "nothing_lost"', lines).first.expect["all"]
    assert build(expectation).name == name


def test_a_wrong_type_of_an_argument_is_told_with_its_line() -> None:
    message = error_of('check = "nothing_lost"', 'check = "at_most_runs"\nn = "3"')
    assert message == 'story.toml, line 24: expect.all.n="3" is wrong; expected a whole number of at least 0.'


def test_a_missing_argument_is_told() -> None:
    message = error_of('check = "nothing_lost"', 'check = "lost"')
    assert message == "story.toml, line 22: 'count' is missing in expect.all; expected a whole number of at least 0."


def test_exactly_so_many_lost_tasks_are_expected() -> None:
    assert [verdict.judged for verdict in run_checks(history(), [lost(count=1)])] == [2]
    with pytest.raises(CheckFailed) as caught:
        run_checks(history(), [lost(count=0, task="a")])
    assert str(caught.value).splitlines() == [
        "lost(count=0, task='a') failed: 2 violations.",
        "  1 of 2 tasks is lost; expected 0.",
        "  a one: attempt 1 on w was cut off; it is lost, nothing holds it any more.",
        "              0s  task.published      broker    queue=q",
        "              0s  task.received       w",
        "              0s  task.started        w         child=1",
        "              2s  process.killed      w",
        "Reproduce: seed=None policy=fifo start=2030-01-01T00:00:00+00:00",
    ]


def test_lost_judges_nothing_if_there_is_no_such_task() -> None:
    with pytest.raises(CheckFailed) as caught:
        run_checks(history(), [lost(count=0, task="b")])
    assert str(caught.value).splitlines()[1] == (
        "  Nothing was judged: no task named 'b' (known task names: a); set allow_empty to true if that is meant."
    )
    assert run_checks(history(), [lost(count=0, task="b", allow_empty=True)])[0].passed


def history() -> History:
    """Two tasks were acknowledged early; one had ended when the worker was killed."""
    found = History()
    second = 1_000_000
    for number, task_id in enumerate(("one", "two")):
        message: dict[str, Any] = {"queue": "q", "message": number}
        found.record("task.published", at_us=0, task_id=task_id, task="a", queue="q")
        found.record("message.queued", at_us=0, task_id=task_id, **message)
        found.record("message.delivered", at_us=0, task_id=task_id, delivery=number, **message)
        found.record("task.received", at_us=0, process="w", task_id=task_id, delivery=number)
        found.record("message.acked", at_us=0, task_id=task_id, delivery=number, **message)
        found.record("task.started", at_us=0, process="w", task_id=task_id, delivery=number, child=1)
    found.record("task.succeeded", at_us=second, process="w", task_id="two", delivery=1, child=1)
    found.record("process.killed", at_us=2 * second, process="w")
    return found
