"""Reading verdicts in tests: :func:`texts` and :func:`times`."""

from __future__ import annotations

from tqsim.checks import Verdict

__all__ = ["texts", "times"]


def texts(verdict: Verdict) -> list[str]:
    """Return each violation as ``id: text``, or its text if it is about no single task."""
    return [item.text if item.task_id is None else f"{item.task_id}: {item.text}" for item in verdict.violations]


def times(verdict: Verdict, number: int = 0) -> list[tuple[float, str]]:
    """Return the time and the name of each moment of one violation."""
    return [(moment.at, moment.name) for moment in verdict.violations[number].moments]
