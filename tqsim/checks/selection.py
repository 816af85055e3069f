"""Which tasks a check looks at, and the verdict when there are none.

The main name is :func:`over_tasks`, which makes a check out of a function of lives.  A check that finds
nothing to judge fails: it must not pass because a task's name was misspelt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from tqsim.checks.arguments import counted
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.errors import UsageError
from tqsim.history import History, Moment, TaskLife

TaskFilter: TypeAlias = "str | Callable[[TaskLife], bool] | None"
"""A task's name, a predicate over lives, or None for every task."""

ALLOW_EMPTY: Final = "set allow_empty to true if that is meant."
"""The remedy when nothing was judged, in words for Python and for a scenario file."""

Judge: TypeAlias = Callable[[History, Sequence[TaskLife]], Verdict]


def over_tasks(name: str, judge: Judge, *, task: TaskFilter, allow_empty: bool, needs: str = "") -> Check:
    """Return a check called ``name`` that judges the lives that ``task`` selects.

    ``needs`` says what a task must have to be judged, such as "asked for a retry": if tasks match but
    the verdict has judged none of them, the check fails too, unless ``allow_empty``.  Raises
    :class:`~tqsim.UsageError` if ``task`` is neither text, callable nor None.
    """
    if not (task is None or isinstance(task, str) or callable(task)):
        raise UsageError(f"task={task!r} is wrong; expected a task's name, a function of a TaskLife, or None.")

    def judged(history: History) -> Verdict:
        lives = _selected(history, task)
        if not lives:
            return Verdict() if allow_empty else _nothing(_no_match(history, task))
        verdict = judge(history, lives)
        if verdict.judged == 0 and verdict.passed and not allow_empty:
            matched = f"{counted(len(lives), 'task')} matched, but none {needs}"
            return _nothing(f"Nothing was judged: {matched}; {ALLOW_EMPTY}")
        return verdict

    return Check(name, judged)


def moments_at(history: History, *orders: int | None) -> tuple[Moment, ...]:
    """Return the moments with these indexes, in the order of the history, each once; None is left out."""
    indexes = sorted(dict.fromkeys(order for order in orders if order is not None))
    return tuple(history.moments[index] for index in indexes)


def _selected(history: History, task: TaskFilter) -> list[TaskLife]:
    if task is None or isinstance(task, str):
        return history.tasks(task)
    return [life for life in history.tasks() if task(life)]


def _nothing(text: str) -> Verdict:
    return Verdict((Violation(None, text),))


def _no_match(history: History, task: TaskFilter) -> str:
    names = sorted(dict.fromkeys(life.name for life in history.tasks()))
    known = f"known task names: {', '.join(names)}" if names else "this history has no tasks at all"
    if task is None:
        return f"Nothing was judged: {known}; {ALLOW_EMPTY}"
    wanted = f"named {task!r}" if isinstance(task, str) else "chosen by the function given as task="
    return f"Nothing was judged: no task {wanted} ({known}); {ALLOW_EMPTY}"
