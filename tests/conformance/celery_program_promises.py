"""What Celery promises of every program, whatever the arm: :func:`broken_promises`.

It is a small model of the jobs that a client sends by themselves: how often each runs and how it ends.  Canvases are
left to the comparison of the arms.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.celery_program_records import Record
from tests.conformance.celery_program_strategies import promised_order
from tests.conformance.celery_programs import (
    ALPHA,
    Again,
    AutoRetry,
    Fail,
    Job,
    KillChild,
    KillWorker,
    Program,
    Retry,
    Return,
    Revoke,
    Send,
    Sleep,
    StopWorker,
)

__all__ = ["broken_promises"]

_RETRIES_BY_ITSELF: int = 2


def broken_promises(program: Program, record: Record, *, keeps_unacked: bool) -> list[str]:
    """Return what is broken, one line each; with ``keeps_unacked`` the broker keeps what a dead worker had taken."""
    return [
        *_early(record),
        *_unordered(program, record),
        *_left(program, record, keeps_unacked),
        *_ends(program, record),
    ]


def _early(record: Record) -> Iterator[str]:
    yield from (f"{run.alias} began {-(run.late_s or 0)} s before its ETA" for run in record.runs if run.is_early)


def _unordered(program: Program, record: Record) -> Iterator[str]:
    if any(job.priority is not None for job in program.jobs if job.queue == ALPHA):
        return
    order = promised_order(program)
    seen = record.first_runs(order)
    if seen != [alias for alias in order if alias in seen]:
        yield f"first runs in the order {seen}, sent in the order {order}"


def _left(program: Program, record: Record, keeps_unacked: bool) -> Iterator[str]:
    if keeps_unacked and program.has(KillWorker):
        return
    yield from (f"{queue} keeps {counts}" for queue, counts in record.queues.items() if counts != (0, 0))


def _ends(program: Program, record: Record) -> Iterator[str]:
    revoked = {step.alias for step in program.steps if isinstance(step, Revoke)}
    is_calm = not program.has(KillChild, KillWorker, StopWorker)
    for canvas in program.sent:
        if not isinstance(canvas, Job) or canvas.alias in revoked or canvas.expires_s is not None:
            continue
        if is_calm or canvas.queue != ALPHA:
            yield from _end(canvas, _count(program, canvas), record)


def _count(program: Program, job: Job) -> int:
    return sum(isinstance(step, Again) and step.job == job for step in program.steps) + program.steps.count(Send(job))


def _end(job: Job, count: int, record: Record) -> Iterator[str]:
    state, runs = _expected(job)
    if state is None:
        return
    ending = record.endings[job.alias]
    expected = "PENDING" if job.ignore_result else state
    if ending.state != expected:
        yield f"{job.alias} ended in {ending.state}, not in {expected}"
    if len(record.runs_of(job.alias)) != runs * count:
        yield f"{job.alias} ran {len(record.runs_of(job.alias))} times, not {runs * count}"


def _expected(job: Job) -> tuple[str | None, int]:
    """Return the state at the end and the number of runs of one message, if the model knows the deed."""
    match job.deed:
        case Return() | Sleep():
            return "SUCCESS", 1
        case Fail():
            return "FAILURE", 1
        case Retry(times, _, most):
            return ("SUCCESS", times + 1) if times <= most else ("FAILURE", most + 1)
        case AutoRetry(times):
            return ("SUCCESS", times + 1) if times <= _RETRIES_BY_ITSELF else ("FAILURE", _RETRIES_BY_ITSELF + 1)
    return None, 0
