"""When a worker notices that a child of its pool has ended.

The main name is :class:`Reaper`.  In production the event loop watches a pipe of which the child holds
the other end (celery/concurrency/asynpool.py, ``_track_child_process``).  The system closes the files
of a dying process *before* ``waitpid`` tells of its end, so the loop is woken by the closing pipe, asks
``waitpid`` (``_event_process_exit``, ``maintain_pool``), hears that the child still runs, and has by then
stopped watching it.  The child is found by the next ``maintain_pool``: that of the timer
(``AsynPool.timers``, every 5 s from the moment at which the worker began to consume, anew after each
connection), of another child's end, of a lost connection (``flush``) or of the autoscaler.

It is a race that the operating system decides.  Measured with Celery 5.7.0 and billiard 4.3.2 on Linux
6.18 with two processors: the loop was too early in 587 of 1031 deaths, in 12 of 14 where worker and child
were held to one processor, and in 4 of 182 where each had its own (the 4 were children at their
``max_tasks_per_child``); https://github.com/celery/celery/issues/9588 tells of it from production.  The
model has the loop too early whenever it was waiting at the instant of the death.  A loop that was busy
then finds the child at once: while it waited for another child at its hard limit, when a policy other
than ``fifo`` holds it back, or after it killed the child itself, since a revoke has more to do
(``revoke(terminate=True, signal="SIGKILL")``: at once in 76 of 92).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from tqsim.kernel import Kernel
from tqsim.kernel.agenda import Timer
from tqsim.worker.children import Child

__all__ = ["Reaper"]

#: celery/concurrency/asynpool.py, ``AsynPool.timers``.
_PERIOD_US: Final = 5_000_000


class Reaper:
    """Finds the children of one pool that have ended.

    ``maintain()`` takes the found ones out of the pool; ``call_soon(action)`` has an action run in the
    worker's main process, where ``maintain`` and :meth:`look` belong.
    """

    def __init__(
        self, kernel: Kernel, call_soon: Callable[[Callable[[], None]], None], maintain: Callable[[], None]
    ) -> None:
        self._loop = kernel.loop
        self._call_soon = call_soon
        self._maintain = maintain
        self._closed: deque[Child] = deque()
        self._began_us: int | None = None
        self._timer: Timer | None = None

    @property
    def has_news(self) -> bool:
        """Whether a child's pipe has closed and the loop has not looked yet."""
        return bool(self._closed)

    def begin(self) -> None:
        """Count the five seconds from now on: the worker consumes (again)."""
        self._began_us = self._loop.now_us
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.expect()

    def expect(self) -> None:
        """Let the timer run that finds whatever has to be done in the pool.

        It only runs when there is something to find, so that an idle worker costs nothing.
        """
        if self._timer is None and self._began_us is not None:
            since_us = self._loop.now_us - self._began_us
            self._timer = self._loop.call_later(_PERIOD_US - since_us % _PERIOD_US, self._ring)

    def take_end(self, child: Child) -> None:
        """Take in that a child has ended: its pipe closes."""
        self._closed.append(child)

    def look(self) -> None:
        """Look after every closed pipe, one after another."""
        while self._closed:
            child = self._closed.popleft()
            self._maintain()
            child.is_reapable = True

    def is_found(self, child: Child) -> bool:
        """Whether ``waitpid`` says that a child has ended."""
        return not child.process.is_alive and (child.is_reapable or child.ended_us < self._loop.now_us)

    def _ring(self) -> None:
        self._timer = None
        self._call_soon(self._maintain)
