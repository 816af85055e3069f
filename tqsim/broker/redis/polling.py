"""``kombu.utils.eventio.poll`` in virtual time, for code that polls outside an event loop.

The main name is :func:`poller_class`.  kombu's Redis transport makes one for each connection and uses it
in ``drain_events``: clients that consume, replies to remote control, event receivers.  Inside a worker's
hub it is replaced by the hub's own (``MultiChannelPoller.on_poll_init``).
"""

from __future__ import annotations

from typing import Any

from kombu.utils.eventio import READ, WRITE

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.kernel import Kernel

__all__ = ["poller_class"]


def poller_class(kernel: Kernel) -> type:
    """Return the class of pollers of one simulation."""
    loop = kernel.loop

    class Poller:
        """``poll()`` over simulated wires; what is closed is unregistered by itself, as by epoll."""

        def __init__(self) -> None:
            self._flags: dict[int, int] = {}
            self._wires: dict[int, Any] = {}
            self._fiber: Any = None

        def register(self, fd: Any, flags: int) -> Any:
            """Watch a wire, given itself, its owner or its number."""
            number = fd if isinstance(fd, int) else fd.fileno()
            wire = kernel.wires.get(number)
            if wire is None:
                raise ValueError(f"{number} is not a simulated connection")
            self._flags[number] = flags
            if number not in self._wires:
                self._wires[number] = wire
                wire.pollers.append(self)
            return fd

        def unregister(self, fd: Any) -> None:
            """Watch it no longer; one that is not watched is no error."""
            number = fd if isinstance(fd, int) else fd.fileno()
            self._flags.pop(number, None)
            wire = self._wires.pop(number, None)
            if wire is not None:
                wire.pollers.remove(self)

        def wake(self) -> None:
            """Look again; called by a wire."""
            if self._fiber is not None:
                loop.wake(self._fiber)

        def poll(self, timeout: float | None) -> list[tuple[int, int]]:
            """Return what is ready, after waiting at most ``timeout`` seconds for it (``None``: for ever)."""
            ready = self._ready()
            if ready or timeout == 0:
                loop.require_current().reads = 0
                return ready
            timeout_us = None if timeout is None else max(1, round(timeout * MICROSECONDS_PER_SECOND))
            self._fiber = loop.require_current()
            try:
                loop.park("a message from Redis", timeout_us)
            finally:
                self._fiber = None
            return self._ready()

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
            """Watch nothing."""
            for number in list(self._wires):
                self.unregister(number)

    return Poller
