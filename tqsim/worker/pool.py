"""The prefork pool: N children that take jobs, accept them, run them and can die.

The main name is :func:`pool_class`.  It stands in the place of
``celery.concurrency.prefork.TaskPool`` over billiard's ``AsynPool``; acceptance, loss of a child
and shutdown follow their source (billiard/pool.py, celery/concurrency/asynpool.py), while pipes,
file descriptors and real processes are left out.  Celery's own ``solo`` and ``threads`` pools run
unmodified and are not here.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from billiard.common import human_status, restart_state
from billiard.einfo import ExceptionInfo
from billiard.exceptions import RestartFreqExceeded, WorkerLostError
from celery import signals
from celery.concurrency import prefork
from celery.concurrency.base import BasePool
from celery.worker import state as worker_state
from kombu.asynchronous import get_event_loop

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import Kernel, WaitQueue
from tqsim.worker.children import EXIT_OK, EXIT_RECYCLE, Child
from tqsim.worker.jobs import Job
from tqsim.worker.limits import TimeLimits
from tqsim.worker.runtime import WorkerRuntime

__all__ = ["pool_class"]

#: How often timers and acknowledgements are looked after while the pool shuts down
#: (celery/concurrency/prefork.py, ``TaskPool.on_stop``).
_DRAIN_INTERVAL_US: Final = 500_000
_RUN, _CLOSED, _TERMINATED = range(3)


def pool_class(kernel: Kernel, runtime: WorkerRuntime) -> type:
    """Return the pool class for one simulated worker."""

    class TaskPool(_PreforkPool):
        """The prefork pool of one worker."""

    TaskPool.kernel = kernel
    TaskPool.runtime = runtime
    TaskPool.__module__ = "celery.concurrency.prefork"
    return TaskPool


class _PreforkPool(BasePool):
    """See the module; use :func:`pool_class`."""

    kernel: Kernel
    runtime: WorkerRuntime
    uses_semaphore = True

    def __init__(self, limit: int | None = None, **options: Any) -> None:
        super().__init__(limit, **options)
        self.cache: dict[int, Job] = {}
        self.children: list[Child] = []
        self.timeout = options.get("timeout")
        self.soft_timeout = options.get("soft_timeout")
        self._processes = int(limit or 0)
        self._semaphore = options.get("semaphore")
        self._tasks_max = options.get("maxtasksperchild")
        self._waiting: deque[Job] = deque()
        self._reports: deque[tuple[str, Child, Job, Any]] = deque()
        self._strikes: deque[Callable[[], None]] = deque()
        self._limits = TimeLimits(self.kernel, self.runtime, self._strike_soon)
        self._news = WaitQueue(self.kernel.loop)
        self._exited: list[Child] = []
        self._phase = _RUN
        self._spawned = 0
        self._restarts = restart_state(options.get("max_restarts") or 100, 1)
        self.hub: Any = None

    # -- the interface of BasePool ------------------------------------------------------------

    def on_start(self) -> None:
        self.hub = get_event_loop()
        for index in range(self._processes):
            self._start_child(index)

    def did_start_ok(self) -> bool:
        return not self._exited

    def on_apply(self, target: Any, args: Any, kwargs: Any, **options: Any) -> Job | None:
        if self._phase != _RUN:
            return None
        job = Job(self, target, args, kwargs, options)
        self._waiting.append(job)
        self._hand_out()
        return job

    def terminate_job(self, pid: int, signum: int | None = None) -> None:
        for child in self.children:
            if child.pid == pid and child.process.is_alive:
                child.is_job_terminated = True
                self.kernel.system.deliver(child.process, int(signum or signal.SIGTERM))

    def grow(self, n: int = 1) -> None:
        for _ in range(n):
            self._processes += 1
            if self._semaphore is not None:
                self._semaphore.grow()
        self.maintain_pool()

    def shrink(self, n: int = 1) -> None:
        idle = [child for child in self.children if child.job is None and not child.is_leaving]
        for child in idle[:n]:
            self._processes -= 1
            if self._semaphore is not None:
                self._semaphore.shrink()
            child.is_leaving = True
            self.kernel.system.deliver(child.process, signal.SIGTERM)
        if len(idle) < n:
            raise ValueError("Can't shrink pool. All processes busy!")

    def restart(self) -> None:
        for child in self.children:
            child.dismiss()

    def flush(self) -> None:
        """Forget jobs that no child has taken: the broker delivers them again (AsynPool.flush)."""
        if self._phase == _TERMINATED:
            return
        for job in list(self.cache.values()):
            if not job._accepted:
                job.discard()
        self._waiting.clear()
        self.maintain_pool()

    def on_close(self) -> None:
        if self._phase == _RUN:
            self._phase = _CLOSED
            if self._semaphore is not None:
                self._semaphore.clear()

    def on_stop(self) -> None:
        """Warm shutdown: what the children hold is finished and acknowledged, then they go."""
        self.on_close()
        if self._phase == _TERMINATED:
            return
        for child in self.children:
            child.dismiss()
        self._join_children()
        self._phase = _TERMINATED

    def on_terminate(self) -> None:
        """Cold shutdown: SIGTERM to every child, then account for what they were doing."""
        if self._phase == _TERMINATED:
            return
        self._phase = _TERMINATED
        for child in list(self.children):
            if child.process.is_alive:
                self.kernel.system.deliver(child.process, signal.SIGTERM)
        self._join_children()

    def _join_children(self) -> None:
        while self._has_news() or any(child.process.is_alive for child in self.children):
            self._handle_news()
            self._send_acks()
            if not self._has_news() and any(child.process.is_alive for child in self.children):
                self._news.wait("its children to end", _DRAIN_INTERVAL_US)
                self.hub.fire_timers()
        self._send_acks()

    def _send_acks(self) -> None:
        # Celery 5.7; before it, they go out when the hub closes.
        run_ready_callbacks = getattr(prefork, "_run_ready_callbacks", None)
        if run_ready_callbacks is not None:
            run_ready_callbacks(self.hub)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        info.update(
            {
                "implementation": "celery.concurrency.prefork:TaskPool",
                "max-concurrency": self.limit,
                "processes": [child.pid for child in self.children if child.process.is_alive],
                "max-tasks-per-child": self._tasks_max or "N/A",
                "put-guarded-by-semaphore": self.putlocks,
                "timeouts": (self.soft_timeout or 0, self.timeout or 0),
                "writes": "N/A",
            }
        )
        return info

    @property
    def num_processes(self) -> int:
        return self._processes

    # -- children -----------------------------------------------------------------------------

    def _start_child(self, index: int) -> None:
        signals.worker_before_create_process.send(sender=self)
        self._spawned += 1
        parent = self.runtime.process
        process = self.kernel.new_process(f"{parent.name}.{self._spawned}", parent)
        child = Child(
            self.kernel, process, index,
            tasks_max=self._tasks_max,
            initialise=self.runtime.initialise_child,
            report=self._on_report,
            on_exit=self._on_exit,
            hostname=self.runtime.hostname,
        )  # fmt: skip
        self.children.append(child)
        self.runtime.note("child.started", pid=child.pid, index=index)

    def _on_report(self, kind: str, child: Child, job: Job, content: Any) -> None:
        self._reports.append((kind, child, job, content))
        self._tell()

    def _on_exit(self, child: Child) -> None:
        self._exited.append(child)
        if self.runtime.process.is_alive:
            self._tell()

    def _strike_soon(self, strike: Callable[[], None]) -> None:
        if self.runtime.process.is_alive:
            self._strikes.append(strike)
            self._tell()

    def _tell(self) -> None:
        if self.hub is not None:
            self.hub.call_soon(self._handle_news)
        self._news.wake_all()

    def _has_news(self) -> bool:
        return bool(self._reports or self._exited or self._strikes)

    def _handle_news(self) -> None:
        """Act on what children reported; runs in the worker's main process."""
        while self._reports:
            self._take(*self._reports.popleft())
        while self._strikes:
            self._strikes.popleft()()
        if self._exited:
            self.maintain_pool()
        self._hand_out()

    def _take(self, kind: str, child: Child, job: Job, content: Any) -> None:
        """Act on one report (billiard/pool.py, ``ResultHandler``: ``on_ack``, ``on_ready``).

        A job that is not in the cache any more is nobody's: its message comes again.
        """
        is_known = self.cache.get(job._job) is job
        if kind == "accepted":
            self._restarts.R = 0
            if is_known:
                job.child = child
                job._ack(None, content / MICROSECONDS_PER_SECOND, child.pid, None)
            return
        if child.job is job:
            child.job = None
        if is_known:
            if not job.ready() and self._semaphore is not None:
                self._semaphore.release()
            job._set(None, content)

    def _hand_out(self) -> None:
        while self._waiting and self._phase == _RUN:
            child = next((child for child in self.children if child.is_idle), None)
            if child is None:
                return
            child.give(self._waiting.popleft())

    def _put_back(self, job: Job) -> None:
        """Keep a job whose child died before it accepted (``AsynPool._put_back``)."""
        if job._terminated is None and job.correlation_id not in worker_state.revoked:
            self._waiting.appendleft(job)
            return
        job._ack(None, self.kernel.clock.epoch_us / MICROSECONDS_PER_SECOND, self.runtime.process.pid, None)
        job._set_terminated(job._terminated)

    def maintain_pool(self, *args: Any, **kwargs: Any) -> None:
        """Account for children that have gone, and replace them (``Pool._maintain_pool``)."""
        gone, self._exited = self._exited, []
        for report in [report for report in self._reports if report[1] in gone]:
            self._reports.remove(report)
            self._take(*report)
        for child in gone:
            if child in self.children:
                self.children.remove(child)
            self.runtime.note("child.ended", pid=child.pid, exit_code=child.exit_code)
            self._account_for(child)
        self._repopulate([child.exit_code for child in gone])
        if self._semaphore is not None:
            for _ in gone:
                self._semaphore.release()

    def _account_for(self, child: Child) -> None:
        job = child.job
        if job is None or self.cache.get(job._job) is not job:
            return
        if not job._accepted:
            child.job = None
            self._put_back(job)
        elif child.is_job_terminated:
            self.runtime.note_end(job, child, "task.terminated", exit_code=child.exit_code)
            job._set_terminated(child.exit_code)
        else:
            self.runtime.note_end(job, child, "task.lost", exit_code=child.exit_code)
            self._mark_lost(job, child)

    def _mark_lost(self, job: Job, child: Child) -> None:
        try:
            raise WorkerLostError(f"Worker exited prematurely: {human_status(child.exit_code)} Job: {job._job}.")
        except WorkerLostError:
            job._set(None, (False, ExceptionInfo()))

    def _repopulate(self, exit_codes: list[int | None]) -> None:
        """Bring the pool to its size; too many failures in a second close it (``_repopulate_pool``)."""
        if self._phase != _RUN or not self.runtime.process.is_alive:
            return
        taken = {child.index for child in self.children}
        for position in range(self._processes - len(self.children)):
            if exit_codes and (position >= len(exit_codes) or exit_codes[position] not in (EXIT_OK, EXIT_RECYCLE)):
                try:
                    self._restarts.step()
                except RestartFreqExceeded:
                    self.on_stop()
                    raise
            index = next(number for number in range(self._processes) if number not in taken)
            taken.add(index)
            self._start_child(index)

    # -- time limits: called by billiard's ApplyResult ------------------------------------------

    def set_limits(self, job: Job, soft: float | None, hard: float | None) -> None:
        """Start the clock of an accepted job."""
        self._limits.start(job, soft, hard)

    def cancel_limits(self, job: Job) -> None:
        """Stop the clock of a job that is over."""
        self._limits.cancel(job)
