"""Reading verdicts in tests: :func:`texts`, :func:`times` and :func:`refusal`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tqsim.checks import Check, Verdict
from tqsim.errors import UsageError

__all__ = ["refusal", "texts", "times"]


def texts(verdict: Verdict) -> list[str]:
    """Return each violation as ``id: text``, or its text if it is about no single task."""
    return [item.text if item.task_id is None else f"{item.task_id}: {item.text}" for item in verdict.violations]


def times(verdict: Verdict, number: int = 0) -> list[tuple[float, str]]:
    """Return the time and the name of each moment of one violation."""
    return [(moment.at, moment.name) for moment in verdict.violations[number].moments]


def refusal(make: Callable[[], Check]) -> str:
    """Return the message with which a factory refuses its arguments."""
    with pytest.raises(UsageError) as caught:
        make()
    return str(caught.value)
