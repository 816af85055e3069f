from __future__ import annotations

from typing import Any

import pytest

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import latency
from tqsim.history import History


def waits(*seconds: float) -> History:
    """Tell tasks, published at 0, that start after these seconds and run for one."""
    story = Story()
    for number, start in enumerate(seconds):
        story.publish(str(number))
        story.run(str(number), start, start + 1)
    return story.history()


def test_percentiles_at_their_limits_pass() -> None:
    verdict = latency(p50="2s", p95=4, p99=4, max=4)(waits(1, 2, 3, 4))

    assert (verdict.passed, verdict.judged) == (True, 4)


def test_each_limit_that_is_exceeded_names_the_task_at_that_rank() -> None:
    verdict = latency(p50=1, p99=3, max=9)(waits(4, 3, 2, 1))

    assert texts(verdict) == [
        "2: p50 of wait is 2s over 4 values; expected at most 1s.",
        "0: p99 of wait is 4s over 4 values; expected at most 3s.",
    ]
    assert times(verdict) == [(0, "task.published"), (2, "task.started")]


def test_a_value_is_told_to_the_millisecond_unless_it_is_that_close_to_its_limit() -> None:
    assert texts(latency(max="2s")(waits(2.345678))) == ["0: max of wait is 2.346s over 1 value; expected at most 2s."]
    assert texts(latency(max="2s")(waits(2.000001))) == [
        "0: max of wait is 2.000001s over 1 value; expected at most 2s."
    ]


def test_other_percentiles_can_be_given() -> None:
    assert texts(latency(percentiles={25: "500ms", 99.9: "1h"})(waits(1, 2))) == [
        "0: p25 of wait is 1s over 2 values; expected at most 500ms."
    ]


def test_runs_and_whole_lives_can_be_measured() -> None:
    history = waits(5)

    assert texts(latency(max=0, of="run")(history)) == ["0: max of run is 1s over 1 value; expected at most 0s."]
    assert texts(latency(max=0, of="end_to_end")(history)) == [
        "0: max of end_to_end is 6s over 1 value; expected at most 0s."
    ]


@pytest.mark.parametrize(("of", "verb"), [("wait", "started"), ("end_to_end", "ended")])
def test_a_task_that_starves_counts_with_the_time_so_far(of: str, verb: str) -> None:
    story = Story().publish("a", 1).tell(100, "note.written")

    assert texts(latency(max="1m", of=of)(story.history())) == [
        f"a: max of {of} is 1m 39s over 1 value, not {verb} yet; expected at most 1m."
    ]


def test_how_many_of_the_values_are_still_growing_is_told() -> None:
    """The table of times beside it counts only what has ended."""
    story = Story().publish("a").publish("b").publish("c")
    story.run("a", 1, 2)
    story.tell(100, "note.written")

    assert texts(latency(p50="1m")(story.history())) == [
        "b: p50 of wait is 1m 40s over 3 values, 2 of them not started yet; expected at most 1m."
    ]


def test_a_run_that_does_not_end_counts_with_the_time_so_far() -> None:
    story = Story().publish("a")
    story.run("a", 1)
    story.tell(100, "note.written")

    assert texts(latency(max="1m", of="run")(story.history())) == [
        "a: max of run is 1m 39s over 1 value, not ended yet; expected at most 1m."
    ]


def test_a_task_that_was_revoked_before_it_started_did_not_wait() -> None:
    story = Story().publish("a").publish("b")
    delivery = story.receive("a", 1)
    story.tell(9, "task.revoked", "w1", "a", delivery=delivery)
    story.run("b", 1, 2)

    verdict = latency(max=1)(story.history())

    assert (verdict.passed, verdict.judged) == (True, 1)


def test_no_run_to_measure_is_nothing_judged() -> None:
    history = Story().publish("a").history()

    assert texts(latency(max=1, of="run")(history)) == [
        "Nothing was judged: 1 task matched, but none started; set allow_empty to true if that is meant."
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, 'latency limits nothing; expected one or more of p50, p95, p99 and max, such as p95="10s".'),
        ({"max": 1, "of": "sleep"}, "of='sleep' is unknown; expected one of: 'wait', 'run', 'end_to_end'."),
        (
            {"percentiles": {0: 1}},
            "percentiles={0: 1} has the percentile 0; expected numbers above 0 and at most 100.",
        ),
        (
            {"p95": "soon"},
            (
                "p95='soon' is not a duration; expected seconds as a number, a timedelta, or text such as "
                '"1.5s", "10m", "2h30m" or "1d".'
            ),
        ),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    assert refusal(lambda: latency(**options)) == message
