"""Whether tasks run after their time: :func:`no_start_after_expiry`."""

from __future__ import annotations

from collections.abc import Sequence

from tqsim.checks.arguments import call_text
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import instant, text
from tqsim.history import Attempt, History, Publish, TaskLife


def no_start_after_expiry(*, task: TaskFilter = None, allow_empty: bool = False) -> Check:
    """No run starts after the instant at which its message expires.

    A retry whose message lost its expiry is held to the one of the first message.  A clock that jumps
    is not taken into account.
    """

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        violations: list[Violation] = []
        judged = 0
        for life in lives:
            if all(publish.expires_us is None for publish in life.publishes):
                continue
            judged += 1
            for run in life.runs:
                publish = _publish(life, run)
                late_us = (run.started_us or 0) - (publish.expires_us or 0)
                if publish.expires_us is not None and late_us > 0:
                    late = f"attempt {run.number} started {text(late_us)} after it had expired"
                    moments = moments_at(history, publish.order, run.received_order, run.started_order)
                    expired = f"{late} at {instant(publish.expires_us)}."
                    violations.append(Violation(life.id, expired, moments))
        return Verdict(tuple(violations), judged)

    name = call_text("no_start_after_expiry", task=task, allow_empty=allow_empty)
    return over_tasks(name, judge, task=task, allow_empty=allow_empty, needs="has an expiry")


def _publish(life: TaskLife, run: Attempt) -> Publish:
    before = [publish for publish in life.publishes if publish.order < (run.started_order or 0)]
    same = [publish for publish in before if publish.retries == run.retries]
    latest = (same or before or list(life.publishes))[-1]
    return latest if latest.expires_us is not None else life.publishes[0]
