"""Celery's ``solo`` and ``threads`` pools, run as they are, with the moments of their tasks.

The main name is :func:`inline_pool_class`.  Both run tasks in the worker's main process; the
second in threads, which are fibers in a simulation.
"""

from __future__ import annotations

from typing import Any

from tqsim.worker.runtime import WorkerRuntime

__all__ = ["inline_pool_class"]


def inline_pool_class(implementation: type, runtime: WorkerRuntime) -> type:
    """Return ``implementation`` (a Celery pool) with every task run through ``runtime``."""
    is_in_the_loop = implementation.__module__ == "celery.concurrency.solo"

    class TaskPool(implementation):
        """A pool of Celery that notes what it runs."""

        def apply_async(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            request = getattr(options.get("accept_callback"), "__self__", None)

            def run(*task_args: Any, **task_kwargs: Any) -> Any:
                if not is_in_the_loop:
                    return runtime.run_inline(request, target, task_args, task_kwargs)
                # The task runs in the event loop, which sends no heartbeats meanwhile.
                return runtime.run_busy(request, target, task_args, task_kwargs)

            return super().apply_async(run, args, kwargs, **options)

    TaskPool.__module__ = implementation.__module__
    return TaskPool
