"""The language of generated Celery programs: what a client sends, and what it does to the workers.

The main names are :class:`Program`, a sequence of steps, and :func:`written`, its text to paste where it is to be run
again.  Jobs are calls of the tasks in :mod:`tests.conformance.celery_program_app`, canvases are made of jobs, and the
arms in :mod:`tests.conformance.celery_program_arms` run them.  What may stand beside what is said in
:mod:`tests.conformance.celery_program_strategies`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

__all__ = [
    "ALPHA",
    "BETA",
    "GAMMA",
    "Again",
    "AutoRetry",
    "Await",
    "Canvas",
    "Chain",
    "Chord",
    "Deed",
    "Die",
    "Fail",
    "Group",
    "Ignore",
    "Job",
    "Joint",
    "KillChild",
    "KillWorker",
    "Limit",
    "Program",
    "Publish",
    "Reject",
    "Replace",
    "Retry",
    "Return",
    "Revoke",
    "Send",
    "Sleep",
    "Step",
    "StopWorker",
    "jobs_of",
    "written",
]

#: One worker with one slot and a prefetch of one consumes the first queue, one with two slots the others.
ALPHA: Final = "alpha"
BETA: Final = "beta"
GAMMA: Final = "gamma"


# -- what a task does when it runs ------------------------------------------------------------


@dataclass(frozen=True)
class Return:
    """Return the alias and what was passed on."""


@dataclass(frozen=True)
class Fail:
    """Raise a ``ValueError``."""


@dataclass(frozen=True)
class Sleep:
    """Return after some seconds."""

    seconds: float


@dataclass(frozen=True)
class Retry:
    """Ask for a retry so many times, then return; with ``most`` (``max_retries``) below ``times`` it fails.

    It fails with the exception given to ``retry``, or else with ``MaxRetriesExceededError``.
    """

    times: int
    countdown_s: float = 0
    most: int = 3
    with_error: bool = True


@dataclass(frozen=True)
class AutoRetry:
    """Raise what the task retries by itself, so many times; the countdown is 1 s, then 2 s."""

    times: int


@dataclass(frozen=True)
class Reject:
    """Raise ``Reject``; a message that came back is not rejected again."""

    requeue: bool


@dataclass(frozen=True)
class Ignore:
    """Raise ``Ignore``."""


@dataclass(frozen=True)
class Limit:
    """Sleep for longer than the time limit of one second."""

    kind: Literal["soft", "soft caught", "hard"]


@dataclass(frozen=True)
class Die:
    """End the pool child with SIGKILL; a task that came back returns."""


@dataclass(frozen=True)
class Publish:
    """Send a canvas from within the task."""

    canvas: Canvas


@dataclass(frozen=True)
class Replace:
    """Put a canvas in the place of the task; the tasks in it have ids that Celery draws."""

    canvas: Canvas


Deed: TypeAlias = Return | Fail | Sleep | Retry | AutoRetry | Reject | Ignore | Limit | Die | Publish | Replace


# -- what is sent -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One call of a task; ``celery_program_app`` has the options that the tasks differ by."""

    alias: str
    deed: Deed = Return()
    task: Literal["early", "late", "lost", "kept", "paced"] = "early"
    queue: str = BETA
    countdown_s: float | None = None
    eta_s: float | None = None
    expires_s: float | None = None
    priority: int | None = None
    ignore_result: bool = False
    immutable: bool = False
    mark: str | None = None
    link: Job | None = None
    link_error: Job | Literal["inline"] | None = None


@dataclass(frozen=True)
class Chain:
    """One after the other."""

    parts: tuple[Canvas, ...]
    link_error: Job | None = None


@dataclass(frozen=True)
class Group:
    """All at once."""

    parts: tuple[Canvas, ...]


@dataclass(frozen=True)
class Chord:
    """All at once, and then the body."""

    header: tuple[Canvas, ...]
    body: Job
    link_error: Job | None = None


Canvas: TypeAlias = Job | Chain | Group | Chord


# -- what the client does ---------------------------------------------------------------------


@dataclass(frozen=True)
class Send:
    """Send a canvas with ``apply_async``."""

    canvas: Canvas


@dataclass(frozen=True)
class Again:
    """Send the same job with the same task id once more."""

    job: Job


@dataclass(frozen=True)
class Await:
    """Wait until a job has begun to run, and a moment longer."""

    alias: str


@dataclass(frozen=True)
class Revoke:
    """Revoke a task; with a signal, terminate it."""

    alias: str
    signal: Literal["SIGTERM", "SIGKILL"] | None = None


@dataclass(frozen=True)
class KillChild:
    """End the pool child of the worker with one slot with SIGKILL."""


@dataclass(frozen=True)
class KillWorker:
    """End the worker with one slot with SIGKILL and start it again."""


@dataclass(frozen=True)
class StopWorker:
    """Ask the worker with one slot for a warm shutdown, wait for its end and start it again."""


Step: TypeAlias = Send | Again | Await | Revoke | KillChild | KillWorker | StopWorker


@dataclass(frozen=True)
class Program:
    """What one client does, in order."""

    steps: tuple[Step, ...]

    @property
    def sent(self) -> list[Canvas]:
        """The canvases that the client sends itself."""
        return [step.canvas for step in self.steps if isinstance(step, Send)]

    @property
    def jobs(self) -> list[Job]:
        """Every job that may run and has an id of its own, in the order of the text."""
        return [job for canvas in self.sent for job in jobs_of(canvas)]

    @property
    def aliases(self) -> list[str]:
        """The names of these jobs."""
        return [job.alias for job in self.jobs]

    @property
    def joints(self) -> list[Joint]:
        """The chords, wherever they stand."""
        return [joint for canvas in self.sent for joint in _joints(canvas)]

    def has(self, *kinds: type) -> bool:
        """Whether it takes a step of these kinds."""
        return any(isinstance(step, kinds) for step in self.steps)


@dataclass(frozen=True)
class Joint:
    """A chord: which part of its header ends last is chance, and that one sends the body or tells it of a failure."""

    body: str
    header: tuple[str, ...]
    #: The body and what comes of it.
    after: tuple[str, ...]

    @classmethod
    def of(cls, header: tuple[Canvas, ...], body: Job, link_error: Job | None) -> Joint:
        """Return the joint of a chord."""
        after = [body] if link_error is None else [body, link_error]
        return cls(body.alias, _aliases(*header), _aliases(*after))


def _aliases(*canvases: Canvas) -> tuple[str, ...]:
    return tuple(job.alias for canvas in canvases for job in jobs_of(canvas, with_replacements=True))


def _joints(canvas: Canvas) -> Iterator[Joint]:
    """Yield the joints of a canvas; a group that is followed by a job is a chord too."""
    if isinstance(canvas, Job):
        return
    if isinstance(canvas, Chord):
        yield Joint.of(canvas.header, canvas.body, canvas.link_error)
        return
    for part in canvas.parts:
        yield from _joints(part)
    if isinstance(canvas, Chain):
        for part, following in pairwise(canvas.parts):
            if isinstance(part, Group) and isinstance(following, Job):
                yield Joint.of(part.parts, following, None)


def jobs_of(canvas: Canvas, *, with_replacements: bool = False) -> Iterator[Job]:
    """Yield every job of a canvas, callbacks and what tasks send included; what they are replaced by if asked for."""
    parts: tuple[Any, ...]
    if isinstance(canvas, Job):
        yield canvas
        is_sent = isinstance(canvas.deed, (Publish, Replace) if with_replacements else Publish)
        parts = (getattr(canvas.deed, "canvas", None) if is_sent else None, canvas.link, canvas.link_error)
    elif isinstance(canvas, Chord):
        parts = (*canvas.header, canvas.body, canvas.link_error)
    else:
        parts = (*canvas.parts, getattr(canvas, "link_error", None))
    for part in parts:
        if isinstance(part, Canvas):
            yield from jobs_of(part, with_replacements=with_replacements)


def written(value: Any, indent: str = "") -> str:
    """Return a program, or a part of one, as Python text without what is as by default."""
    if isinstance(value, tuple):
        inner = f"{indent}    "
        return "(\n" + "".join(f"{inner}{written(part, inner)},\n" for part in value) + f"{indent})"
    if not is_dataclass(value):
        return repr(value)
    told = [
        (field.name, getattr(value, field.name))
        for field in fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(f'{name}={written(part, indent)}' for name, part in told)})"
