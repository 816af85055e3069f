"""What happens when: cancellable timers on a SimPy environment that counts whole microseconds.

The main name is :class:`Agenda`.  SimPy's own timeouts cannot be cancelled: a forgotten one stays
in the heap until it is due, and "nothing is left to happen" becomes undecidable.  A cancelled
:class:`Timer` lets go of its callback at once, stays in the heap as an empty shell, and is swept
out when shells outnumber live timers.  Fibers are not known here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import simpy

__all__ = ["Agenda", "Timer"]

_COMPACT_MIN: Final = 256

_EventQueue = list[tuple[int, int, int, "Timer"]]


class _Counter(Protocol):
    def __next__(self) -> int: ...


class Timer:
    """One entry of the agenda: a callable that is due at ``due_us`` unless it is cancelled.

    It has the three attributes that :meth:`simpy.Environment.step` asks of an event
    (simpy/core.py): ``callbacks``, ``_ok`` and ``_defused``.
    """

    __slots__ = ("_agenda", "_defused", "_ok", "action", "callbacks", "due_us")

    def __init__(self, agenda: Agenda, due_us: int, action: Callable[[], None]) -> None:
        self._agenda = agenda
        self._ok = True
        self._defused = True
        self.due_us = due_us
        self.action: Callable[[], None] | None = action
        self.callbacks: tuple[Callable[[Any], None], ...] | None = _FIRE

    @property
    def is_pending(self) -> bool:
        """Whether the timer is still going to fire."""
        return self.action is not None

    def cancel(self) -> None:
        """Make sure that the timer never fires; does nothing when it has fired already."""
        if self.action is None:
            return
        self.action = None
        self._agenda.forget()


def _fire(timer: Timer) -> None:
    action = timer.action
    if action is not None:
        timer.action = None
        action()
    else:
        timer._agenda.forget_shell()


_FIRE: Final = (_fire,)


class Agenda:
    """Virtual time and everything that is due in it, in whole microseconds since the start."""

    def __init__(self) -> None:
        self._environment = simpy.Environment(initial_time=0)
        self._queue = cast(_EventQueue, self._environment._queue)
        self._order = cast(_Counter, self._environment._eid)
        self._shells = 0
        #: The present moment in microseconds since the start; SimPy's own ``now``, without the way to it.
        self.now_us = 0

    def step(self) -> None:
        """Let time jump to the next entry, and fire it."""
        self.now_us = self._queue[0][0]
        self._environment.step()

    @property
    def live_count(self) -> int:
        """How many timers are still going to fire."""
        return len(self._queue) - self._shells

    def call_at(self, due_us: int, action: Callable[[], None]) -> Timer:
        """Call ``action()`` at ``due_us``, or now if that is past.

        Timers of one instant fire in the order in which they were made.
        """
        due_us = max(due_us, self.now_us)
        timer = Timer(self, due_us, action)
        heapq.heappush(self._queue, (due_us, 1, next(self._order), timer))
        return timer

    def next_due_us(self) -> int | None:
        """When the next live timer is due, or ``None`` if nothing is left to happen."""
        queue = self._queue
        while queue and queue[0][3].action is None:
            heapq.heappop(queue)
            self._shells -= 1
        return queue[0][0] if queue else None

    def forget(self) -> None:
        """Account for a timer that was cancelled; called by :meth:`Timer.cancel`."""
        self._shells += 1
        if self._shells > _COMPACT_MIN and self._shells * 2 > len(self._queue):
            # In place: SimPy and this class share the list.
            self._queue[:] = [entry for entry in self._queue if entry[3].action is not None]
            heapq.heapify(self._queue)
            self._shells = 0

    def forget_shell(self) -> None:
        """Account for a cancelled timer that left the heap in its turn."""
        self._shells -= 1

    def clear(self) -> None:
        """Drop everything that is due, at the end of a simulation."""
        for entry in self._queue:
            entry[3].action = None
            entry[3].callbacks = ()
        self._queue.clear()
        self._shells = 0
