from __future__ import annotations

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import at_most_runs, exactly_once


def test_a_success_after_retries_is_exactly_once() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2, "retried")
    story.publish("a", 2, retries=1)
    story.run("a", 3, 4, retries=1)

    verdict = exactly_once()(story.history())

    assert (verdict.passed, verdict.judged) == (True, 1)


def test_a_second_success_is_found() -> None:
    story = Story().publish("a")
    story.run("a", 1, 9)
    story.run("a", 2, 5, worker="w2")

    verdict = exactly_once()(story.history())

    assert texts(verdict) == ["a: it succeeded 2 times; expected exactly once."]
    assert times(verdict) == [
        (1, "task.started"),
        (2, "task.started"),
        (5, "task.succeeded"),
        (9, "task.succeeded"),
    ]


def test_a_run_after_the_success_is_found() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2)
    story.run("a", 3, 4, "failed")

    assert texts(exactly_once()(story.history())) == ["a: it started again after it had succeeded, once."]


def test_a_task_that_never_succeeds_is_found() -> None:
    story = Story().publish("a").publish("b")
    story.run("b", 1, 2, "failed")

    verdict = exactly_once()(story.history())

    assert texts(verdict) == [
        "a: it never started, and its state is 'pending'.",
        "b: it never succeeded; it started once, and its state is 'failed'.",
    ]
    assert times(verdict) == [(0, "task.published"), (0, "message.queued")]


def test_more_runs_than_allowed_are_found() -> None:
    story = Story().publish("a").publish("b")
    for start in (1, 3, 5):
        story.run("a", start, start + 1, "lost", ack=False)
    story.run("b", 1, 2)

    verdict = at_most_runs(2)(story.history())

    assert texts(verdict) == ["a: it started 3 times; expected at most 2."]
    assert len(times(verdict)) == 6
    assert at_most_runs(3)(story.history()).passed


def test_a_task_can_be_forbidden_to_run_at_all() -> None:
    story = Story().publish("a").publish("b")
    story.run("a", 1, 2)

    assert texts(at_most_runs(0, task=lambda life: life.id == "a")(story.history())) == [
        "a: it started once; expected at most 0."
    ]


def test_a_number_of_runs_that_is_none_is_refused() -> None:
    assert refusal(lambda: at_most_runs(-1)) == "n=-1 is wrong; expected a whole number of at least 0."
    assert refusal(lambda: at_most_runs(True)) == "n=True is wrong; expected a whole number of at least 0."
