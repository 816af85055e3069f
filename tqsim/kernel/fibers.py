"""A line of execution in virtual time: a greenlet with a name and a simulated process.

The main name is :class:`Fiber`.  Who runs when is decided by the loop, and what a process is by
:mod:`tqsim.kernel.processes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import greenlet

if TYPE_CHECKING:
    from tqsim.kernel.agenda import Timer
    from tqsim.kernel.chance import Draws
    from tqsim.kernel.locals import Values
    from tqsim.kernel.processes import Process

__all__ = ["TIMED_OUT", "Fiber", "FiberExit"]

#: What ends a leftover fiber when a simulation closes.
FiberExit = greenlet.GreenletExit


class _TimedOut:
    """The type of :data:`TIMED_OUT`."""

    def __repr__(self) -> str:
        return "TIMED_OUT"

    def __bool__(self) -> bool:
        return False


#: Returned by a wait when its timeout passed.
TIMED_OUT: Final = _TimedOut()


class Fiber:
    """One line of execution; made by :meth:`tqsim.kernel.loop.Loop.spawn`.

    ``background`` fibers (beat, a worker's own loop) do not keep a simulation from being idle.
    ``interrupts`` are signal handlers that run in the fiber before anything else.
    ``wake_value`` is what the next return of ``park`` gives, ``throwing`` an exception that it
    raises instead.  ``draws`` is the source of chance of whatever the fiber is working on.
    ``reads`` counts looks at the clock since the last wait, ``refusals`` waits refused at the end.
    To the code in it a fiber is a thread: number ``number`` of its process, of the ``threading``
    object ``thread``, or the main thread when that is ``None``.  ``started_us`` is virtual time.
    """

    __slots__ = (
        "background",
        "draws",
        "error",
        "greenlet",
        "interrupts",
        "is_done",
        "is_ready",
        "is_woken",
        "name",
        "number",
        "parked_reason",
        "priority",
        "process",
        "reads",
        "refusals",
        "started_us",
        "thread",
        "thread_ident",
        "thread_state",
        "throwing",
        "timer",
        "waiters",
        "wake_value",
    )

    def __init__(self, name: str, process: Process, draws: Draws, started_us: int = 0) -> None:
        self.name = name
        self.process = process
        self.number = process.number_thread()
        self.thread_ident = process.thread_ident(self.number)
        self.draws = draws
        self.started_us = started_us
        self.greenlet: Any = None
        self.background = False
        self.error: BaseException | None = None
        self.interrupts: list[Callable[[], None]] = []
        self.is_done = False
        self.is_ready = False
        self.is_woken = False
        self.parked_reason: str | Callable[[], str] | None = None
        self.priority: float | None = None
        self.reads = 0
        self.refusals = 0
        self.thread: Any = None
        self.thread_state: Values | None = None
        self.throwing: BaseException | None = None
        self.timer: Timer | None = None
        self.wake_value: Any = None
        self.waiters: list[Fiber] = []

    @property
    def native_id(self) -> int:
        """The thread's id for the operating system."""
        return self.process.native_id(self.number)

    @property
    def doing(self) -> str:
        """What the fiber is waiting for, in words."""
        if self.is_done:
            return "ended"
        reason = self.parked_reason
        if reason is None:
            return "running"
        return reason if isinstance(reason, str) else reason()

    def __repr__(self) -> str:
        return f"<Fiber {self.name!r} of {self.process.name}: {self.doing}>"
