from __future__ import annotations

from typing import Any, cast

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import in_order
from tqsim.history import TaskLife


def account(life: TaskLife) -> str | None:
    return life.args or None


def test_tasks_that_start_as_published_are_in_order() -> None:
    story = Story().publish("a", 0).publish("b", 1)
    story.run("a", 2, 9)
    story.run("b", 3, 4)

    verdict = in_order()(story.history())

    assert (verdict.passed, verdict.judged) == (True, 2)


def test_a_task_that_overtakes_is_found() -> None:
    story = Story().publish("a", 0).publish("b", 1).publish("c", 2)
    story.run("b", 3, 4)
    story.run("a", 5, 6)
    story.run("c", 4, 6)

    verdict = in_order()(story.history())

    assert texts(verdict) == [
        "b: it started before a, which was published earlier.",
        "c: it started before a, which was published earlier.",
    ]
    assert times(verdict) == [
        (0, "task.published"),
        (1, "task.published"),
        (3, "task.started"),
        (5, "task.started"),
    ]


def test_order_is_kept_per_key() -> None:
    story = Story().publish("a", 0, args="1").publish("b", 1, args="2").publish("c", 2, args="1")
    for task_id, start in (("b", 3), ("c", 4), ("a", 5)):
        story.run(task_id, start, start + 1)

    verdict = in_order(key=account)(story.history())

    assert texts(verdict) == ["c: it started before a, which was published earlier."]


def test_a_task_without_a_key_has_no_order_to_keep() -> None:
    story = Story().publish("a", 0).publish("b", 1, args="1")
    story.run("b", 2, 3)
    story.run("a", 4, 5)

    assert in_order(key=account)(story.history()).passed


def test_order_within_one_instant_is_that_of_the_record() -> None:
    story = Story().publish("a", 1).publish("b", 1)
    story.run("b", 1, 1)
    story.run("a", 1, 1)

    assert texts(in_order()(story.history())) == ["b: it started before a, which was published earlier."]


def test_a_task_that_never_starts_is_not_judged() -> None:
    story = Story().publish("a", 0).publish("b", 1)
    story.run("b", 2, 3)

    verdict = in_order()(story.history())

    assert (verdict.passed, verdict.judged) == (True, 1)


def story_of_a_retry() -> Story:
    story = Story().publish("a", 0).publish("b", 1)
    story.run("a", 2, 3, "retried")
    story.publish("a", 3, retries=1)
    story.run("b", 4, 5)
    story.run("a", 6, 7, retries=1)
    return story


def test_a_task_overtaken_during_its_retry_is_found_by_success() -> None:
    history = story_of_a_retry().history()

    assert in_order()(history).passed
    assert texts(in_order(by="success")(history)) == ["b: it succeeded before a, which was published earlier."]


def test_wrong_options_are_refused() -> None:
    assert refusal(lambda: in_order(by="end")) == "by='end' is unknown; expected one of: 'start', 'success'."
    assert refusal(lambda: in_order(key=cast("Any", "account"))) == (
        "key='account' is wrong; expected a function of a TaskLife, or None."
    )
