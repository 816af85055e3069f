"""Celery's event loop on virtual time: kombu's own ``Hub`` with a simulated poller.

The main name is :func:`hub_class`.  The hub, its timers and Celery's ``asynloop`` run as they
are; only ``poll()`` waits in virtual time.  A turn of the hub in which nothing is due and nothing
is ready does nothing, so after one such turn the poller sleeps until the next timer: an idle
worker costs nothing.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from kombu.asynchronous import hub as kombu_hub
from kombu.asynchronous import timer as kombu_timer
from kombu.utils.eventio import READ, WRITE
from vine import Thenable, promise

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import TIMED_OUT
from tqsim.kernel.agenda import Timer
from tqsim.kernel.fibers import Fiber
from tqsim.kernel.kernel import Kernel
from tqsim.kernel.steady import OrderedSet
from tqsim.worker.dozing import CALM_US, Dozing

__all__ = ["hub_class", "timer_class"]


class _Entry(kombu_timer.Entry):
    """A timer entry that is ordered by when it was made, not by its address."""

    __slots__ = ("idle_until", "number", "period")

    number: int
    #: Where somebody knows: a function that gives the moment up to which its ticks do nothing.
    idle_until: Any
    period: float

    def __lt__(self, other: Any) -> bool:
        return bool(self.number < other.number)


def timer_class() -> type:
    """Return kombu's timer with entries of one simulation, numbered in the order of making."""
    numbers = itertools.count()

    class Entry(_Entry):
        __slots__ = ()

        def __init__(self, fun: Any, args: Any = None, kwargs: Any = None) -> None:
            super().__init__(fun, args, kwargs)  # type: ignore[no-untyped-call]
            self.number = next(numbers)
            self.idle_until = None

    class Timer(kombu_timer.Timer):
        """kombu's timer."""

    Timer.Entry = Entry
    return Timer


class _Waker:
    """The place of the hub's socket pair; the poller is woken directly."""

    def __init__(self, kernel: Kernel, poller: _Poller) -> None:
        self._wires = kernel.wires
        self._wire = kernel.wires.new(lambda: False)
        self.pid = os.getpid()
        self.wake = poller.wake
        kernel.loop.require_current().process.on_death.append(self.close)

    def fileno(self) -> int:
        return self._wire.number

    def drain(self) -> None:
        """Nothing is ever written to it."""

    def close(self) -> None:
        """Close the pair."""
        self._wires.drop(self._wire)


class _Poller:
    """``poll()`` in virtual time over simulated wires."""

    def __init__(self, kernel: Kernel, timer: Any) -> None:
        self._kernel = kernel
        self._timer = timer
        self._flags: dict[int, int] = {}
        self._wires: dict[int, Any] = {}
        self._parked: Fiber | None = None
        self._alarm: Timer | None = None
        self._deadline_us: int | None = None
        self._is_woken = False
        self._was_quiet = False
        self._stirred_us = kernel.loop.now_us
        self._dozing = Dozing(kernel, timer)
        kernel.loop.require_current().process.on_death.append(self._forget_alarm)

    def register(self, fd: Any, flags: int) -> int:
        number = fd if isinstance(fd, int) else int(fd.fileno())
        wire = self._kernel.wires.get(number)
        if wire is None:
            raise ValueError(f"{number} is not a simulated connection")
        self._flags[number] = self._flags.get(number, 0) | flags
        if number not in self._wires:
            self._wires[number] = wire
            wire.pollers.append(self)
        return number

    def watches(self, number: int) -> bool:
        """Whether a wire is waited for when it is readable."""
        return bool(self._flags.get(number, 0) & READ)

    def unregister(self, fd: Any) -> None:
        number = fd if isinstance(fd, int) else int(fd.fileno())
        self._flags.pop(number, None)
        wire = self._wires.pop(number, None)
        if wire is not None:
            wire.pollers.remove(self)

    def wake(self) -> None:
        """Let ``poll()`` return."""
        self._is_woken = True
        if self._parked is not None:
            self._kernel.loop.wake(self._parked)

    def stir(self) -> None:
        """Let ``poll()`` return, for something that is to be done."""
        self._stirred_us = self._kernel.loop.now_us
        self.wake()

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        ready = self._ready()
        self._kernel.loop.require_current().reads = 0
        if ready or self._is_woken or timeout == 0:
            self._is_woken = self._was_quiet = False
            return ready
        loop = self._kernel.loop
        is_calm = loop.now_us - self._stirred_us >= CALM_US
        is_dozing = is_calm and self._dozing.begin(self._wires.values())
        timeout_us, is_timer = (self._dozing.due_us(), True) if is_dozing else self._wait_us(timeout)
        self._parked = loop.require_current()
        before = len(self._parked.interrupts)
        self._set_alarm(timeout_us)
        try:
            answer = loop.park("an event")
        finally:
            self._parked = None
            if is_dozing:
                self._dozing.end()
        self._was_quiet = answer is TIMED_OUT and not is_timer and not before
        self._is_woken = False
        return self._ready()

    def _set_alarm(self, timeout_us: int | None) -> None:
        """Be woken after ``timeout_us``.

        A busy worker waits anew for every message and hardly ever until the end, so an alarm that
        rings too early is kept, and set again when it does.
        """
        if timeout_us is None:
            self._forget_alarm()
            return
        loop = self._kernel.loop
        deadline_us = self._deadline_us = loop.now_us + timeout_us
        if self._alarm is None or self._alarm.due_us > deadline_us:
            self._forget_alarm()
            self._deadline_us = deadline_us
            self._alarm = loop.call_later(timeout_us, self._ring)

    def _forget_alarm(self) -> None:
        self._deadline_us = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        loop, deadline_us = self._kernel.loop, self._deadline_us
        self._alarm = None
        if self._parked is None or deadline_us is None:
            return
        if deadline_us <= loop.now_us:
            loop.wake(self._parked, TIMED_OUT)
        else:
            self._alarm = loop.call_later(deadline_us - loop.now_us, self._ring)

    def _wait_us(self, timeout: float | None) -> tuple[int | None, bool]:
        """How long to wait, and whether a timer is due then."""
        queue = self._timer._queue
        while queue and queue[0].entry.canceled:
            kombu_timer.heapq.heappop(queue)
        due_us = None
        if queue:
            due_us = round(queue[0].eta * MICROSECONDS_PER_SECOND) - self._kernel.clock.epoch_us
            due_us = max(due_us, 1)
        if self._was_quiet or timeout is None:
            return due_us, True
        timeout_us = max(1, round(timeout * MICROSECONDS_PER_SECOND))
        if due_us is not None and due_us <= timeout_us:
            return due_us, True
        return timeout_us, False

    def _ready(self) -> list[tuple[int, int]]:
        result = []
        for number, wire in list(self._wires.items()):
            if not wire.is_open:
                self.unregister(number)
                continue
            flags = self._flags[number]
            if flags & READ and wire.is_readable():
                result.append((number, READ))
            elif flags & WRITE:
                result.append((number, WRITE))
        return result

    def close(self) -> None:
        for number in list(self._wires):
            self.unregister(number)


def hub_class(kernel: Kernel) -> type:
    """Return kombu's ``Hub`` for the workers of one simulation."""

    class Hub(kombu_hub.Hub):
        """kombu's hub, polling in virtual time."""

        on_tick: Any
        on_close: Any
        _ready: Any

        def __init__(self, timer: Any = None) -> None:
            super().__init__(timer)  # type: ignore[no-untyped-call]
            self.on_tick = OrderedSet()
            self.on_close = OrderedSet()
            self._ready = OrderedSet()

        def _create_poller(self) -> None:
            self._poller = _Poller(kernel, self.timer)
            self._register_fd = self._poller.register
            self._unregister_fd = self._poller.unregister
            waker = getattr(self, "_waker", None)
            if waker is not None:
                waker.wake = self._poller.wake

        def _create_waker(self) -> _Waker:
            # Not among what is polled: nothing is ever written to it.
            self._waker = _Waker(kernel, self.poller)
            return self._waker

        def _pop_ready(self) -> OrderedSet:
            ready: OrderedSet = self._ready
            self._ready = OrderedSet()
            return ready

        def call_soon(self, callback: Any, *args: Any) -> Any:
            if not isinstance(callback, Thenable):
                callback = promise(callback, args)
            self._ready.add(callback)
            if self._poller is not None:
                self._poller.stir()
            return callback

        def add_reader(self, fds: Any, callback: Any, *args: Any) -> Any:
            # kombu's Redis transport adds the same ones on each turn.
            if isinstance(fds, int) and self.readers.get(fds) == (callback, args) and self._poller.watches(fds):
                return None
            return super().add_reader(fds, callback, *args)  # type: ignore[no-untyped-call]

        def wake(self) -> None:
            """Let the loop look around: something that it checks on each turn has changed."""
            if self._poller is not None:
                self._poller.stir()

    return Hub
