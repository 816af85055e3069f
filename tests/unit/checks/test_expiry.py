from __future__ import annotations

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tqsim.checks import no_start_after_expiry


def test_a_start_at_the_instant_of_expiry_is_in_time() -> None:
    story = Story().publish("a", expires="2030-01-01T00:00:05+00:00").publish("b")
    story.run("a", 5, 60)
    story.run("b", 100, 101)

    verdict = no_start_after_expiry()(story.history())

    assert (verdict.passed, verdict.judged) == (True, 1)


def test_a_start_after_expiry_is_found() -> None:
    story = Story().publish("a", expires=5)
    story.run("a", 5.5, 6)

    verdict = no_start_after_expiry()(story.history())

    assert texts(verdict) == ["a: attempt 1 started 500ms after it had expired at 5s."]
    assert times(verdict) == [(0, "task.published"), (5.5, "task.received"), (5.5, "task.started")]


def test_a_retry_that_lost_its_expiry_is_held_to_the_first() -> None:
    story = Story().publish("a", expires=5)
    story.run("a", 1, 2, "retried")
    story.publish("a", 2, retries=1)
    story.run("a", 8, 9, retries=1)

    assert texts(no_start_after_expiry()(story.history())) == ["a: attempt 2 started 3s after it had expired at 5s."]


def test_a_retry_with_a_later_expiry_is_held_to_its_own() -> None:
    story = Story().publish("a", expires=5)
    story.run("a", 1, 2, "retried")
    story.publish("a", 2, retries=1, expires=10)
    story.run("a", 8, 9, retries=1)

    assert no_start_after_expiry()(story.history()).passed


def test_tasks_without_an_expiry_are_nothing_judged() -> None:
    history = Story().publish("a").history()

    assert texts(no_start_after_expiry()(history)) == [
        "Nothing was judged: 1 task matched, but none has an expiry; set allow_empty to true if that is meant."
    ]
