from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tqsim.checks import no_overlap


def test_a_second_run_during_the_first_is_found() -> None:
    story = Story().publish("a")
    story.run("a", 1, 9)
    story.run("a", 4, 5, worker="w2", redelivered=True)

    verdict = no_overlap()(story.history())

    assert texts(verdict) == ["a: attempts 1 on w1 and 2 on w2 ran at the same time, from 4s on."]
    assert times(verdict) == [
        (1, "task.started"),
        (4, "task.started"),
        (5, "task.succeeded"),
        (9, "task.succeeded"),
    ]


def test_every_later_run_is_compared_with_the_one_that_lasts_longest() -> None:
    story = Story().publish("a")
    story.run("a", 1, 20)
    story.run("a", 2, 3, worker="w2")
    story.run("a", 10, worker="w3")

    assert texts(no_overlap()(story.history())) == [
        "a: attempts 1 on w1 and 2 on w2 ran at the same time, from 2s on.",
        "a: attempts 1 on w1 and 3 on w3 ran at the same time, from 10s on.",
    ]


def test_a_run_that_has_not_ended_overlaps_with_all_that_follow() -> None:
    story = Story().publish("a")
    story.run("a", 1)
    story.run("a", 50, 51, worker="w2")

    assert texts(no_overlap()(story.history())) == [
        "a: attempts 1 on w1 and 2 on w2 ran at the same time, from 50s on."
    ]


def test_a_run_may_start_at_the_instant_at_which_another_ends() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2, "failed")
    story.run("a", 2, 3)

    assert no_overlap()(story.history()).passed


def test_two_runs_that_interleave_within_one_instant_overlap() -> None:
    story = Story().publish("a")
    first = story.run("a", 1)
    story.run("a", 1, 1, worker="w2")
    story.tell(1, "task.succeeded", "w1", "a", delivery=first)

    assert not no_overlap()(story.history()).passed


def test_a_run_ends_with_the_death_of_its_worker() -> None:
    story = Story().publish("a")
    story.run("a", 1)
    story.tell(3, "process.killed", "w1")
    story.run("a", 3, 5, worker="w2", redelivered=True)

    assert no_overlap()(story.history()).passed


def test_different_tasks_may_overlap() -> None:
    story = Story().publish("a").publish("b")
    story.run("a", 1, 9)
    story.run("b", 1, 9)

    assert no_overlap()(story.history()).passed


@given(
    spans=st.lists(
        st.tuples(st.integers(1, 20), st.integers(1, 5)),
        min_size=1,
        max_size=5,
        unique_by=lambda span: span[0],
    )
)
def test_the_check_agrees_with_comparing_every_pair(spans: list[tuple[int, int]]) -> None:
    story = Story().publish("a")
    # Starts are even and ends odd numbers of seconds, so that nothing happens at one instant.
    runs = [(2 * start, 2 * (start + length) + 1) for start, length in spans]
    for number, (start, end) in enumerate(runs):
        story.run("a", start, end, worker=f"w{number}")

    pairs = [(one, other) for one in runs for other in runs if one < other and other[0] < one[1]]
    assert no_overlap()(story.history()).passed == (not pairs)
