"""Whether every published task came to an end: :func:`nothing_lost`."""

from __future__ import annotations

from collections.abc import Sequence

from tqsim.checks.arguments import call_text
from tqsim.checks.selection import TaskFilter, moments_at, over_tasks
from tqsim.checks.verdict import Check, Verdict, Violation
from tqsim.durations import instant
from tqsim.history import Attempt, History, Moment, TaskLife


def nothing_lost(*, task: TaskFilter = None, worker_lost_is_failure: bool = False, allow_empty: bool = False) -> Check:
    """Every task reaches a terminal state.

    A task that still waits, runs or is scheduled at the end is reported too, with its last moment: let
    the simulation run until it is idle first.  A task whose last run was cut off by the death of its
    child counts as lost although Celery marks it as failed (``WorkerLostError``), because nobody runs it
    again; ``worker_lost_is_failure=True`` takes Celery's word instead.
    """

    def judge(history: History, lives: Sequence[TaskLife]) -> Verdict:
        violations: list[Violation] = []
        for life in lives:
            last = life.attempts[-1] if life.attempts else None
            cut_off = last is not None and last.outcome == "lost" and life.state == "failed"
            if life.is_terminal and (worker_lost_is_failure or not cut_off):
                continue
            text = _unknown(history, life) or _explained(life, last)
            violations.append(Violation(life.id, text, _moments(history, life, last)))
        return Verdict(tuple(violations), len(lives))

    name = call_text("nothing_lost", task=task, worker_lost_is_failure=worker_lost_is_failure, allow_empty=allow_empty)
    return over_tasks(name, judge, task=task, allow_empty=allow_empty)


def _unknown(history: History, life: TaskLife) -> str | None:
    """Why a task was given up before it could begin: its name is not registered."""
    if life.state != "lost" or life.attempts:
        return None
    workers = [moment.process for moment in history.moments_of(life.id) if moment.name == "task.unknown"]
    if not workers:
        return None
    return f"it is lost, {workers[-1]} knows no task of that name and rejected it: is its module imported there?"


def _explained(life: TaskLife, last: Attempt | None) -> str:
    if last is not None and last.outcome == "lost":
        death = f"attempt {last.number} on {last.worker} was cut off"
        if life.state == "failed":
            return f"{death}; it was marked failed, and nobody runs it again."
        if life.state == "lost":
            return f"{death}; it is lost, nothing holds it any more."
        return f"{death}; it waits to be delivered again."
    if life.state == "lost":
        return "it is lost, nothing holds it any more."
    if life.state == "running":
        worker = next(run.worker for run in life.runs if run.ended_order is None)
        return f"it still runs on {worker}."
    if life.state == "retried":
        return "it waits for its retry."
    if last is not None and last.ended_order is None:
        return f"{last.worker} holds it and has not started it{_eta(life)}."
    queue = f" in queue {life.queue!r}" if life.queue else ""
    return f"it still waits{queue}{_eta(life)}."


def _eta(life: TaskLife) -> str:
    eta_us = life.publishes[-1].eta_us if life.publishes else None
    return "" if eta_us is None else f"; its ETA is {instant(eta_us)}"


def _moments(history: History, life: TaskLife, last: Attempt | None) -> tuple[Moment, ...]:
    orders = [publish.order for publish in life.publishes[:1]]
    if last is not None:
        orders += [order for order in (last.received_order, last.started_order, last.ended_order) if order]
    return moments_at(history, *orders, life.last_order)
