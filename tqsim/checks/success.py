"""How many tasks succeed: :func:`succeeded`."""

from __future__ import annotations

from collections.abc import Sequence

from tqsim.checks.arguments import call_text, counted, fraction
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.history import History, TaskLife


def succeeded(*, at_least: float = 1.0, task: TaskFilter = None, allow_empty: bool = False) -> Check:
    """At least this fraction of the tasks, above 0 and at most 1, has succeeded."""
    wanted = fraction(at_least, "at_least")

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        others = [life for life in lives if life.state != "succeeded"]
        count = len(lives) - len(others)
        if count >= wanted * len(lives):
            return Verdict(judged=len(lives))
        ratio = f"{count} of {counted(len(lives), 'task')} succeeded ({count / len(lives):.4g})"
        total = Violation(None, f"{ratio}; expected at least {at_least:g}.")
        return Verdict((total, *(_violation(history, life) for life in others)), len(lives))

    name = call_text("succeeded", at_least=at_least, task=task, allow_empty=allow_empty)
    return over_tasks(name, judge, task=task, allow_empty=allow_empty)


def _violation(history: History, life: TaskLife) -> Violation:
    error = next((attempt.error for attempt in reversed(life.attempts) if attempt.error), None)
    reason = f" ({error})" if error else ""
    return Violation(
        life.id,
        f"its state is {life.state!r}{reason}.",
        moments_at(history, life.first_order, life.last_order),
    )
