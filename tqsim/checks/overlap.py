"""Whether two runs of one task overlap: :func:`no_overlap`."""

from __future__ import annotations

from collections.abc import Sequence

from tqsim.checks.arguments import call_text
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import instant
from tqsim.history import Attempt, History, TaskLife


def no_overlap(*, task: TaskFilter = None, allow_empty: bool = False) -> Check:
    """No two runs of one task id run at the same time.

    A run that was cut off ends when its process or its child died.  What happens at one instant is
    ordered as recorded, so a run may start at the instant in which the one before it ends.
    """

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        violations: list[Violation] = []
        for life in lives:
            violations += _overlaps(history, life)
        return Verdict(tuple(violations), len(lives))

    name = call_text("no_overlap", task=task, allow_empty=allow_empty)
    return over_tasks(name, judge, task=task, allow_empty=allow_empty)


def _overlaps(history: History, life: TaskLife) -> list[Violation]:
    violations: list[Violation] = []
    longest: Attempt | None = None
    for run in life.runs:
        if longest is not None and (run.started_order or 0) < _end(longest):
            orders = (longest.started_order, run.started_order, longest.ended_order, run.ended_order)
            since = instant(run.started_us or 0)
            pair = f"attempts {longest.number} on {longest.worker} and {run.number} on {run.worker}"
            violations.append(
                Violation(life.id, f"{pair} ran at the same time, from {since} on.", moments_at(history, *orders))
            )
        if longest is None or _end(run) > _end(longest):
            longest = run
    return violations


def _end(run: Attempt) -> float:
    return float("inf") if run.ended_order is None else run.ended_order
