"""Whether retries wait as long as they should: :func:`retry_delays`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from tqsim.checks.arguments import call_text, counted, duration_us
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import Duration, text
from tqsim.errors import UsageError
from tqsim.history import History, TaskLife

Range: TypeAlias = "tuple[Duration, Duration]"


def retry_delays(
    *,
    expected: Sequence[Duration] | None = None,
    within: Range | Sequence[Range] | None = None,
    tolerance: Duration = 0,
    task: TaskFilter = None,
    allow_empty: bool = False,
) -> Check:
    """The delay of every retry is as expected; it lasts from the end of a run to the start of the next.

    Give one of ``expected``, the delay of the first, second, ... retry, and ``within``, one (low, high) pair
    for every retry or a list with one pair per retry.  ``tolerance`` widens both on either side.  A
    retry beyond the end of a list is a violation; fewer retries are not.
    """
    one_pair, limits = _limits(expected, within)
    slack_us = duration_us(tolerance, "tolerance")

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        violations: list[Violation] = []
        judged = 0
        for life in lives:
            for before, after in life.retry_pairs:
                judged += 1
                number = before.retries + 1
                delay_us = (after.started_us or 0) - (before.ended_us or 0)
                wrong = _wrong(delay_us, number, limits, one_pair, slack_us)
                if wrong:
                    moments = moments_at(history, before.ended_order, after.started_order)
                    violations.append(Violation(life.id, wrong, moments))
        return Verdict(tuple(violations), judged)

    options = {"expected": expected, "within": within, "tolerance": tolerance or None}
    name = call_text("retry_delays", **options, task=task, allow_empty=allow_empty)
    return over_tasks(name, judge, task=task, allow_empty=allow_empty, needs="ran again after asking for a retry")


def _limits(
    expected: Sequence[Duration] | None, within: Range | Sequence[Range] | None
) -> tuple[bool, list[tuple[int, int]]]:
    if (expected is None) == (within is None):
        found = "both expected and within" if expected is not None else "neither expected nor within"
        raise UsageError(f"retry_delays has {found}; give one of them, such as expected=[1, 2, 4] or within=[0, 10].")
    if expected is not None:
        if isinstance(expected, str) or len(expected) == 0:
            raise UsageError(f"expected={expected!r} is wrong; expected a list of durations, one per retry.")
        exact = [duration_us(value, f"expected[{number}]") for number, value in enumerate(expected)]
        return False, [(value, value) for value in exact]
    if isinstance(within, Sequence) and within and not isinstance(within, str):
        if isinstance(within[0], (tuple, list)):
            return False, [_pair(value, f"within[{number}]") for number, value in enumerate(within)]
        return True, [_pair(within, "within")]
    raise _wrong_pair(within, "within")


def _pair(value: object, argument: str) -> tuple[int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise _wrong_pair(value, argument)
    low, high = duration_us(value[0], f"{argument}[0]"), duration_us(value[1], f"{argument}[1]")
    if low > high:
        raise _wrong_pair(value, argument)
    return low, high


def _wrong_pair(value: object, argument: str) -> UsageError:
    return UsageError(f"{argument}={value!r} is wrong; expected two durations, low first, such as [0, 10].")


def _wrong(delay_us: int, number: int, limits: Sequence[tuple[int, int]], one_pair: bool, slack_us: int) -> str:
    if not one_pair and number > len(limits):
        allowed = counted(len(limits), "retry", "retries")
        return f"retry {number} came after {text(delay_us)}; expected at most {allowed}."
    low, high = limits[0] if one_pair else limits[number - 1]
    if low - slack_us <= delay_us <= high + slack_us:
        return ""
    limit = text(low) if low == high else f"{text(low)} to {text(high)}"
    tolerance = f" with a tolerance of {text(slack_us)}" if slack_us else ""
    return f"retry {number} came after {text(delay_us)}; expected {limit}{tolerance}."
