"""What one simulated worker's pool needs to know of the world: who it is, and whom to tell.

The main name is :class:`WorkerRuntime`.  It initialises children as Celery's
``process_initializer`` does, runs a task in a child with the child's own tracer, and writes the
moments of a task's life.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from celery import signals
from celery._state import _set_task_join_will_block, set_default_app
from celery.app import trace
from celery.exceptions import Ignore, Reject, Retry
from celery.worker import state as worker_state

from tqsim.history import stable_text
from tqsim.kernel import Kernel, Process
from tqsim.kernel.fibers import Fiber, FiberExit

if TYPE_CHECKING:
    from tqsim.worker.children import Child
    from tqsim.worker.jobs import Job

__all__ = ["Note", "WorkerRuntime"]

#: Writes one moment: name, process name, task id, further fields.
Note = Callable[..., None]

#: What the child takes from the body of the message once more (celery/app/trace.py, ``trace_task_ret``).
_READ_IN_THE_CHILD: Final = ("args", "kwargs", "timelimit")
#: Mappings of texts and numbers, which every request has.
_FLAT: Final = ("delivery_info", "properties")
_TRACERS: Final = (trace.fast_trace_task, trace.trace_task_ret)


class _ChildTasks:
    """The task registry as a child's tracer sees it: each task with the child's own tracer.

    ``build_tracer`` captures pid and node name, so a tracer belongs to one process; Celery keeps
    it on the task, which several simulated processes share.
    """

    def __init__(self, app: Any, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._traced: dict[str, _Traced] = {}

    def __getitem__(self, name: str) -> _Traced:
        traced = self._traced.get(name)
        if traced is None:
            app = self._app
            task = app._tasks[name]
            tracer = trace.build_tracer(name, task, app.loader, self._hostname, app=app)
            traced = self._traced[name] = _Traced(tracer)
        return traced


class _Traced:
    __slots__ = ("__trace__",)

    def __init__(self, tracer: Any) -> None:
        self.__trace__ = tracer


class WorkerRuntime:
    """One worker as its pool sees it.

    ``note`` writes a moment, or is ``None`` when no history is kept; ``cost_us(task_name)`` is
    the virtual time that passes before the body of a task runs.
    """

    def __init__(
        self,
        kernel: Kernel,
        app: Any,
        process: Process,
        hostname: str,
        note: Note | None,
        cost_us: Callable[[Any], int] | None,
    ) -> None:
        self.kernel = kernel
        self.app = app
        self.process = process
        self.hostname = hostname
        self._note = note
        self._cost_us = cost_us
        #: What runs now, by fiber: the process that runs it, the task's id and its delivery.
        self.active: dict[Fiber, tuple[Process, str, int]] = {}

    @property
    def running(self) -> list[str]:
        """The ids of the tasks that run now."""
        return [task_id for process, task_id, _ in self.active.values() if process.is_alive]

    @property
    def is_busy(self) -> bool:
        """Whether a task of this worker is running."""
        return any(process.is_alive for process, _, _ in self.active.values())

    def note(self, name: str, task_id: str | None = None, **fields: Any) -> None:
        """Write a moment of this worker."""
        if self._note is not None:
            self._note(name, self.process.name, task_id, **fields)

    # -- children -----------------------------------------------------------------------------

    def initialise_child(self, child: Child) -> None:
        """Make a fresh child ready, as ``celery.concurrency.prefork.process_initializer``."""
        app = self.app
        _set_task_join_will_block(True)
        app.loader.init_worker()
        app.loader.init_worker_process()
        app.set_current()
        set_default_app(app)
        app.finalize()
        tasks = _ChildTasks(app, self.hostname)
        trace._localized[:] = [tasks, trace.prepare_accept_content(app.conf.accept_content), self.hostname]
        worker_state.reset_state()
        signals.worker_process_init.send(sender=self.hostname)

    def run_task(self, job: Job, child: Child, target: Any, args: Any, kwargs: Any) -> Any:
        """Run one task in the child that this is called in."""
        return self._run(job.request, child.process, target, args, kwargs)

    def run_inline(self, celery_request: Any, target: Any, args: Any, kwargs: Any) -> Any:
        """Run one task in the worker's main process, or in a thread of it."""
        fiber = self.kernel.loop.require_current()
        before = fiber.draws
        try:
            return self._run(celery_request, self.process, target, args, kwargs)
        finally:
            fiber.draws = before

    def run_busy(self, celery_request: Any, target: Any, args: Any, kwargs: Any) -> Any:
        """Run one task in the worker's main process while its event loop stands still."""
        process = self.process
        for tell in list(process.on_busy):
            tell(True)
        try:
            return self.run_inline(celery_request, target, args, kwargs)
        finally:
            for tell in list(process.on_busy):
                tell(False)

    def _run(self, celery_request: Any, process: Process, target: Any, args: Any, kwargs: Any) -> Any:
        if target not in _TRACERS:
            return target(*args, **kwargs)
        name, task_id, request, *rest = args
        request = _copied(request)
        number = getattr(getattr(celery_request, "message", None), "delivery_number", 0)
        fiber = self.kernel.loop.require_current()
        fiber.draws = self._draws_for(task_id, request)
        note = self._note
        if note is not None:
            note("task.started", self.process.name, task_id, delivery=number, child=process.pid)
        self.active[fiber] = (process, task_id, number)
        try:
            if self._cost_us is not None:
                cost_us = self._cost_us(name)
                if cost_us:
                    self.kernel.loop.sleep(cost_us)
            outcome = target(name, task_id, request, *rest, **kwargs)
        except (FiberExit, SystemExit, KeyboardInterrupt):
            raise  # the process ends with it, and tells so itself
        except BaseException as error:
            if note is not None:
                moment, fields = _ending((1, error, 0.0))
                note(moment, self.process.name, task_id, delivery=number, child=process.pid, **fields)
            raise
        finally:
            self.active.pop(fiber, None)
        if note is not None:
            moment, fields = _ending(outcome)
            note(moment, self.process.name, task_id, delivery=number, child=process.pid, **fields)
        return outcome

    def _draws_for(self, task_id: str, request: Any) -> Any:
        """The source of chance of one attempt.

        A redelivery is another attempt, and so is what has the id of a task that it replaces or repeats.
        """
        return self.kernel.chance.draws_anew("task", task_id, request.get("retries") or 0)

    def note_end(self, job: Job, child: Child, name: str, **fields: Any) -> None:
        """Write how a task ended that could not say so itself."""
        if self._note is None or job.request is None:
            return
        number = getattr(job.request.message, "delivery_number", 0)
        self._note(name, self.process.name, job.request.id, delivery=number, child=child.pid, **fields)

    def note_limit(self, job: Job, child: Child, *, is_soft: bool, limit_s: float) -> None:
        """Write that a time limit struck."""
        if self._note is not None and job.request is not None:
            self._note(
                "task.timed_out", self.process.name, job.request.id,
                delivery=getattr(job.request.message, "delivery_number", 0), child=child.pid,
                kind="soft" if is_soft else "hard", limit_s=limit_s,
            )  # fmt: skip


def _copied(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request as it reaches the child in production, a pickled copy of the worker's."""
    copied = dict(request)
    for key in _FLAT:
        copied[key] = copy.copy(request.get(key) or {})
    for key, value in request.items():
        if value and isinstance(value, (list, dict)) and key not in _FLAT and key not in _READ_IN_THE_CHILD:
            copied[key] = copy.deepcopy(value)
    return copied


def _ending(outcome: tuple[int, Any, float]) -> tuple[str, dict[str, Any]]:
    """The moment that ends an attempt, from what Celery's tracer returned."""
    failed, value, _ = outcome
    if not failed:
        return "task.succeeded", {"result": value}
    error = getattr(value, "exception", value)
    error = getattr(error, "exc", error) if not isinstance(error, (Retry, Reject, Ignore)) else error
    if isinstance(error, Retry):
        return "task.retried", {"error": stable_text(error.exc or error)}
    if isinstance(error, Reject):
        return "task.rejected", {"requeue": bool(error.requeue)}
    if isinstance(error, Ignore):
        return "task.ignored", {}
    return "task.failed", {"error": stable_text(error)}
