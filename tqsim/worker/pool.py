"""The prefork pool: N children that take jobs, accept them, run them and can die.

The main names are :func:`pool_class` and :class:`Job`.  It stands in the place of
``celery.concurrency.prefork.TaskPool`` over billiard's ``AsynPool``; acceptance, time limits,
loss of a child and shutdown follow their source (billiard/pool.py, celery/concurrency/
asynpool.py), while pipes, file descriptors and real processes are left out.  Celery's own
``solo`` and ``threads`` pools run unmodified and are not here.
"""

from __future__ import annotations

import signal
from collections import deque
from typing import Any, Final

from billiard.common import restart_state
from billiard.einfo import ExceptionInfo
from billiard.exceptions import RestartFreqExceeded, TimeLimitExceeded, WorkerLostError
from billiard.pool import ApplyResult
from celery import signals
from celery.concurrency.base import BasePool
from celery.worker import state as worker_state
from kombu.asynchronous import get_event_loop

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import Kernel, WaitQueue
from tqsim.worker.children import EXIT_OK, EXIT_RECYCLE, Child
from tqsim.worker.runtime import WorkerRuntime

__all__ = ["Job", "pool_class"]

#: How long billiard waits between SIGTERM and SIGKILL at a hard time limit (``_trywaitkill``).
_TERM_GRACE_US: Final = 100_000
_RUN, _CLOSED, _TERMINATED = range(3)


class Job(ApplyResult):  # type: ignore[misc]
    """billiard's ``ApplyResult`` of one task, with what has to be run."""

    def __init__(self, pool: Any, target: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
        super().__init__(
            pool.cache,
            options.get("callback"),
            options.get("accept_callback"),
            options.get("timeout_callback"),
            options.get("error_callback"),
            options.get("soft_timeout") or pool.soft_timeout,
            options.get("timeout") or pool.timeout,
            on_timeout_set=pool.set_limits,
            on_timeout_cancel=pool.cancel_limits,
            callbacks_propagate=options.get("callbacks_propagate") or (),
            correlation_id=options.get("correlation_id"),
        )
        self.request = getattr(options.get("accept_callback"), "__self__", None)
        self.limit_timer: Any = None
        self.child: Child | None = None
        self._target = target
        self._args = args
        self._kwargs = kwargs
        self._runtime: WorkerRuntime = pool.runtime

    def run(self, child: Child) -> Any:
        """Run the task in its child; called there."""
        return self._runtime.run_task(self, child, self._target, self._args, self._kwargs)


def pool_class(kernel: Kernel, runtime: WorkerRuntime) -> type:
    """Return the pool class for one simulated worker."""

    class TaskPool(PreforkPool):
        """The prefork pool of one worker."""

    TaskPool.kernel = kernel
    TaskPool.runtime = runtime
    TaskPool.__module__ = "celery.concurrency.prefork"
    return TaskPool


class PreforkPool(BasePool):  # type: ignore[misc]
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
                child.is_job_terminated = child.is_controlled = True
                self.kernel.system.deliver(child.process, int(signum or signal.SIGTERM))

    def grow(self, n: int = 1) -> None:
        for _ in range(n):
            self._processes += 1
            if self._semaphore is not None:
                self._semaphore.grow()
        self.maintain_pool()

    def shrink(self, n: int = 1) -> None:
        idle = [child for child in self.children if child.job is None and not child.is_controlled]
        for child in idle[:n]:
            self._processes -= 1
            if self._semaphore is not None:
                self._semaphore.shrink()
            child.is_controlled = True
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
        """Warm shutdown: wait for every running task, acknowledge, and let the children go."""
        self.on_close()
        if self._phase == _TERMINATED:
            return
        while self.cache:
            self._handle_news()
            if self.cache and not self._reports and not self._exited:
                self._news.wait("its running tasks")
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
            self.kernel.system.deliver(child.process, signal.SIGTERM)
        self._join_children()

    def _join_children(self) -> None:
        while any(child.process.is_alive for child in self.children):
            self._handle_news()
            if any(child.process.is_alive for child in self.children) and not self._exited:
                self._news.wait("the end of its children")
        self._handle_news()

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        info.update({
            "implementation": "celery.concurrency.prefork:TaskPool",
            "max-concurrency": self.limit,
            "processes": [child.pid for child in self.children if child.process.is_alive],
            "max-tasks-per-child": self._tasks_max or "N/A",
            "put-guarded-by-semaphore": self.putlocks,
            "timeouts": (self.soft_timeout or 0, self.timeout or 0),
            "writes": "N/A",
        })
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

    def _tell(self) -> None:
        if self.hub is not None:
            self.hub.call_soon(self._handle_news)
        self._news.wake_all()

    def _handle_news(self) -> None:
        """Act on what children reported; runs in the worker's main process."""
        while self._reports:
            kind, child, job, content = self._reports.popleft()
            if kind == "accepted":
                job.child = child
                job._ack(None, content / MICROSECONDS_PER_SECOND, child.pid, None)
            else:
                self._finish(child, job, content)
        if self._exited:
            self.maintain_pool()
        self._hand_out()

    def _finish(self, child: Child, job: Job, outcome: tuple[bool, Any]) -> None:
        if child.job is job:
            child.job = None
        if job.ready():
            return
        if self._semaphore is not None:
            self._semaphore.release()
        job._set(None, outcome)

    def _hand_out(self) -> None:
        while self._waiting:
            child = next((child for child in self.children if child.is_idle), None)
            if child is None:
                return
            job = self._waiting.popleft()
            if job._terminated is not None or job.correlation_id in worker_state.revoked:
                self._drop_revoked(job)
                continue
            child.give(job)

    def _drop_revoked(self, job: Job) -> None:
        # AsynPool._put_back: a job that was revoked before any child accepted it.
        if not job._accepted:
            job._ack(None, self.kernel.clock.epoch_us / MICROSECONDS_PER_SECOND, self.runtime.process.pid, None)
        job._set_terminated(job._terminated)
        if self._semaphore is not None:
            self._semaphore.release()

    def maintain_pool(self, *args: Any, **kwargs: Any) -> None:
        """Account for children that have gone, and replace them (Pool._maintain_pool)."""
        gone, self._exited = self._exited, []
        for child in gone:
            if child in self.children:
                self.children.remove(child)
            self.runtime.note("child.ended", pid=child.pid, exit_code=child.exit_code)
            self._account_for(child)
        self._repopulate(gone)
        if self._semaphore is not None:
            for _ in gone:
                self._semaphore.release()

    def _account_for(self, child: Child) -> None:
        job = child.job
        if job is None or job.ready():
            return
        if not job._accepted:
            child.job = None
            self._waiting.appendleft(job)
        elif child.is_job_terminated:
            self.runtime.note_end(job, child, "task.terminated", exit_code=child.exit_code)
            job._set_terminated(child.exit_code)
        else:
            self.runtime.note_end(job, child, "task.lost", exit_code=child.exit_code)
            self._mark_lost(job, child)

    def _mark_lost(self, job: Job, child: Child) -> None:
        from billiard.common import human_status

        try:
            raise WorkerLostError(f"Worker exited prematurely: {human_status(child.exit_code)} Job: {job._job}.")
        except WorkerLostError:
            job._set(None, (False, ExceptionInfo()))

    def _repopulate(self, gone: list[Child]) -> None:
        if self._phase != _RUN or not self.runtime.process.is_alive:
            return
        failed = [child for child in gone if child.exit_code not in (EXIT_OK, EXIT_RECYCLE)]
        taken = {child.index for child in self.children}
        for position in range(self._processes - len(self.children)):
            if position < len(failed):
                try:
                    self._restarts.step()
                except RestartFreqExceeded:
                    self.on_close()
                    raise
            index = next(number for number in range(self._processes) if number not in taken)
            taken.add(index)
            self._start_child(index)

    # -- time limits --------------------------------------------------------------------------

    def set_limits(self, job: Job, soft: float | None, hard: float | None) -> None:
        """Start the clock of an accepted job (AsynPool._create_timelimit_handlers)."""
        if soft:
            job.limit_timer = self._call_later(soft, lambda: self._soft_limit(job, soft, hard))
        elif hard:
            job.limit_timer = self._call_later(hard, lambda: self._hard_limit(job))

    def cancel_limits(self, job: Job) -> None:
        """Stop the clock of a job that is over."""
        if job.limit_timer is not None:
            job.limit_timer.cancel()
            job.limit_timer = None

    def _call_later(self, delay_s: float, action: Any) -> Any:
        # The action belongs to the worker's main process, so the hub runs it at its next turn.
        return self.kernel.loop.call_later(
            round(delay_s * MICROSECONDS_PER_SECOND), lambda: self.hub.call_soon(action)
        )

    def _soft_limit(self, job: Job, soft: float, hard: float | None) -> None:
        if job.ready():
            return
        if hard:
            job.limit_timer = self._call_later(hard - soft, lambda: self._hard_limit(job))
        child = job.child
        if child is None or not child.process.is_alive:
            return
        self.runtime.note_limit(job, child, is_soft=True, limit_s=soft)
        job.handle_timeout(soft=True)
        self.kernel.system.deliver(child.process, signal.SIGUSR1)

    def _hard_limit(self, job: Job) -> None:
        if job.ready():
            return
        child = job.child
        try:
            raise TimeLimitExceeded(job._timeout)
        except TimeLimitExceeded:
            job._set(job._job, (False, ExceptionInfo()))
        if child is not None:
            self.runtime.note_limit(job, child, is_soft=False, limit_s=job._timeout)
        job.handle_timeout(soft=False)
        if child is None or not child.process.is_alive:
            return
        self.runtime.note_end(job, child, "task.failed", error=f"TimeLimitExceeded({job._timeout})")
        process = child.process
        self.kernel.loop.call_later(_TERM_GRACE_US, lambda: self._kill(child))
        self.kernel.system.deliver(process, signal.SIGTERM)

    def _kill(self, child: Child) -> None:
        if child.process.is_alive:
            self.kernel.end_process(child.process, -signal.SIGKILL)
