"""One task in a prefork pool: what has to be run, and what is known of its run.

The main name is :class:`Job`; acceptance, results and callbacks are billiard's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from billiard.pool import ApplyResult

from tqsim.worker.runtime import WorkerRuntime

if TYPE_CHECKING:
    from tqsim.worker.children import Child

__all__ = ["Job"]


class Job(ApplyResult):
    """billiard's ``ApplyResult`` of one task, with what has to be run.

    ``written_to`` is the child that was given the job last, ``child`` the one that accepted it.
    """

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
        self.written_to: Child | None = None
        self.child: Child | None = None
        self._target = target
        self._args = args
        self._kwargs = kwargs
        self._runtime: WorkerRuntime = pool.runtime

    def run(self, child: Child) -> Any:
        """Run the task in its child; called there."""
        return self._runtime.run_task(self, child, self._target, self._args, self._kwargs)

    def note_lost(self, child: Child, exit_code: int | None) -> None:
        """Write that the run ended with its child, unless the worker has put an end to it already."""
        if not self.ready():
            name = "task.terminated" if child.is_job_terminated else "task.lost"
            self._runtime.note_end(self, child, name, exit_code=exit_code)
