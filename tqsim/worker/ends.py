"""How a worker ended that nobody had asked to: :class:`WorkerEnd`.

A worker that was killed, or told by a signal or a remote command to stop, is not meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from tqsim import durations

__all__ = ["WorkerEnd"]


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """When the worker called ``worker`` ended, with which exit code, and because of which ``error``, in words."""

    worker: str
    at_us: int
    exit_code: int
    error: str

    def __str__(self) -> str:
        when, why = durations.instant(self.at_us), " ".join(self.error.split())
        return f"worker {self.worker!r} ended by itself at {when} with exit code {self.exit_code} ({why})"
