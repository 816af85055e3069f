"""Whether tasks start in the order in which they were published: :func:`in_order`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from tqsim.checks.arguments import call_text, choice
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.errors import UsageError
from tqsim.history import Attempt, History, TaskLife

_BY = ("start", "success")


def in_order(
    *,
    key: Callable[[TaskLife], Hashable] | None = None,
    by: str = "start",
    task: TaskFilter = None,
    allow_empty: bool = False,
) -> Check:
    """Tasks with the same key start for the first time in the order of their first publish.

    Without ``key`` all tasks are one group; a task whose key is None has no order to keep.  With
    ``by="success"`` the order of the successes counts, so that a task overtaken while it is being retried
    is found.  Tasks that never got there are not judged: add :func:`~tqsim.checks.nothing_lost`.
    """
    choice(by, "by", _BY)
    if key is not None and not callable(key):
        raise UsageError(f"key={key!r} is wrong; expected a function of a TaskLife, or None.")

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        violations: list[Violation] = []
        latest: dict[Hashable, tuple[TaskLife, int]] = {}
        judged = 0
        for life in sorted(lives, key=_publish_order):
            group = "" if key is None else key(life)
            order = _reached(life, by)
            if group is None or order is None:
                continue
            judged += 1
            before = latest.get(group)
            if before is not None and order < before[1]:
                violations.append(_violation(history, life, before[0], order, before[1], by))
            else:
                latest[group] = (life, order)
        return Verdict(tuple(violations), judged)

    name = call_text("in_order", key=key, by=None if by == "start" else by, task=task, allow_empty=allow_empty)
    needs = "reached its start with a key" if by == "start" else "reached its success with a key"
    return over_tasks(name, judge, task=task, allow_empty=allow_empty, needs=needs)


def _publish_order(life: TaskLife) -> int:
    return life.publishes[0].order if life.publishes else life.first_order


def _reached(life: TaskLife, by: str) -> int | None:
    if by == "start":
        return life.runs[0].started_order if life.runs else None
    return next((run.ended_order for run in _by_end(life) if run.outcome == "succeeded"), None)


def _by_end(life: TaskLife) -> list[Attempt]:
    return sorted(life.runs, key=lambda run: float("inf") if run.ended_order is None else run.ended_order)


def _violation(history: History, life: TaskLife, before: TaskLife, order: int, before_order: int, by: str) -> Violation:
    verb = "started" if by == "start" else "succeeded"
    text = f"it {verb} before {before.id}, which was published earlier."
    orders = (_publish_order(before), _publish_order(life), order, before_order)
    return Violation(life.id, text, moments_at(history, *orders))
