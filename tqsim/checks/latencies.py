"""How long tasks take: :func:`latency`, with the percentiles of :mod:`tqsim.history.percentiles`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tqsim.checks.arguments import call_text, choice, counted, duration_us
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import MICROSECONDS_PER_MILLISECOND, Duration, instant, text
from tqsim.errors import UsageError
from tqsim.history import History, TaskLife, percentile

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
        samples = sorted(_samples(history, lives, of), key=lambda sample: sample.value_us)
        if not samples:
            return Verdict()
        values = [sample.value_us for sample in samples]
        over = f"over {counted(len(values), 'value')}{_so_far(samples, of)}"
        violations: list[Violation] = []
        for label, percent, limit_us in limits:
            found_us = percentile(values, percent)
            if found_us > limit_us:
                found = samples[values.index(found_us)]
                measured = (
                    f"{label} of {of} is {_measured(found_us, limit_us)} {over}; expected at most {text(limit_us)}."
                )
                violations.append(Violation(found.life.id, measured, moments_at(history, *found.orders)))
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


class _Sample(NamedTuple):
    """How long one thing took, whose it is, and the indexes of the moments at both ends.

    What is still growing has the time so far.
    """

    value_us: int
    life: TaskLife
    orders: tuple[int | None, int | None]
    is_growing: bool


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
        raise UsageError('latency limits nothing; expected one or more of p50, p95, p99 and max, such as p95="10s".')
    return limits


def _measured(found_us: int, limit_us: int) -> str:
    """Return a value to the millisecond, unless it would then look as if it were within the limit."""
    return instant(found_us) if found_us - limit_us > MICROSECONDS_PER_MILLISECOND else text(found_us)


def _so_far(samples: Sequence[_Sample], of: str) -> str:
    """Say how many values are still growing, because the tables of a run count only what has ended."""
    growing = sum(sample.is_growing for sample in samples)
    if not growing:
        return ""
    which = "" if len(samples) == 1 else f"{growing} of them "
    return f", {which}not {'started' if of == 'wait' else 'ended'} yet"


def _samples(history: History, lives: Sequence[TaskLife], of: str) -> list[_Sample]:
    def sample(life: TaskLife, since_us: int, until_us: int | None, *orders: int | None) -> _Sample:
        value_us = (history.end_us if until_us is None else until_us) - since_us
        return _Sample(value_us, life, (orders[0], orders[1]), until_us is None)

    samples: list[_Sample] = []
    for life in lives:
        if of == "run":
            samples += [
                sample(life, run.started_us or 0, run.ended_us, run.started_order, run.ended_order) for run in life.runs
            ]
        elif of == "end_to_end":
            samples.append(sample(life, life.published_us, life.settled_us, life.first_order, life.settled_order))
        elif life.runs:
            first = life.runs[0]
            samples.append(sample(life, life.published_us, first.started_us, life.first_order, first.started_order))
        elif not life.is_terminal:
            samples.append(sample(life, life.published_us, None, life.first_order, life.last_order))
    return samples
