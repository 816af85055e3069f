"""Running checks, and the message when they fail.

The main name is :func:`run_checks`.  The message is for people: each failed check, at most five of its
violations with their moments, and one line that reproduces the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from tqsim.checks.arguments import counted
from tqsim.checks.details import details
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import column
from tqsim.errors import CheckFailed, UsageError
from tqsim.history import History, Moment

VIOLATIONS_SHOWN_MAX: Final = 5
MOMENTS_SHOWN_MAX: Final = 8


def run_checks(history: History, checks: Iterable[Callable[[History], Verdict]]) -> list[Verdict]:
    """Judge ``history`` by every check and return the verdicts, all passed.

    Raises :class:`~tqsim.CheckFailed` with every failed check, and :class:`~tqsim.UsageError` for no checks,
    for something that is not a check, and for a history that is switched off.
    """
    __tracebackhide__ = True  # pytest then shows the line that asked for the checks
    verdicts: list[Verdict] = []
    blocks: list[str] = []
    for number, check in enumerate(checks):
        verdict = _verdict(history, check, f"checks[{number}]")
        verdicts.append(verdict)
        if not verdict.passed:
            blocks.append(_block(history, _name(check), verdict))
    if not verdicts:
        raise UsageError("checks=[] judges nothing; expected at least one check, such as nothing_lost().")
    if blocks:
        raise CheckFailed("\n".join([*blocks, history.info.line]))
    return verdicts


def _verdict(history: History, check: Callable[[History], Verdict], argument: str) -> Verdict:
    __tracebackhide__ = True
    factory = getattr(check, "__module__", "").startswith("tqsim.checks.") and not isinstance(check, Check)
    if factory or not callable(check):
        name = _name(check)
        raise UsageError(f"{argument}={name} is not a check; expected the result of a call such as {_call(name)}.")
    verdict = check(history)
    if not isinstance(verdict, Verdict):
        raise UsageError(f"{argument}={_name(check)} returned {verdict!r}; expected a Verdict.")
    return verdict


def _call(name: str) -> str:
    return f"{name}()" if name.isidentifier() else "nothing_lost()"


def _name(check: object) -> str:
    if isinstance(check, Check):
        return check.name
    name = getattr(check, "__name__", None)
    return name if isinstance(name, str) else repr(check)


def _block(history: History, name: str, verdict: Verdict) -> str:
    count = len(verdict.violations)
    lines = [f"{name} failed: {counted(count, 'violation')}."]
    for violation in verdict.violations[:VIOLATIONS_SHOWN_MAX]:
        lines += _violation_lines(history, violation)
    if count > VIOLATIONS_SHOWN_MAX:
        lines.append(f"  and {count - VIOLATIONS_SHOWN_MAX} more")
    return "\n".join(lines)


def _violation_lines(history: History, violation: Violation) -> list[str]:
    subject = "" if violation.task_id is None else f"{_subject(history, violation.task_id)}: "
    times = column([moment.at_us for moment in violation.moments])
    lines = [
        _moment_line(moment, time, history.start, violation.task_id)
        for moment, time in zip(violation.moments, times, strict=True)
    ]
    if len(lines) > MOMENTS_SHOWN_MAX:
        half = MOMENTS_SHOWN_MAX // 2
        lines[half:-half] = [f"    ({counted(len(lines) - 2 * half, 'moment')} left out)"]
    return [f"  {subject}{violation.text}", *lines]


def _subject(history: History, task_id: str) -> str:
    try:
        name = history.task(task_id).name
    except UsageError:
        return task_id
    return f"{name} {task_id}".lstrip()


def _moment_line(moment: Moment, time: str, start: str, task_id: str | None) -> str:
    said = details(moment, start)
    whose = f"task_id={moment.task_id}" if moment.task_id not in (None, task_id) else ""
    where = moment.process or "broker"
    return f"    {time:>12}  {moment.name:<18}  {where:<8}  {said} {whose}".rstrip()
