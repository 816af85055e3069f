from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import throughput
from tqsim.history import History, Moment


def started(*starts: float, duration: float = 0.5, published: float = 0) -> History:
    story = Story()
    for number, start in enumerate(starts):
        story.publish(str(number), published)
        story.run(str(number), start, start + duration)
    return story.history()


def test_a_window_may_hold_as_many_as_allowed() -> None:
    verdict = throughput(at_most=2)(started(1, 1.5, 2, 2.5, 3))

    assert (verdict.passed, verdict.judged) == (True, 5)


def test_a_crowded_window_is_found_wherever_it_begins() -> None:
    verdict = throughput(at_most=2)(started(1, 1.5, 2, 2.4, 3))

    assert texts(verdict) == ["3 starts within 1s from 1.5s on; expected at most 2."]
    assert times(verdict) == [(1.5, "task.started"), (2.0, "task.started"), (2.4, "task.started")]


def test_crowded_windows_that_overlap_are_reported_once() -> None:
    assert texts(throughput(at_most=1, window="10s")(started(1, 2, 3, 20, 21))) == [
        "3 starts within 10s from 1s on; expected at most 1.",
        "2 starts within 10s from 20s on; expected at most 1.",
    ]


def test_completions_are_counted_when_tasks_become_terminal() -> None:
    history = started(1, 2, 3, duration=5)

    assert texts(throughput(at_most=0, window=60, of="completions")(history)) == [
        "3 completions within 1m from 6s on; expected at most 0."
    ]


def test_moments_of_the_vocabulary_can_be_counted_and_chosen() -> None:
    story = Story().publish("a")
    for at in (1.0, 1.1, 1.2):
        story.tell(at, "service.called", "w1", "a", service="payments")
        story.tell(at, "service.called", "w1", None, service="mail")
    history = story.history()

    def payments(moment: Moment) -> bool:
        return moment.fields["service"] == "payments"

    assert texts(throughput(at_most=3, of="service.called", where=payments)(history)) == []
    assert texts(throughput(at_most=3, of="service.called")(history)) == [
        "6 service.called moments within 1s from 1s on; expected at most 3."
    ]
    assert throughput(at_most=3, of="service.called", task="shop.charge")(history).passed


def test_a_stretch_with_too_little_is_found_with_the_moments_around_it() -> None:
    verdict = throughput(at_least=1)(started(0, 0.5, 1, 3.5, 4))

    assert texts(verdict) == ["0 starts within 1s from 1.000001s on; expected at least 1."]
    assert times(verdict) == [(1.0, "task.started"), (3.5, "task.started")]


def test_the_time_before_the_first_start_counts() -> None:
    assert texts(throughput(at_least=1)(started(5, 5.5, 6))) == ["0 starts within 1s from 0s on; expected at least 1."]


def test_the_time_after_the_last_start_does_not_count_when_all_is_started() -> None:
    assert throughput(at_least=1)(started(0, 0.9, 1.8, duration=100)).passed


def test_a_stall_until_the_end_of_the_run_counts_while_a_task_waits() -> None:
    story = Story().publish("a").publish("b")
    story.run("a", 0, 1)
    story.tell(60, "note.written")

    assert texts(throughput(at_least=1)(story.history())) == ["0 starts within 1s from 1us on; expected at least 1."]


def test_moments_that_are_counted_end_the_time_that_counts() -> None:
    story = Story().publish("a").tell(100, "note.written")
    for at in (0, 0.5, 1, 1.5):
        story.tell(at, "service.called", "w1", "a")

    assert throughput(at_least=2, of="service.called")(story.history()).passed


def test_a_time_shorter_than_the_window_is_one_window() -> None:
    history = started(0, 1, 2)

    assert throughput(at_least=3, window="1h")(history).passed
    assert texts(throughput(at_least=4, window="1h")(history)) == [
        "3 starts within 1h from 0s on; expected at least 4."
    ]


def test_no_start_at_all_is_nothing_judged() -> None:
    history = Story().publish("a").publish("b").history()

    assert texts(throughput(at_least=1)(history)) == [
        ("Nothing was judged: 2 tasks matched, but none had any starts; set allow_empty to true if that is meant.")
    ]


@given(
    starts=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    window=st.integers(1, 10),
    bound=st.integers(0, 4),
)
def test_the_check_agrees_with_trying_every_window(starts: list[int], window: int, bound: int) -> None:
    history = started(*(start / 1_000_000 for start in starts), duration=0)
    last = max(starts)
    counts = {since: sum(since <= start < since + window for start in starts) for since in range(-window, last + 1)}
    whole = {since: count for since, count in counts.items() if since >= 0 and since + window <= last + 1}
    whole = whole or {0: len(starts)}

    window_s = f"{window}us"
    assert throughput(at_most=bound, window=window_s)(history).passed == (max(counts.values()) <= bound)
    assert throughput(at_least=bound, window=window_s)(history).passed == (min(whole.values()) >= bound)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "throughput limits nothing; expected at_least, at_most or both, such as at_most=10."),
        ({"at_most": 1.5}, "at_most=1.5 is wrong; expected a whole number of at least 0."),
        ({"at_least": -1}, "at_least=-1 is wrong; expected a whole number of at least 0."),
        ({"at_most": 1, "window": 0}, "window=0 is zero; expected a duration above zero."),
        (
            {"at_most": 1, "where": len},
            f'where={len!r} goes with the name of a moment; expected of="service.called" or the like.',
        ),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    assert refusal(lambda: throughput(**options)) == message


def test_something_that_cannot_be_counted_is_refused_with_the_whole_vocabulary() -> None:
    message = refusal(lambda: throughput(at_most=1, of="task.start"))

    assert message.startswith("of='task.start' is unknown; expected one of: 'starts', 'completions', 'message.")
    assert message.endswith("'note.written'.")
