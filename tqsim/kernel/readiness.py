"""Waiting until a file descriptor is ready, in virtual time.

The main name is :class:`Readiness`, the register of one simulation.  Inside a simulation it is other
fibers that make a descriptor ready: one writes to a pipe, or closes it.  So a fiber that waits is
parked, and before time moves the system is asked, without waiting, who has something.  Epolls are
asked all at once, by an epoll that watches them.  Simulated sockets tell whoever waits for them.

The system is waited for in real time where something outside is on its way: an answer of the network
(:class:`~tqsim.kernel.network.Network` knows), what somebody types at a terminal, as into a debugger,
and anything at all for the test itself while the simulation has nothing left to do.

Left out: how each function of ``select`` asks, which is :mod:`tqsim.kernel.pollers`.
"""

from __future__ import annotations

import itertools
import os
import select
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.fibers import Fiber
from tqsim.kernel.loop import TIMED_OUT, Loop
from tqsim.kernel.processes import Process
from tqsim.kernel.wires import Wire

__all__ = ["Readiness"]

_REAL_EPOLL: Final[Any] = getattr(select, "epoll", None)
_REAL_SLEEP: Final = time.sleep
_REAL_MONOTONIC: Final = time.monotonic
#: How long the system is waited for at a time: an epoll wakes at once, the others must be asked again.
_EPOLL_S: Final = 0.05
_ASK_AGAIN_S: Final = 0.001


class _Wait:
    """One fiber that waits: ``ask()`` gives something true as soon as there is something."""

    __slots__ = ("ask", "descriptors", "fiber", "number", "order", "since", "tell")

    def __init__(self, ask: Callable[[], Any], descriptors: Collection[int], number: int | None) -> None:
        self.ask = ask
        self.descriptors = descriptors
        self.number = number
        self.since = _REAL_MONOTONIC()

    fiber: Fiber
    order: int
    tell: Callable[[_Wait], None]

    def wake(self) -> None:
        """A simulated socket may be readable."""
        self.tell(self)


class Readiness:
    """Who waits for a descriptor.

    ``is_awaited(descriptor, since)`` says that something comes from outside to somebody who waits
    ``since`` (a real moment).
    """

    def __init__(self, loop: Loop, is_awaited: Callable[[int, float], bool]) -> None:
        self._loop = loop
        self._is_awaited = is_awaited
        #: Those for whom :meth:`look` must be called before time moves.
        self.watched: dict[_Wait, None] = {}
        self._asked: dict[_Wait, None] = {}
        self._by_number: dict[int, _Wait] = {}
        self._epoll: Any = None
        self._orders = itertools.count()

    def wait(
        self,
        ask: Callable[[], Any],
        timeout: float | None,
        what: str,
        *,
        descriptors: Collection[int] = (),
        number: int | None = None,
        wires: Collection[Wire] = (),
    ) -> Any:
        """Return what ``ask()`` finds at once or within ``timeout`` seconds; something false after that.

        What is watched are real ``descriptors``, perhaps by the epoll ``number``, and ``wires``.
        """
        found = ask()
        if found:
            return found
        loop = self._loop
        wait = _Wait(ask, descriptors, number)
        wait.fiber, wait.order, wait.tell = loop.require_current(), next(self._orders), self._tell
        if descriptors:
            self._watch(wait)
        for wire in wires:
            wire.pollers.append(wait)
        try:
            answer = loop.park(f"a descriptor ({what})", _microseconds(timeout))
        finally:
            for wire in wires:
                wire.pollers.remove(wait)
            self._forget(wait)
        return ask() if answer is TIMED_OUT else answer

    def look(self) -> None:
        """Wake those who have something; called before time moves."""
        while not self._wake_the_ready() and self._is_outside_expected():
            if self._asked or not self._by_number:
                _REAL_SLEEP(_ASK_AGAIN_S)
            else:
                self._epoll.poll(_EPOLL_S)

    def abandon(self, process: Process) -> None:
        """Forget the fibers of a process that has died."""
        for wait in [wait for wait in self.watched if wait.fiber.process is process]:
            self._forget(wait)

    def close(self) -> None:
        """Let go of the system."""
        if self._epoll is not None:
            self._epoll.close()

    def _watch(self, wait: _Wait) -> None:
        self.watched[wait] = None
        if wait.number is not None and _REAL_EPOLL is not None:
            if self._epoll is None:
                self._epoll = _REAL_EPOLL()
            try:
                self._epoll.register(wait.number, select.EPOLLIN)
            except OSError:
                pass  # another fiber waits with the same epoll
            else:
                self._by_number[wait.number] = wait
                return
        self._asked[wait] = None

    def _forget(self, wait: _Wait) -> None:
        if wait not in self.watched:
            return
        del self.watched[wait]
        self._asked.pop(wait, None)
        number = wait.number
        if number is not None and self._by_number.get(number) is wait:
            del self._by_number[number]
            try:
                self._epoll.unregister(number)
            except OSError:
                pass  # closed meanwhile, and so forgotten by the system

    def _tell(self, wait: _Wait) -> None:
        fiber = wait.fiber
        if not self._wake_if_ready(wait) and not fiber.is_woken and fiber.process.is_alive and wait.ask():
            # A signal handler of the same fiber has called, which is about to wait again.
            self._asked[wait] = self.watched[wait] = None

    def _wake_the_ready(self) -> bool:
        asked = {wait.order: wait for wait in self._asked}
        if self._by_number:
            for number, _ in self._epoll.poll(0):
                if number in self._by_number:
                    asked[self._by_number[number].order] = self._by_number[number]
        is_any = False
        for order in sorted(asked):  # those who came first are woken first, whatever the system says
            is_any |= self._wake_if_ready(asked[order])
        return is_any

    def _wake_if_ready(self, wait: _Wait) -> bool:
        if wait.fiber.is_woken:
            return False
        try:
            found = wait.ask()
        except Exception as error:  # noqa: BLE001 - whoever waits is told: the descriptor may be closed
            return self._loop.throw(wait.fiber, error)
        return bool(found) and self._loop.wake(wait.fiber, found)

    def _is_outside_expected(self) -> bool:
        loop = self._loop
        waits = [wait for wait in self.watched if not wait.fiber.is_woken]
        if loop.agenda.next_due_us() is None and any(wait.fiber is loop.main for wait in waits):
            return True
        return any(
            os.isatty(descriptor) or self._is_awaited(descriptor, wait.since)
            for wait in waits
            for descriptor in wait.descriptors
        )


def _microseconds(timeout: float | None) -> int | None:
    """A timeout in whole microseconds, and not 0, which would be no wait at all."""
    return None if timeout is None else max(1, round(timeout * MICROSECONDS_PER_SECOND))
