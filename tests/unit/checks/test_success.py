from __future__ import annotations

import pytest

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import succeeded
from tqsim.history import History


def outcomes(*words: str) -> History:
    story = Story()
    for number, word in enumerate(words):
        story.publish(str(number))
        story.run(str(number), 1, 2, word, error="ValueError()" if word == "failed" else None)
    return story.history()


def test_enough_successes_pass() -> None:
    verdict = succeeded(at_least=0.75)(outcomes("succeeded", "succeeded", "failed", "succeeded"))

    assert (verdict.passed, verdict.judged) == (True, 4)


def test_too_few_successes_are_counted_and_the_others_named() -> None:
    verdict = succeeded(at_least=0.9)(outcomes("succeeded", "failed", "rejected"))

    assert texts(verdict) == [
        "1 of 3 tasks succeeded (0.3333); expected at least 0.9.",
        "1: its state is 'failed' (ValueError()).",
        "2: its state is 'rejected'.",
    ]
    assert times(verdict, 1) == [(0, "task.published"), (2, "message.acked")]


def test_all_tasks_must_succeed_by_default() -> None:
    assert succeeded()(outcomes("succeeded")).passed
    assert not succeeded()(outcomes("succeeded", "failed")).passed


def test_fractions_are_exact() -> None:
    # In floating point 0.07 * 100 is above 7.
    assert succeeded(at_least=0.07)(outcomes(*["succeeded"] * 7, *["failed"] * 93)).passed


@pytest.mark.parametrize("value", [0, 1.1, -0.5, True, "half"])
def test_a_fraction_that_is_none_is_refused(value: float) -> None:
    assert refusal(lambda: succeeded(at_least=value)) == (
        f"at_least={value!r} is wrong; expected a fraction above 0 and at most 1."
    )
