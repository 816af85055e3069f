from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest

from tests.unit.history.story import INFO, Story
from tqsim.errors import ClosedError, InternalError, UsageError
from tqsim.history import History, Moment, RunInfo

SWITCHED_OFF = (
    "This simulation keeps no history; open it with Simulation(..., history=True) to ask for "
    "moments, tasks, checks or a digest."
)


def test_a_moment_has_time_name_process_task_and_fields() -> None:
    history = History()
    history.record("task.started", at_us=1_500_000, process="w1", task_id="a", delivery=3, child=5_000_001)

    moment = history.moments[0]

    assert moment == Moment(1_500_000, "task.started", "w1", "a", {"delivery": 3, "child": 5_000_001})
    assert moment.at == 1.5


def test_moments_are_a_sequence_that_grows_with_the_run() -> None:
    history = History()
    view = history.moments
    for at_us in range(5):
        history.record("note.written", at_us=at_us)

    assert len(view) == len(history) == 5
    assert view[-1].at_us == 4
    assert [moment.at_us for moment in view[1:4:2]] == [1, 3]
    assert [moment.at_us for moment in view] == [0, 1, 2, 3, 4]
    assert repr(view) == "<5 moments>"


def test_a_field_may_have_the_name_of_an_argument() -> None:
    history = History()
    history.record("note.written", at_us=0, name="field", self="too")

    assert history.moments[0].fields == {"name": "field", "self": "too"}


def test_what_happens_to_a_value_later_does_not_change_the_record() -> None:
    history = History()
    numbers = [1, 2]
    history.record("note.written", at_us=0, numbers=numbers, when=datetime.timedelta(seconds=1), ratio=0.5)
    numbers.append(3)

    assert history.moments[0].fields == {"numbers": [1, 2], "when": 1.0, "ratio": 0.5}


def test_infinite_floats_become_text() -> None:
    history = History()
    history.record("note.written", at_us=0, low=float("-inf"), none=float("nan"))

    assert history.moments[0].fields == {"low": "-inf", "none": "nan"}


def test_an_unknown_moment_is_our_own_bug() -> None:
    with pytest.raises(InternalError) as caught:
        History().record("task.dreamt", at_us=0)

    assert str(caught.value) == "'task.dreamt' is not a moment; expected a name of tqsim.history.MOMENTS."


def test_nothing_is_recorded_after_the_end() -> None:
    history = History()
    history.record("note.written", at_us=1_000_000)
    history.seal(at_us=2_500_000)
    history.seal(at_us=9_000_000)

    with pytest.raises(ClosedError) as caught:
        history.record("task.started", at_us=3_000_000)

    assert str(caught.value) == (
        "task.started cannot be recorded: the history was sealed at 2.5s of virtual time, when the "
        "simulation ended; record only while it is open."
    )
    assert history.is_sealed
    assert (history.end, len(history)) == (2.5, 1)


def test_the_end_is_the_last_moment_until_the_history_is_sealed() -> None:
    history = History()
    assert history.end_us == 0
    history.record("note.written", at_us=7)
    assert history.end_us == 7
    history.seal()
    assert history.end_us == 7


def test_a_history_that_is_switched_off_says_how_to_switch_it_on() -> None:
    history = History(enabled=False)
    history.record("note.written", at_us=0)
    history.seal()
    history.record("note.written", at_us=0)

    questions: list[Callable[[], object]] = [
        lambda: history.moments,
        lambda: history.digest,
        lambda: history.end,
        lambda: history.save("never"),
        lambda: len(history),
        history.tasks,
        history.queues,
        history.processes,
        lambda: history.task("a"),
        lambda: history.moments_of("a"),
        lambda: history.moments_named("task.started"),
    ]
    for question in questions:
        with pytest.raises(UsageError) as caught:
            question()
        assert str(caught.value) == SWITCHED_OFF
    assert not history.is_enabled
    assert repr(history) == "<History of 0 moments, switched off>"


def test_moments_are_found_by_name() -> None:
    history = Story().publish("a").history()

    assert [moment.name for moment in history.moments_named("message.queued", "task.published")] == [
        "task.published",
        "message.queued",
    ]


def test_a_name_outside_the_vocabulary_is_refused_instead_of_finding_nothing() -> None:
    with pytest.raises(UsageError) as caught:
        History().moments_named("task.start")

    assert str(caught.value) == "name='task.start' is not a moment; expected a name of tqsim.history.MOMENTS."


def test_moments_are_found_by_task() -> None:
    history = Story().publish("a").publish("b", 1).history()

    assert [moment.name for moment in history.moments_of("b")] == [
        "task.published",
        "message.published",
        "message.queued",
    ]
    assert history.moments_of("c") == []


def test_processes_are_listed_in_the_order_of_appearance() -> None:
    history = Story().worker("w2").worker("w1").publish("a", 1).history()

    assert history.processes() == ["w2", "w1", "client"]


def test_an_unknown_task_or_queue_is_refused() -> None:
    history = Story().publish("a").publish("b", queue="mail").history()

    with pytest.raises(UsageError) as no_task:
        history.task("c")
    with pytest.raises(UsageError) as no_queue:
        history.queue("male")

    assert str(no_task.value) == (
        "task_id='c' is not in this history; expected the id of a task of this run, see history.tasks()."
    )
    assert str(no_queue.value) == "name='male' is not a queue of this history; expected one of: celery, mail."


def test_the_digest_is_the_same_in_every_interpreter() -> None:
    # Computed once, with: tail -n +2 FILE | sha256sum.  It changes with the format of files only.
    history = Story().worker().publish("a", args="(1,)").history()

    assert history.digest == "e33e3fa0ee72e503"


def test_the_digest_grows_with_the_history_and_does_not_depend_on_when_it_is_asked() -> None:
    asked, not_asked = History(), History()
    digests = []
    for at_us in range(3):
        asked.record("note.written", at_us=at_us, text="x")
        not_asked.record("note.written", at_us=at_us, text="x")
        digests.append(asked.digest)

    assert len(dict.fromkeys(digests)) == 3
    assert not_asked.digest == asked.digest == digests[-1]


def test_the_digest_does_not_depend_on_the_order_of_fields_or_on_the_run_s_circumstances() -> None:
    one, other = History(RunInfo(seed=1)), History(RunInfo(seed=2))
    one.record("note.written", at_us=0, a=1, b=2)
    other.record("note.written", at_us=0, b=2, a=1)

    assert one.digest == other.digest


@pytest.mark.parametrize(
    "changed",
    [
        {"at_us": 1},
        {"process": "w2"},
        {"task_id": "b"},
        {"delivery": 2},
        {"delivery": "1"},
        {"extra": None},
    ],
)
def test_the_digest_depends_on_everything_in_a_moment(changed: dict[str, object]) -> None:
    moment: dict[str, object] = {"at_us": 0, "process": "w1", "task_id": "a", "delivery": 1}
    one, other = History(), History()
    one.record("task.started", **moment)  # type: ignore[arg-type]
    other.record("task.started", **{**moment, **changed})  # type: ignore[arg-type]

    assert one.digest != other.digest


def test_the_run_s_line_is_the_given_reproduction() -> None:
    assert INFO.line == "Reproduce: pytest --tqsim-seed=7"


def test_without_a_given_reproduction_the_line_lists_what_is_known() -> None:
    info = RunInfo(seed=3, policy="random", versions={"tqsim": "0.1.0", "celery": "5.7.0"})

    assert info.line == ("Reproduce: seed=3 policy=random start=2030-01-01T00:00:00+00:00 celery=5.7.0 tqsim=0.1.0")


def test_a_start_that_is_no_instant_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        RunInfo(start="tomorrow")

    assert str(caught.value) == (
        "start='tomorrow' is not an instant; expected ISO text such as \"2030-01-01T00:00:00+00:00\"."
    )


def test_a_history_is_true_even_when_it_is_empty() -> None:
    history = History()

    assert history
    assert repr(history) == "<History of 0 moments, open>"
    assert history.start == "2030-01-01T00:00:00+00:00"
