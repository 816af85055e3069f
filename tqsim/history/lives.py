"""Lives of tasks: what happened to one task id, attempt by attempt.

The main name is :class:`TaskLife`; it is derived from moments by :mod:`tqsim.history.derivation`.
All times are kept in integer microseconds since the simulation's start (``..._us``) and offered in
seconds.  ``..._order`` is a moment's index in its history: it orders what happens at one instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tqsim.durations import MICROSECONDS_PER_SECOND

TERMINAL_STATES: Final = ("succeeded", "failed", "rejected", "ignored", "revoked", "terminated")
"""States after which a task is finished, in the sense of Celery: somebody has been told."""


def _seconds(value_us: int | None) -> float | None:
    return None if value_us is None else value_us / MICROSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Publish:
    """One message of a task leaving a process: the first, or one per retry.

    ``expires_us`` and ``eta_us`` are instants since the simulation's start, ``countdown`` is in seconds.
    """

    at_us: int
    order: int
    process: str = ""
    retries: int = 0
    queue: str | None = None
    eta_us: int | None = None
    expires_us: int | None = None
    countdown: float | None = None

    @property
    def at(self) -> float:
        """When it left, in seconds."""
        return self.at_us / MICROSECONDS_PER_SECOND

    @property
    def eta(self) -> float | None:
        """The instant before which the task must not start, in seconds; None without one."""
        return _seconds(self.eta_us)

    @property
    def expires(self) -> float | None:
        """The instant after which the task must not start, in seconds; None without one."""
        return _seconds(self.expires_us)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery of a task to a worker, from ``task.received`` to its end.

    ``outcome`` is "succeeded", "failed", "retried", "rejected", "ignored", "revoked", "lost",
    "terminated", or None while unfinished.  How a run was cut off ("lost", "terminated") goes before
    what Celery then made of it; ``outcomes`` has every outcome in order.  An attempt ends at its first
    outcome, or when the process or the pool child that held it died ("lost").
    """

    number: int
    delivery: int | None
    retries: int
    worker: str
    child: int | None
    redelivered: bool
    received_us: int | None
    started_us: int | None
    ended_us: int | None
    received_order: int | None
    started_order: int | None
    ended_order: int | None
    outcome: str | None
    outcomes: tuple[str, ...]
    error: str | None

    @property
    def received(self) -> float | None:
        """When the worker took the message, in seconds."""
        return _seconds(self.received_us)

    @property
    def started(self) -> float | None:
        """When the body began to run, in seconds; None if it did not."""
        return _seconds(self.started_us)

    @property
    def ended(self) -> float | None:
        """When the attempt ended, in seconds; None while unfinished."""
        return _seconds(self.ended_us)

    @property
    def duration_us(self) -> int | None:
        """From start to end in microseconds; None if it did not start or has not ended."""
        if self.started_us is None or self.ended_us is None:
            return None
        return self.ended_us - self.started_us

    @property
    def duration(self) -> float | None:
        """From start to end in seconds; None if it did not start or has not ended."""
        return _seconds(self.duration_us)


@dataclass(frozen=True, slots=True)
class TaskLife:
    """Everything that happened to one task id.

    ``state`` is "pending" (waiting in a queue or held by a worker), "running", "retried" (waiting for its
    next run), one of :data:`TERMINAL_STATES`, or "lost" (nothing holds it and nobody was told).  A
    success stays; any other terminal state gives way when the task is published or started again.
    ``first_order`` and ``last_order`` are the indexes of its first and last moment, its messages' too.
    ``published_us`` is the first publish, or the first moment of an id whose publish was not recorded.
    """

    id: str
    name: str
    state: str
    published_us: int
    settled_us: int | None
    settled_order: int | None = None
    publishes: tuple[Publish, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    queue: str | None = None
    args: str = ""
    kwargs: str = ""
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    first_order: int = 0
    last_order: int = 0

    @property
    def published(self) -> float:
        """The first publish, in seconds."""
        return self.published_us / MICROSECONDS_PER_SECOND

    @property
    def is_terminal(self) -> bool:
        """Whether the task is finished; "lost" is not."""
        return self.state in TERMINAL_STATES

    @property
    def runs(self) -> tuple[Attempt, ...]:
        """The attempts that started, in the order of their starts."""
        started = [attempt for attempt in self.attempts if attempt.started_order is not None]
        return tuple(sorted(started, key=_started_order))

    @property
    def retry_pairs(self) -> tuple[tuple[Attempt, Attempt], ...]:
        """Each run that asked for a retry, with the run that followed.

        The run that followed is the first later one with the next retry number, or the first later one
        if numbers are unknown.  A retry whose run has not started is left out.
        """
        runs = self.runs
        pairs: list[tuple[Attempt, Attempt]] = []
        for run in runs:
            if run.outcome != "retried" or run.ended_order is None:
                continue
            later = [other for other in runs if _started_order(other) > run.ended_order]
            exact = [other for other in later if other.retries == run.retries + 1]
            if later:
                pairs.append((run, (exact or later)[0]))
        return tuple(pairs)

    @property
    def delays(self) -> tuple[float, ...]:
        """From the end of each retried run to the start of the next, in seconds."""
        gaps = ((after.started_us or 0) - (before.ended_us or 0) for before, after in self.retry_pairs)
        return tuple(gap / MICROSECONDS_PER_SECOND for gap in gaps)

    @property
    def wait_us(self) -> int | None:
        """From the first publish to the first start in microseconds; None if it never started."""
        runs = self.runs
        return None if not runs else (runs[0].started_us or 0) - self.published_us

    @property
    def wait(self) -> float | None:
        """From the first publish to the first start in seconds; None if it never started."""
        return _seconds(self.wait_us)

    @property
    def duration_us(self) -> int | None:
        """From the first publish to the terminal state in microseconds; None before that."""
        return None if self.settled_us is None else self.settled_us - self.published_us

    @property
    def duration(self) -> float | None:
        """From the first publish to the terminal state in seconds; None before that."""
        return _seconds(self.duration_us)


def _started_order(attempt: Attempt) -> int:
    return -1 if attempt.started_order is None else attempt.started_order
