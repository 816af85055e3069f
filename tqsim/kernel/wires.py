"""Simulated sockets as an event loop sees them: a number that is readable, and who waits for it.

The main name is :class:`Wires`, the register of one simulation; a :class:`Wire` is one end of a
connection.  What travels over it is the business of its owner.  The numbers lie far above any
real file descriptor, so that a real system call on one fails instead of touching another file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

from tqsim.kernel.locks import WaitQueue
from tqsim.kernel.loop import Loop
from tqsim.kernel.processes import Process

__all__ = ["Poller", "Sleeper", "Wire", "Wires"]

_FIRST_NUMBER: Final = 1 << 24


class Poller(Protocol):
    """Somebody who watches several wires."""

    def wake(self) -> None:
        """Look again: one of them may be readable."""


class Sleeper(Protocol):
    """The owner of a wire whose client asks the same again and again while nothing happens."""

    def doze(self) -> bool:
        """Let the server take it as asked; return whether there was something to ask."""

    def wake_up(self) -> None:
        """Go on as if it had been asked each time."""


class Wire:
    """One end of a connection.  ``is_readable()`` says whether there is something to read.

    ``sleeper`` is set where a poller with nothing else to do may sleep through answers of nothing.
    """

    __slots__ = ("_waiting", "is_open", "is_readable", "number", "pollers", "sleeper")

    def __init__(self, number: int, is_readable: Callable[[], bool], loop: Loop) -> None:
        self.number = number
        #: A poller forgets one that is closed, as epoll does (epoll(7), Q6).
        self.is_open = True
        self.is_readable = is_readable
        self.pollers: list[Poller] = []
        self.sleeper: Sleeper | None = None
        self._waiting = WaitQueue(loop)

    def fileno(self) -> int:
        """The number under which pollers know the wire."""
        return self.number

    def settimeout(self, timeout: float | None) -> None:
        """Accepted for the sake of code that bounds real sockets; every operation is at once."""

    def notify(self) -> None:
        """Tell everybody who waits that there may be something to read."""
        if len(self._waiting):
            self._waiting.wake_all()
        for poller in self.pollers:
            poller.wake()

    def wait(self, reason: str, timeout_us: int | None) -> Any:
        """Park the running fiber until :meth:`notify`; ``TIMED_OUT`` when the timeout passed."""
        return self._waiting.wait(reason, timeout_us)


class Wires:
    """Every wire of one simulation, by its number."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._by_number: dict[int, Wire] = {}
        self._next = _FIRST_NUMBER

    def new(self, is_readable: Callable[[], bool]) -> Wire:
        """Return a new wire."""
        self._next += 1
        wire = self._by_number[self._next] = Wire(self._next, is_readable, self._loop)
        return wire

    def get(self, number: int) -> Wire | None:
        """Return the wire of a number, or ``None`` when it is closed."""
        return self._by_number.get(number)

    @contextmanager
    def opening(self, wire: Wire, process: Process) -> Iterator[None]:
        """Drop the wire if the connection does not come about, or if the process dies before: it tells nobody."""
        forget = partial(self.drop, wire)
        process.on_death.append(forget)
        try:
            yield
        except BaseException:
            forget()
            raise
        finally:
            process.on_death.remove(forget)

    def __len__(self) -> int:
        return len(self._by_number)

    def drop(self, wire: Wire) -> None:
        """Forget a wire that is closed."""
        wire.is_open = False
        self._by_number.pop(wire.number, None)
