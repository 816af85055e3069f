from __future__ import annotations

from typing import Any, cast

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import queue_depth
from tqsim.history import History


def crowded() -> History:
    story = Story()
    for number in range(4):
        story.publish(str(number), number)
    story.publish("m", 1, queue="mail")
    story.run("0", 2.5, 9)
    return story.history()


def test_queues_within_the_bound_pass() -> None:
    verdict = queue_depth(at_most=3)(crowded())

    assert (verdict.passed, verdict.judged) == (True, 2)


def test_a_queue_beyond_the_bound_is_found_with_its_first_and_its_worst_moment() -> None:
    verdict = queue_depth(at_most=1)(crowded())

    assert texts(verdict) == [
        "queue 'celery' held 3 ready messages at 2s, and more than 1 from 1s on; expected at most 1."
    ]
    assert times(verdict) == [(1, "message.queued"), (2, "message.queued")]


def test_one_queue_can_be_judged_alone() -> None:
    assert queue_depth(at_most=1, queue="mail")(crowded()).passed


def test_an_unknown_queue_does_not_pass() -> None:
    check = queue_depth(at_most=1, queue="male")

    assert texts(check(crowded())) == [
        (
            "Nothing was judged: no queue named 'male'; known queues: celery, mail; set allow_empty to true if "
            "that is meant."
        )
    ]
    assert queue_depth(at_most=1, queue="male", allow_empty=True)(crowded()).passed


def test_a_history_without_queues_does_not_pass() -> None:
    assert texts(queue_depth(at_most=1)(History())) == [
        "Nothing was judged: this history has no queues at all; set allow_empty to true if that is meant."
    ]


def test_wrong_options_are_refused() -> None:
    assert refusal(lambda: queue_depth(at_most=cast("Any", "5"))) == (
        "at_most='5' is wrong; expected a whole number of at least 0."
    )
    assert refusal(lambda: queue_depth(at_most=5, queue=cast("Any", 3))) == (
        "queue=3 is wrong; expected a queue's name, or None for every queue."
    )
