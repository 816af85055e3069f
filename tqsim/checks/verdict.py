"""Checks and what they say.

The main name is :class:`Check`: a name and a pure function from a history to a :class:`Verdict`, which is
passed or holds :class:`Violation` objects.  Checks are composed, not subclassed: whatever maps a
:class:`~tqsim.history.History` to a verdict can be used where a check is expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tqsim.history import History, Moment


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise: whose (``task_id`` is None if no single task is to blame), what, and when."""

    task_id: str | None
    text: str
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found.  ``judged`` counts what it looked at: tasks, runs, windows or queues."""

    violations: tuple[Violation, ...] = ()
    judged: int = 0

    @property
    def passed(self) -> bool:
        """Whether nothing was violated."""
        return not self.violations


@dataclass(frozen=True, slots=True)
class Check:
    """A named, pure function of a history.  ``name`` reads like the call, or the table of a file, that made it."""

    name: str
    judge: Callable[[History], Verdict]

    def __call__(self, history: History) -> Verdict:
        """Judge a history; it must be recorded, that is, not switched off."""
        return self.judge(history)

    def __repr__(self) -> str:
        return self.name
