"""What a generated Celery program left behind, and how two records of one program are compared.

The main names are :class:`Record` and :func:`differences`.  Times are compared coarsely: a real worker may be later
than a simulated one by some seconds, and none may be early.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

__all__ = ["Ending", "Record", "Run", "differences", "readable"]

#: How much later than the simulation a worker on a busy machine may begin what has an ETA.
_SLACK_S: Final = 5.0
#: kombu's timers count monotonic seconds and ETAs are dates, so that a task may be early by the error of a conversion.
_EARLY_S: Final = 0.01
_JOB_NUMBER: Final = re.compile(r"Job: \d+\.")
_DRAWN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Run:
    """One execution of a job, as the task saw it; ``late_s`` is how long after its ETA it began."""

    alias: str
    late_s: float | None
    seen: str

    @classmethod
    def of(cls, note: Mapping[str, Any], program: str) -> Run:
        """Return the run that a task noted."""
        seen = {name: value for name, value in note.items() if name not in ("alias", "late_s")}
        return cls(note["alias"], note["late_s"], readable(seen, program))

    @property
    def is_early(self) -> bool:
        """Whether it began before its ETA."""
        return self.late_s is not None and self.late_s < -_EARLY_S


@dataclass(frozen=True)
class Ending:
    """What the result backend says of a task."""

    state: str
    result: str
    children: tuple[str, ...]
    extended: str


@dataclass
class Record:
    """Everything that is compared of one program on one arm."""

    endings: dict[str, Ending] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    #: What was noted by callbacks that Celery calls on the spot.
    inline: list[str] = field(default_factory=list)
    #: Ready and unacknowledged messages of each queue.
    queues: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: How the prefetch count of each worker changed.
    prefetch: dict[str, int] = field(default_factory=dict)
    #: For how long a worker was away; its work is late by that much.
    away_s: float = 0.0

    def runs_of(self, alias: str) -> list[Run]:
        """The runs of one job, in order."""
        return [run for run in self.runs if run.alias == alias]

    def first_runs(self, aliases: list[str]) -> list[str]:
        """Those of the jobs that ran, in the order in which they first did."""
        return [alias for alias in dict.fromkeys(run.alias for run in self.runs) if alias in aliases]


def readable(value: Any, program: str) -> str:
    """Return a value as text in which ids are aliases and ids that Celery drew are all alike.

    A pool counts its jobs for as long as it lives, so the number of a lost one depends on the programs before.
    """
    text = _JOB_NUMBER.sub("Job: <number>.", _DRAWN_ID.sub("<drawn>", repr(value)))
    return text.replace(f"{program}.", "").replace(program, "<program>")


def differences(ordered: list[str], simulated: Record, real: Record) -> list[str]:
    """Return what differs, one line each; the jobs in ``ordered`` begin in an order that is promised."""
    return [
        f"{what}: simulated {mine!r}, real {theirs!r}"
        for what, mine, theirs in _pairs(ordered, simulated, real)
        if mine != theirs
    ] + list(_untimely(simulated, real))


def _pairs(ordered: list[str], simulated: Record, real: Record) -> Iterator[tuple[str, Any, Any]]:
    for alias in sorted({*simulated.endings, *real.endings}):
        mine, theirs = (asdict(record.endings[alias]) for record in (simulated, real))
        yield from ((f"{name} of {alias}", mine[name], theirs[name]) for name in mine)
    for alias in sorted({run.alias for run in (*simulated.runs, *real.runs)}):
        seen = [[run.seen for run in record.runs_of(alias)] for record in (simulated, real)]
        yield f"runs of {alias}", seen[0], seen[1]
    yield "order of first runs", simulated.first_runs(ordered), real.first_runs(ordered)
    yield "errors noted on the spot", sorted(simulated.inline), sorted(real.inline)
    yield "queues at the end (ready, unacknowledged)", simulated.queues, real.queues
    yield "change of the prefetch count", simulated.prefetch, real.prefetch


def _untimely(simulated: Record, real: Record) -> Iterator[str]:
    slack_s = _SLACK_S + real.away_s
    for alias in dict.fromkeys(run.alias for run in simulated.runs):
        for mine, theirs in zip(simulated.runs_of(alias), real.runs_of(alias), strict=False):
            if mine.is_early or theirs.is_early:
                yield f"{alias} began early: by {mine.late_s} s in the simulation, by {theirs.late_s} s really"
            elif mine.late_s is not None and theirs.late_s is not None and theirs.late_s > mine.late_s + slack_s:
                yield f"{alias} began late: {mine.late_s} s in the simulation, {theirs.late_s} s really"
