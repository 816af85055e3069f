"""The prefork pool: N children that take jobs, accept them, run them and can die.

The main name is :func:`pool_class`.  It stands in the place of
``celery.concurrency.prefork.TaskPool`` over billiard's ``AsynPool``; acceptance, loss of a child
and shutdown follow their source (billiard/pool.py, celery/concurrency/asynpool.py), while pipes,
file descriptors and real processes are left out.  Celery's own ``solo`` and ``threads`` pools run
unmodified and are not here.

The pool knows of a child what the worker's main process knows in production: it learns of its end late
(:mod:`tqsim.worker.reaping`), and until then may give it jobs, which wait there and go to another child
afterwards.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from billiard.common import human_status, restart_state
from billiard.einfo import ExceptionInfo
from billiard.exceptions import RestartFreqExceeded, WorkerLostError
from celery import signals
from celery.concurrency.base import BasePool
from celery.worker import state as worker_state
from kombu.asynchronous import get_event_loop

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import Kernel
from tqsim.worker import pipes
from tqsim.worker.children import EXIT_OK, EXIT_RECYCLE, Child
from tqsim.worker.jobs import Job
from tqsim.worker.limits import TimeLimits
from tqsim.worker.reaping import Reaper
from tqsim.worker.roster import Roster
from tqsim.worker.runtime import WorkerRuntime
from tqsim.worker.shutdown import Shutdown

__all__ = ["pool_class"]

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
        self.timeout = options.get("timeout")
        self.soft_timeout = options.get("soft_timeout")
        self._processes = int(limit or 0)
        self._semaphore = options.get("semaphore")
        self._tasks_max = options.get("maxtasksperchild")
        self.children = Roster(self.kernel, self.runtime, self._tasks_max, self._on_report, self._on_exit)
        self._strategy = options.get("sched_strategy")
        self._waiting: deque[Job] = deque()
        self._reports: deque[tuple[str, Child, Job | None, Any]] = deque()
        self._actions: deque[Callable[[], None]] = deque()
        self._limits = TimeLimits(self.kernel, self.runtime, self._call_soon)
        self._reaper = Reaper(self.kernel, self._call_soon, self.maintain_pool)
        self._phase = _RUN
        self._restarts = restart_state(options.get("max_restarts") or 100, 1)
        self.hub: Any = None

    # -- the interface of BasePool ------------------------------------------------------------

    def on_start(self) -> None:
        self.hub = get_event_loop()
        for _ in range(self._processes):
            self._start_child()

    def did_start_ok(self) -> bool:
        return not self.join_exited()

    def register_with_event_loop(self, loop: Any) -> None:
        self._reaper.begin()

    def on_apply(self, target: Any, args: Any, kwargs: Any, **options: Any) -> Job | None:
        if self._phase != _RUN:
            return None
        job = Job(self, target, args, kwargs, options)
        self._waiting.append(job)
        self._hand_out()
        return job

    def terminate_job(self, pid: int, signum: int | None = None) -> None:
        """Send a signal to the child that runs a job; it acts when the caller has told of the end."""
        for child in self.children:
            if child.pid == pid:
                child.is_job_terminated = True
                self._call_soon(partial(self._terminate, child, int(signum or signal.SIGTERM)))

    def _terminate(self, child: Child, number: int) -> None:
        if child.process.is_alive:
            self.kernel.system.deliver(child.process, number)
            # Of a signal without a handler it has died while its worker was busy with the rest.
            child.is_reapable = not child.process.is_alive

    def grow(self, n: int = 1) -> None:
        """Make room for more children, which the next ``maintain_pool`` starts (``Pool.grow``)."""
        for _ in range(n):
            self._processes += 1
            if self._semaphore is not None:
                self._semaphore.grow()
        self._reaper.expect()

    def shrink(self, n: int = 1) -> None:
        """Have ``n`` children without a task leave; one that is leaving already may be among them."""
        active = {job.child for job in self.cache.values() if job._accepted}
        idle = [child for child in self.children if child not in active]
        for child in idle[:n]:
            self._processes -= 1
            if self._semaphore is not None:
                self._semaphore.shrink()
            if child.process.is_alive:
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
        busy = {job.child for job in self.cache.values() if job._accepted}
        for child in self.children:
            if child not in busy or not child.process.is_alive:
                child.job = None

    def on_close(self) -> None:
        if self._phase == _RUN:
            self._phase = _CLOSED
            if self._semaphore is not None:
                self._semaphore.clear()

    def on_stop(self) -> None:
        """Warm shutdown: what the children hold is finished and acknowledged, then they go."""
        self.on_close()
        if self._phase != _TERMINATED:
            Shutdown(self.kernel.loop, self).run(is_warm=True)
            self._phase = _TERMINATED

    def on_terminate(self) -> None:
        """Cold shutdown: SIGTERM to every child, then account for what they were doing."""
        if self._phase == _TERMINATED:
            return
        self._phase = _TERMINATED
        for child in list(self.children):
            if child.process.is_alive:
                self.kernel.system.deliver(child.process, signal.SIGTERM)
        Shutdown(self.kernel.loop, self).run(is_warm=False)

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        info.update(
            {
                "implementation": "celery.concurrency.prefork:TaskPool",
                "max-concurrency": self.limit,
                "processes": [child.pid for child in self.children],
                "max-tasks-per-child": self._tasks_max or "N/A",
                "put-guarded-by-semaphore": self.putlocks,
                "timeouts": (self.soft_timeout or 0, self.timeout or 0),
                "writes": self.children.write_stats(self._strategy),
            }
        )
        return info

    @property
    def num_processes(self) -> int:
        return self._processes

    # -- news from the children ---------------------------------------------------------------

    def _on_report(self, kind: str, child: Child, job: Job | None, content: Any) -> None:
        self._reports.append((kind, child, job, content))
        self._tell()

    def _on_exit(self, child: Child) -> None:
        if self.runtime.process.is_alive:
            self.runtime.note("child.ended", pid=child.pid, exit_code=child.exit_code)
            if child.running is not None:
                child.running.note_lost(child, child.exit_code)
            self._reaper.take_end(child)
            self._tell()

    def _call_soon(self, action: Callable[[], None]) -> None:
        if self.runtime.process.is_alive:
            self._actions.append(action)
            self._tell()

    def _tell(self) -> None:
        if self.hub is not None and self._phase == _RUN:
            self.hub.call_soon(self._handle_news)

    def _handle_news(self) -> None:
        """Act on what children reported; runs in the worker's main process."""
        while self._reports:
            self._take(*self._reports.popleft())
        self.act()
        self._reaper.look()
        self._hand_out()

    def act(self) -> None:
        """Do what was left for the worker's main process: time limits, revokes, the timer of the reaper."""
        while self._actions:
            self._actions.popleft()()

    def read_report(self, child: Child) -> bool:
        """Act on the next report of one child; ``False`` when there is none."""
        report = next((report for report in self._reports if report[1] is child), None)
        if report is None:
            return False
        self._reports.remove(report)
        self._take(*report)
        return True

    def _take(self, kind: str, child: Child, job: Job | None, content: Any) -> None:
        """Act on one report (billiard/pool.py, ``ResultHandler``: ``on_ack``, ``on_ready``, ``on_death``).

        A job that is not in the cache any more is nobody's: its message comes again.
        """
        if job is None:
            if child.process.is_alive:
                self.kernel.system.deliver(child.process, signal.SIGTERM)
            return
        is_known = self.cache.get(job._job) is job
        if kind == "accepted":
            self._restarts.R = 0
            if is_known:
                job.child = child
                job._ack(None, content / MICROSECONDS_PER_SECOND, child.pid, None)
            return
        outcome = pipes.read(content)
        child.job = None
        child.results_read += 1
        if is_known:
            if not job.ready() and self._semaphore is not None:
                self._semaphore.release()
            job._set(None, outcome)

    # -- children -----------------------------------------------------------------------------

    def _start_child(self) -> None:
        signals.worker_before_create_process.send(sender=self)
        self.children.start(self._processes)

    def _hand_out(self) -> None:
        while self._waiting and self._phase == _RUN:
            job = self._waiting.popleft()
            if not job._accepted and not self.children.give(job):
                self._waiting.appendleft(job)
                return

    def maintain_pool(self, *args: Any, **kwargs: Any) -> None:
        """Account for children that have gone, and replace them (``Pool.maintain_pool``)."""
        if self._phase != _RUN or not self.runtime.process.is_alive:
            return
        gone = self.join_exited()
        self._repopulate([child.exit_code for child in gone])
        if self._semaphore is not None:
            for _ in gone:
                self._semaphore.release()
        if not all(child.process.is_alive for child in self.children):
            self._reaper.expect()

    def join_exited(self) -> list[Child]:
        """Take the children that are found to have ended out of the pool, and settle their jobs."""
        gone = [child for child in reversed(self.children) if self._reaper.is_found(child)]
        for child in gone:
            while self.read_report(child):
                pass
            self.children.remove(child)
        if gone:
            for job in list(self.cache.values()):
                self._settle(job, gone)
        return gone

    def _settle(self, job: Job, gone: list[Child]) -> None:
        if not job._accepted:
            if job.written_to in gone:
                self._put_back(job)
            return
        child = job.child
        if child not in gone or job.ready():
            return
        assert child is not None
        if child.is_job_terminated:
            job._set_terminated(child.exit_code)
            return
        try:
            raise WorkerLostError(f"Worker exited prematurely: {human_status(child.exit_code)} Job: {job._job}.")
        except WorkerLostError:
            job._set(None, (False, ExceptionInfo()))

    def _put_back(self, job: Job) -> None:
        """Keep a job whose child died before it accepted (``AsynPool._put_back``)."""
        job.written_to = None
        if job._terminated is None and job.correlation_id not in worker_state.revoked:
            self._waiting.appendleft(job)
            return
        job._ack(None, self.kernel.clock.epoch_us / MICROSECONDS_PER_SECOND, self.runtime.process.pid, None)
        job._set_terminated(job._terminated)

    def _repopulate(self, exit_codes: list[int | None]) -> None:
        """Bring the pool to its size; too many failures in a second close it (``_repopulate_pool``)."""
        for position in range(self._processes - len(self.children)):
            if exit_codes and (position >= len(exit_codes) or exit_codes[position] not in (EXIT_OK, EXIT_RECYCLE)):
                try:
                    self._restarts.step()
                except RestartFreqExceeded:
                    self.on_stop()
                    raise
            self._start_child()

    # -- time limits: called by billiard's ApplyResult ------------------------------------------

    def set_limits(self, job: Job, soft: float | None, hard: float | None) -> None:
        """Start the clock of an accepted job."""
        self._limits.start(job, soft, hard)

    def cancel_limits(self, job: Job) -> None:
        """Stop the clock of a job that is over."""
        self._limits.cancel(job)
