"""The numbers of a run, as plain data: :func:`summary` makes a :class:`Summary` of a history.

Durations are integer microseconds; percentiles are by nearest rank (:mod:`tqsim.history.percentiles`).  How
the numbers look on a screen is left to :mod:`tqsim.report.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tqsim.faults import REPAIRS
from tqsim.history import History, RunInfo, TaskLife, percentile
from tqsim.history.moments import FAULT_INSTALLED, FAULT_STRUCK

_PROCESS_STARTS: Final = ("process.started", "process.restarted")
_PROCESS_ENDS: Final = ("process.stopped", "process.killed", "process.crashed")
_UNFINISHED: Final = ("pending", "running", "retried")


@dataclass(frozen=True, slots=True)
class Spread:
    """How a duration is spread over ``count`` values, in microseconds."""

    count: int
    p50_us: int
    p95_us: int
    p99_us: int
    max_us: int


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """The tasks of one name.

    ``published``, ``succeeded``, ``failed``, ``lost``, ``waiting`` (pending, running or to be retried) and
    ``discarded`` (rejected, ignored, revoked, terminated) count ids; ``runs`` and ``retried`` count runs.
    The spreads are over what has ended, and None if nothing has.
    """

    name: str
    published: int
    runs: int
    succeeded: int
    failed: int
    retried: int
    lost: int
    waiting: int
    discarded: int
    wait: Spread | None
    run: Spread | None
    end_to_end: Spread | None


@dataclass(frozen=True, slots=True)
class WorkerSummary:
    """One worker: how much it ran, and how much it could have.

    ``capacity_us`` is slots times the time between start and end, over all of its lives; ``slots`` and
    ``utilisation`` are None if nothing recorded the worker's ``concurrency``.
    """

    name: str
    slots: int | None
    runs: int
    busy_us: int
    capacity_us: int

    @property
    def utilisation(self) -> float | None:
        """The part of the capacity that was busy, between 0 and 1."""
        return self.busy_us / self.capacity_us if self.capacity_us else None


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """One queue: messages taken, and the depth of ready messages, largest and averaged over the run."""

    name: str
    queued: int
    depth_max: int
    depth_mean: float


@dataclass(frozen=True, slots=True)
class FaultSummary:
    """One stroke of a fault: when it came, and when it was repaired; None for what has not happened."""

    name: str
    struck_us: int | None = None
    repaired_us: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers.  Tasks are in order of name, the rest in order of appearance."""

    info: RunInfo
    moments: int
    end_us: int
    tasks: tuple[TaskSummary, ...]
    workers: tuple[WorkerSummary, ...]
    queues: tuple[QueueSummary, ...]
    faults: tuple[FaultSummary, ...] = ()


def summary(history: History) -> Summary:
    """Return the numbers of a history, which must be recorded (:class:`~tqsim.UsageError` otherwise)."""
    lives = history.tasks()
    by_name: dict[str, list[TaskLife]] = {}
    for life in lives:
        by_name.setdefault(life.name, []).append(life)
    return Summary(
        info=history.info,
        moments=len(history.moments),
        end_us=history.end_us,
        tasks=tuple(_task(name, by_name[name]) for name in sorted(by_name)),
        workers=_workers(history, lives),
        queues=_queues(history),
        faults=_faults(history),
    )


def _task(name: str, lives: Sequence[TaskLife]) -> TaskSummary:
    states = [life.state for life in lives]
    runs = [run for life in lives for run in life.runs]
    succeeded, failed, lost = (states.count(word) for word in ("succeeded", "failed", "lost"))
    waiting = sum(state in _UNFINISHED for state in states)
    return TaskSummary(
        name=name,
        published=len(lives),
        runs=len(runs),
        succeeded=succeeded,
        failed=failed,
        retried=sum(run.outcome == "retried" for run in runs),
        lost=lost,
        waiting=waiting,
        discarded=len(lives) - succeeded - failed - lost - waiting,
        wait=_spread(life.wait_us for life in lives),
        run=_spread(run.duration_us for run in runs),
        end_to_end=_spread(life.duration_us for life in lives),
    )


def _spread(values: Iterable[int | None]) -> Spread | None:
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return None
    return Spread(
        count=len(ordered),
        p50_us=percentile(ordered, 50),
        p95_us=percentile(ordered, 95),
        p99_us=percentile(ordered, 99),
        max_us=ordered[-1],
    )


def _workers(history: History, lives: Sequence[TaskLife]) -> tuple[WorkerSummary, ...]:
    end_us = history.end_us
    busy_us: dict[str, int] = {}
    runs: dict[str, int] = {}
    for life in lives:
        for run in life.runs:
            until_us = end_us if run.ended_us is None else run.ended_us
            busy_us[run.worker] = busy_us.get(run.worker, 0) + until_us - (run.started_us or 0)
            runs[run.worker] = runs.get(run.worker, 0) + 1
    slots, capacity_us = _capacity(history)
    return tuple(
        WorkerSummary(
            name=name,
            slots=slots.get(name),
            runs=runs.get(name, 0),
            busy_us=busy_us.get(name, 0),
            capacity_us=capacity_us.get(name, 0),
        )
        for name in history.processes()
        if name in slots or name in runs
    )


def _capacity(history: History) -> tuple[dict[str, int], dict[str, int]]:
    """Return the slots and the slot time of each worker, by name."""
    slots: dict[str, int] = {}
    capacity_us: dict[str, int] = {}
    since_us: dict[str, int] = {}
    for moment in history.moments_named(*_PROCESS_STARTS, *_PROCESS_ENDS):
        name = moment.process
        if name in since_us:
            lived_us = moment.at_us - since_us.pop(name)
            capacity_us[name] = capacity_us.get(name, 0) + lived_us * slots[name]
        concurrency = moment.fields.get("concurrency")
        if moment.name in _PROCESS_STARTS and isinstance(concurrency, int) and concurrency > 0:
            slots[name] = concurrency
            since_us[name] = moment.at_us
    for name, started_us in since_us.items():
        capacity_us[name] = capacity_us.get(name, 0) + (history.end_us - started_us) * slots[name]
    return slots, capacity_us


def _queues(history: History) -> tuple[QueueSummary, ...]:
    found = (history.queue(name) for name in history.queues())
    return tuple(
        QueueSummary(life.name, life.queued, life.depth_max, life.depth_mean(history.end_us)) for life in found
    )


def _faults(history: History) -> tuple[FaultSummary, ...]:
    """Return the strokes in order; two of one fault are told apart by their order."""
    strokes: list[FaultSummary] = []
    for moment in history.moments_named(FAULT_INSTALLED, FAULT_STRUCK):
        name, verb = str(moment.fields["fault"]), moment.fields.get("verb")
        if verb is None:
            strokes.append(FaultSummary(name))
            continue
        what = "repaired_us" if verb in REPAIRS else "struck_us"
        when: dict[str, Any] = {what: moment.at_us}
        for number, stroke in enumerate(strokes):
            if stroke.name == name and getattr(stroke, what) is None:
                strokes[number] = replace(stroke, **when)
                break
        else:
            strokes.append(FaultSummary(name, **when))
    return tuple(strokes)
