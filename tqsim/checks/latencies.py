"""How long tasks take: :func:`latency`, with the percentiles of :mod:`tqsim.history.percentiles`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tqsim.checks.arguments import call_text, choice, counted, duration_us
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import Duration, text
from tqsim.errors import UsageError
from tqsim.history import History, Moment, TaskLife, percentile

_PERCENTS: Final = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
_OF: Final = ("wait", "run", "end_to_end")


def latency(
    *,
    p50: Duration | None = None,
    p95: Duration | None = None,
    p99: Duration | None = None,
    max: Duration | None = None,  # noqa: A002  (the word for it, and the function is not needed here)
    percentiles: Mapping[float, Duration] | None = None,
    of: str = "wait",
    task: TaskFilter = None,
    allow_empty: bool = False,
) -> Check:
    """The given percentiles (nearest rank) are at most the given durations.

    ``of="wait"`` is from a task's first publish to its first start, ``"end_to_end"`` to its terminal state,
    ``"run"`` from the start to the end of each run.  What has not ended counts with the time that it took
    so far: a task that starves cannot hide.  ``percentiles`` maps others, such as 99.9.
    """
    choice(of, "of", _OF)
    limits = _limits({"p50": p50, "p95": p95, "p99": p99, "max": max}, percentiles or {})

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        samples = sorted(_samples(history, lives, of), key=lambda sample: sample[0])
        if not samples:
            return Verdict()
        values = [value_us for value_us, _, _ in samples]
        violations: list[Violation] = []
        for label, percent, limit_us in limits:
            found_us = percentile(values, percent)
            if found_us > limit_us:
                _, life, orders = samples[values.index(found_us)]
                measured = f"{label} of {of} is {text(found_us)} over {counted(len(values), 'value')}"
                moments: tuple[Moment, ...] = moments_at(history, *orders)
                violations.append(Violation(life.id, f"{measured}; expected at most {text(limit_us)}.", moments))
        return Verdict(tuple(violations), len(values))

    name = call_text(
        "latency",
        p50=p50,
        p95=p95,
        p99=p99,
        max=max,
        percentiles=percentiles,
        of=of,
        task=task,
        allow_empty=allow_empty,
    )
    return over_tasks(name, judge, task=task, allow_empty=allow_empty, needs="started")


# Label, percent, microseconds.
_Limit = tuple[str, float, int]

# Microseconds, whose, and the indexes of the moments at both ends.
_Sample = tuple[int, TaskLife, tuple[int | None, int | None]]


def _limits(named: Mapping[str, Duration | None], percentiles: Mapping[float, Duration]) -> list[_Limit]:
    limits: list[_Limit] = []
    for label, limit in named.items():
        if limit is not None:
            limits.append((label, _PERCENTS[label], duration_us(limit, label)))
    for percent, limit in percentiles.items():
        if not 0 < percent <= 100:
            raise UsageError(
                f"percentiles={percentiles!r} has the percentile {percent!r}; expected numbers above 0 and at most 100."
            )
        limits.append((f"p{percent:g}", percent, duration_us(limit, f"percentiles[{percent!r}]")))
    if not limits:
        raise UsageError('latency() limits nothing; expected p50, p95, p99, max or percentiles, such as p95="10s".')
    return limits


def _samples(history: History, lives: Sequence[TaskLife], of: str) -> list[_Sample]:
    end_us = history.end_us
    samples: list[_Sample] = []
    for life in lives:
        runs = life.runs
        if of == "run":
            for run in runs:
                until_us = end_us if run.ended_us is None else run.ended_us
                samples.append((until_us - (run.started_us or 0), life, (run.started_order, run.ended_order)))
        elif of == "end_to_end":
            until_us = end_us if life.settled_us is None else life.settled_us
            samples.append((until_us - life.published_us, life, (life.first_order, life.settled_order)))
        elif runs:
            started_us = runs[0].started_us or 0
            samples.append((started_us - life.published_us, life, (life.first_order, runs[0].started_order)))
        elif not life.is_terminal:
            samples.append((end_us - life.published_us, life, (life.first_order, life.last_order)))
    return samples
