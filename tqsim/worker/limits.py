"""Soft and hard time limits of the tasks in a prefork pool.

The main name is :class:`TimeLimits`.  When a limit strikes follows
celery/concurrency/asynpool.py (``_create_timelimit_handlers``), what it does billiard/pool.py
(``TimeoutHandler``).  The clocks are the kernel's timers, which can be cancelled for good: kombu's
stay in memory until they are due, which for an hour's limit on every task is a leak.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final

from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import Kernel
from tqsim.worker.jobs import Job
from tqsim.worker.runtime import WorkerRuntime

__all__ = ["TimeLimits"]

#: How long billiard waits between SIGTERM and SIGKILL at a hard time limit (``_trywaitkill``).
_TERM_GRACE_US: Final = 100_000


class TimeLimits:
    """The clocks of one pool; ``call_soon(action)`` runs an action in the worker's main process."""

    def __init__(self, kernel: Kernel, runtime: WorkerRuntime, call_soon: Callable[[Callable[[], None]], None]) -> None:
        self._kernel = kernel
        self._runtime = runtime
        self._call_soon = call_soon

    def start(self, job: Job, soft: float | None, hard: float | None) -> None:
        """Start the clock of an accepted job."""
        if soft:
            job.limit_timer = self._later(soft, lambda: self._strike_softly(job, soft, hard))
        elif hard:
            job.limit_timer = self._later(hard, lambda: self._strike(job))

    def cancel(self, job: Job) -> None:
        """Stop the clock of a job that is over."""
        if job.limit_timer is not None:
            job.limit_timer.cancel()
            job.limit_timer = None

    def _later(self, delay_s: float, action: Callable[[], None]) -> Any:
        delay_us = round(delay_s * MICROSECONDS_PER_SECOND)
        return self._kernel.loop.call_later(delay_us, lambda: self._call_soon(action))

    def _strike_softly(self, job: Job, soft: float, hard: float | None) -> None:
        if job.ready():
            return
        if hard:
            job.limit_timer = self._later(hard - soft, lambda: self._strike(job))
        child = job.child
        if child is None or not child.process.is_alive:
            return
        self._runtime.note_limit(job, child, is_soft=True, limit_s=soft)
        job.handle_timeout(soft=True)
        self._kernel.system.deliver(child.process, signal.SIGUSR1)

    def _strike(self, job: Job) -> None:
        if job.ready():
            return
        child = job.child
        is_running = child is not None and child.process.is_alive
        try:
            raise TimeLimitExceeded(job._timeout)
        except TimeLimitExceeded:
            job._set(job._job, (False, ExceptionInfo()))
        if child is not None and is_running:
            self._runtime.note_limit(job, child, is_soft=False, limit_s=job._timeout)
        job.handle_timeout(soft=False)
        if child is None:
            return
        if is_running:
            self._runtime.note_end(job, child, "task.failed", error=f"TimeLimitExceeded({job._timeout})")
            self._kernel.system.deliver(child.process, signal.SIGTERM)
        # The worker itself stands still meanwhile, and reads nothing: a child that takes its leave is
        # killed too, because it waits for a second at the end (billiard/pool.py, ``Worker._do_exit``).
        if child.wait_for_end(_TERM_GRACE_US):
            child.is_reapable = True
        else:
            self._kernel.end_process(child.process, -signal.SIGKILL)
