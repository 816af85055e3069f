"""The eager worker: a publish returns when everything that it caused has come to an end.

The main name is :class:`Eager`, which is ``sim.eager()``.  Same broker, same worker code: only
the test waits.  What a task publishes while it runs is not waited for by that task, as in
production; the test's own publish waits for all of it.
"""

from __future__ import annotations

import functools
from types import TracebackType
from typing import Any, Self

from celery import Celery

from tqsim import durations
from tqsim.broker.links import Links
from tqsim.durations import Duration
from tqsim.kernel import Kernel
from tqsim.simulation.causes import Causes

__all__ = ["Eager"]


class Eager:
    """A ``with`` block in which publishing waits; made by :meth:`tqsim.Simulation.eager`.

    Retries, callbacks, chains and countdowns of the published task count as caused by it: time
    jumps to them.  ``limit`` bounds the virtual time of one publish.
    """

    def __init__(self, kernel: Kernel, causes: Causes, links: Links, limit: Duration) -> None:
        self._kernel = kernel
        self._causes = causes
        self._links = links
        self._limit_us = durations.microseconds(limit, "limit")
        self._real: Any = None

    def __enter__(self) -> Self:
        self._causes.begin()
        # At the class: an application may join while the block is open.
        self._real = Celery.send_task
        Celery.send_task = self._waiting(self._real)
        # A block that is never left must not outlive the simulation.
        self._kernel.patches.on_undo(self._restore)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        self._causes.end()

    def _restore(self) -> None:
        if self._real is not None:
            Celery.send_task, self._real = self._real, None

    def _waiting(self, real: Any) -> Any:
        @functools.wraps(real)
        def send_task(app: Any, name: Any, *args: Any, **kwargs: Any) -> Any:
            result = real(app, name, *args, **kwargs)
            loop = self._kernel.loop
            if self._kernel.is_test() and not loop.is_closed:
                self._wait_for(name)
            return result

        return send_task

    def _is_open(self) -> bool:
        """Whether something is not over, or may not even have arrived."""
        return self._causes.is_open or self._links.carries_work

    def _wait_for(self, name: Any) -> None:
        until_us = self._kernel.loop.now_us + self._limit_us
        if not self._kernel.run_until_quiet(lambda: not self._is_open(), until_us):
            raise self._kernel.loop.no_progress(
                f"eager: {name} has not come to an end within {durations.text(self._limit_us)} of virtual time. "
                f"Still there: {self._causes.describe()}. Is a worker running that consumes its queue?"
            )
