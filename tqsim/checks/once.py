"""How often a task may run: :func:`exactly_once` and :func:`at_most_runs`."""

from __future__ import annotations

from collections.abc import Sequence

from tqsim.checks.arguments import call_text, whole_number
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.history import Attempt, History, Moment, TaskLife


def exactly_once(*, task: TaskFilter = None, allow_empty: bool = False) -> Check:
    """Every task succeeds exactly once, and none of its runs starts after the success."""

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        violations: list[Violation] = []
        for life in lives:
            text = _once(life)
            if text:
                violations.append(Violation(life.id, text, _moments(history, life.runs) or _first(history, life)))
        return Verdict(tuple(violations), len(lives))

    name = call_text("exactly_once", task=task, allow_empty=allow_empty)
    return over_tasks(name, judge, task=task, allow_empty=allow_empty)


def at_most_runs(n: int, *, task: TaskFilter = None, allow_empty: bool = False) -> Check:
    """No task starts more than ``n`` times, retries and redeliveries included."""
    whole_number(n, "n")

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        violations = [
            Violation(
                life.id,
                f"it started {_times(len(life.runs))}; expected at most {n}.",
                _moments(history, life.runs),
            )
            for life in lives
            if len(life.runs) > n
        ]
        return Verdict(tuple(violations), len(lives))

    name = call_text("at_most_runs", n, task=task, allow_empty=allow_empty)
    return over_tasks(name, judge, task=task, allow_empty=allow_empty)


def _once(life: TaskLife) -> str:
    runs = life.runs
    successes = [run for run in runs if run.outcome == "succeeded"]
    if not runs:
        return f"it never started, and its state is {life.state!r}."
    if not successes:
        return f"it never succeeded; it started {_times(len(runs))}, and its state is {life.state!r}."
    if len(successes) > 1:
        return f"it succeeded {_times(len(successes))}; expected exactly once."
    success = successes[0]
    late = [run for run in runs if (run.started_order or 0) > (success.ended_order or 0)]
    if late:
        return f"it started again after it had succeeded, {_times(len(late))}."
    return ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _moments(history: History, runs: Sequence[Attempt]) -> tuple[Moment, ...]:
    return moments_at(history, *(order for run in runs for order in (run.started_order, run.ended_order)))


def _first(history: History, life: TaskLife) -> tuple[Moment, ...]:
    return moments_at(history, life.first_order, life.last_order)
