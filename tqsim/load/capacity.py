"""The places of a service: who is served at the moment, and who waits for a place.

The main name is :class:`Capacity`.  A place belongs to the process that holds it: when a worker is
killed in the middle of a call, its connection breaks and the place is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tqsim.kernel import Kernel, WaitQueue
from tqsim.kernel.fibers import Fiber

__all__ = ["Capacity"]


class Capacity:
    """At most ``limit`` fibers at once (``None``: any number); the others wait in order."""

    def __init__(self, kernel: Kernel, limit: int | None, name: str) -> None:
        self.limit = limit
        self._loop = kernel.loop
        self._name = name
        self._served: dict[Fiber, None] = {}
        self._queue = WaitQueue(kernel.loop)

    @property
    def served(self) -> int:
        """How many are served."""
        return len(self._served)

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._queue)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place, and hold it for the ``with`` block."""
        fiber = self._loop.require_current()
        process = fiber.process
        # No ``finally`` of a killed process is ever run.
        leave = partial(self._leave, fiber)
        process.on_death.append(leave)
        try:
            if self.limit is None or len(self._served) < self.limit:
                self._served[fiber] = None
            else:
                self._queue.wait(f"capacity of {self._name}")  # whoever leaves hands a place over
            yield
        finally:
            if leave in process.on_death:
                process.on_death.remove(leave)
            self._leave(fiber)

    def _leave(self, fiber: Fiber) -> None:
        self._queue.discard(fiber)
        if fiber in self._served:
            del self._served[fiber]
            heir = self._queue.wake_one()
            if heir is not None:
                self._served[heir] = None  # before it runs: it may die first
