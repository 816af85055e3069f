from __future__ import annotations

from typing import Any, cast

import pytest

from tests.unit.history.story import Story
from tests.unit.refusals import refusal
from tqsim.checks import Check, Verdict, Violation, exactly_once, no_overlap, nothing_lost, run_checks
from tqsim.errors import CheckFailed
from tqsim.history import History, Moment


def failure(history: History, *checks: Any) -> str:
    with pytest.raises(CheckFailed) as caught:
        run_checks(history, checks)
    return str(caught.value)


def usage(history: History, *checks: Any) -> str:
    return refusal(lambda: run_checks(history, checks))


def test_checks_that_pass_return_their_verdicts() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2)

    assert run_checks(story.history(), [nothing_lost(), exactly_once()]) == [Verdict((), 1), Verdict((), 1)]


def test_a_failure_names_the_check_the_task_its_moments_and_how_to_reproduce_it() -> None:
    story = Story().publish("a")
    story.run("a", 1, 3602.5)
    story.run("a", 3601, 3602, worker="w2", redelivered=True, child=5_000_002)

    assert failure(story.history(), nothing_lost(), no_overlap(task="shop.charge")) == (
        "no_overlap(task='shop.charge') failed: 1 violation.\n"
        "  shop.charge a: attempts 1 on w1 and 2 on w2 ran at the same time, from 1h 1s on.\n"
        "            1.0s  task.started        w1        delivery=1 child=5000001\n"
        "         1h 1.0s  task.started        w2        delivery=2 child=5000002\n"
        "         1h 2.0s  task.succeeded      w2        delivery=2\n"
        "         1h 2.5s  task.succeeded      w1        delivery=1\n"
        "Reproduce: pytest --tqsim-seed=7"
    )


def test_at_most_five_violations_are_shown() -> None:
    story = Story()
    for number in range(7):
        story.publish(f"t{number}")

    message = failure(story.history(), nothing_lost())

    assert message.splitlines()[0] == "nothing_lost() failed: 7 violations."
    assert message.splitlines()[-2:] == ["  and 2 more", "Reproduce: pytest --tqsim-seed=7"]
    assert [f"t{number}" in message for number in range(7)] == [True] * 5 + [False] * 2


def test_every_failed_check_is_reported() -> None:
    history = Story().publish("a").history()

    assert failure(history, nothing_lost(), no_overlap(), exactly_once()) == (
        "nothing_lost() failed: 1 violation.\n"
        "  shop.charge a: it still waits in queue 'celery'.\n"
        "              0s  task.published      client    queue=celery\n"
        "              0s  message.queued      broker    queue=celery\n"
        "exactly_once() failed: 1 violation.\n"
        "  shop.charge a: it never started, and its state is 'pending'.\n"
        "              0s  task.published      client    queue=celery\n"
        "              0s  message.queued      broker    queue=celery\n"
        "Reproduce: pytest --tqsim-seed=7"
    )


def test_many_moments_are_shortened_in_the_middle_and_long_texts_at_the_end() -> None:
    moments = tuple(
        Moment(at_us, "task.failed", "w1", f"t{at_us}", {"error": "x" * 70, "retries": at_us, "eta": 1.50})
        for at_us in range(1, 11)
    )
    check = Check("mine()", lambda history: Verdict((Violation("unknown", "it is odd.", moments),), 1))
    error = "x" * 57 + "..."

    def line(number: int) -> str:
        details = f"error={error} retries={number} eta=1.5s task_id=t{number}"
        return f"{number:>14}us  task.failed         w1        {details}"

    assert failure(History(Story().history().info), check).splitlines() == [
        "mine() failed: 1 violation.",
        "  unknown: it is odd.",
        *(line(number) for number in range(1, 5)),
        "    (2 moments left out)",
        *(line(number) for number in range(7, 11)),
        "Reproduce: pytest --tqsim-seed=7",
    ]


def test_any_function_from_a_history_to_a_verdict_is_a_check() -> None:
    def no_charge(history: History) -> Verdict:
        return Verdict((Violation(None, "Somebody charged."),), len(history.tasks()))

    assert failure(History(), no_charge) == (
        "no_charge failed: 1 violation.\n"
        "  Somebody charged.\n"
        "Reproduce: seed=None policy=fifo start=2030-01-01T00:00:00+00:00"
    )


def test_a_failed_check_is_an_assertion_error() -> None:
    with pytest.raises(AssertionError):
        run_checks(History(), [nothing_lost()])


def test_no_checks_are_refused() -> None:
    assert usage(History()) == ("checks=[] judges nothing; expected at least one check, such as nothing_lost().")


def test_a_factory_that_was_not_called_is_refused() -> None:
    assert usage(History(), nothing_lost) == (
        "checks[0]=nothing_lost is not a check; expected the result of a call such as nothing_lost()."
    )


def test_something_that_is_no_check_is_refused() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2)

    assert usage(story.history(), nothing_lost(), 3) == (
        "checks[1]=3 is not a check; expected the result of a call such as nothing_lost()."
    )


def test_a_check_that_gives_no_verdict_is_refused() -> None:
    def all_well(history: History) -> bool:
        return bool(history)

    assert usage(History(), cast("Any", all_well)) == "checks[0]=all_well returned True; expected a Verdict."


def test_a_history_that_is_switched_off_cannot_be_judged() -> None:
    assert usage(History(enabled=False), nothing_lost()) == (
        "This simulation keeps no history; open it with Simulation(..., history=True) to ask for moments, "
        "tasks, checks or a digest."
    )
