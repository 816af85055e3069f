from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import retry_delays
from tqsim.history import History


def retried(*delays: float, task_id: str = "a") -> History:
    """Tell runs of one second with these delays between them."""
    story = Story().publish(task_id)
    at = 1.0
    for retries, delay in enumerate(delays):
        story.run(task_id, at, at + 1, "retried", retries=retries)
        story.publish(task_id, at + 1, retries=retries + 1)
        at += 1 + delay
    story.run(task_id, at, at + 1, retries=len(delays))
    return story.history()


@pytest.mark.parametrize(
    "options",
    [
        {"expected": [1, "2s", timedelta(seconds=4)]},
        {"expected": [1, 2, 4, 8]},
        {"expected": [1.5, 2, 4], "tolerance": "500ms"},
        {"within": (1, 4)},
        {"within": [(0, 1), (1, 2), ("4s", "1m")]},
        {"within": (2, 3), "tolerance": 1},
    ],
)
def test_delays_as_expected_pass(options: dict[str, Any]) -> None:
    verdict = retry_delays(**options)(retried(1, 2, 4))

    assert (verdict.passed, verdict.judged) == (True, 3)


def test_a_delay_that_differs_by_a_microsecond_is_found() -> None:
    verdict = retry_delays(expected=[1, 2])(retried(1, 2.000001))

    assert texts(verdict) == ["a: retry 2 came after 2.000001s; expected 2s."]
    assert times(verdict) == [(4, "task.retried"), (6.000001, "task.started")]


def test_delays_outside_their_range_are_found() -> None:
    assert texts(retry_delays(within=(2, 3), tolerance="100ms")(retried(1.9, 1.8, 3.2))) == [
        "a: retry 2 came after 1.8s; expected 2s to 3s with a tolerance of 100ms.",
        "a: retry 3 came after 3.2s; expected 2s to 3s with a tolerance of 100ms.",
    ]


def test_a_retry_beyond_the_list_is_found() -> None:
    assert texts(retry_delays(expected=[1])(retried(1, 2))) == ["a: retry 2 came after 2s; expected at most 1 retry."]


def test_no_retry_at_all_is_nothing_judged() -> None:
    history = retried()

    assert texts(retry_delays(expected=[1])(history)) == [
        (
            "Nothing was judged: 1 task matched, but none ran again after asking for a retry; set "
            "allow_empty to true if that is meant."
        )
    ]
    assert retry_delays(expected=[1], allow_empty=True)(history).passed


def test_wrong_options_are_refused() -> None:
    assert refusal(retry_delays) == (
        "retry_delays has neither expected nor within; give one of them, such as expected=[1, 2, 4] or within=[0, 10]."
    )
    assert refusal(lambda: retry_delays(expected=[1], within=(0, 1))) == (
        "retry_delays has both expected and within; give one of them, such as expected=[1, 2, 4] or within=[0, 10]."
    )
    assert refusal(lambda: retry_delays(expected=[])) == (
        "expected=[] is wrong; expected a list of durations, one per retry."
    )
    assert refusal(lambda: retry_delays(expected=["soon"])) == (
        "expected[0]='soon' is not a duration; expected seconds as a number, a timedelta, or text such as "
        '"1.5s", "10m", "2h30m" or "1d".'
    )
    assert refusal(lambda: retry_delays(within=(3, 2))) == (
        "within=(3, 2) is wrong; expected two durations, low first, such as [0, 10]."
    )
    assert refusal(lambda: retry_delays(within=[(1, 2), (3, 2)])) == (
        "within[1]=(3, 2) is wrong; expected two durations, low first, such as [0, 10]."
    )
    assert refusal(lambda: retry_delays(within=cast("Any", [(1, 2), 3]))) == (
        "within[1]=3 is wrong; expected two durations, low first, such as [0, 10]."
    )
    assert refusal(lambda: retry_delays(within=cast("Any", 5))) == (
        "within=5 is wrong; expected two durations, low first, such as [0, 10]."
    )
    assert refusal(lambda: retry_delays(expected=[1], tolerance=-1)) == (
        "tolerance=-1 is negative; expected seconds as a number, a timedelta, or text such as "
        '"1.5s", "10m", "2h30m" or "1d".'
    )
