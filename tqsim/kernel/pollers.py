"""``select.select``, ``poll`` and ``epoll``, and the classes of ``selectors``, in virtual time.

The main name is :class:`Pollers`.  In a simulated process each of them asks the system without
waiting, and leaves the waiting to :class:`~tqsim.kernel.readiness.Readiness`.  The three functions of
``select`` know simulated sockets (:mod:`tqsim.kernel.wires`) beside real descriptors; one can always
be written to.  To ask without waiting and find nothing counts as a look at the clock: whoever does
nothing else waits busily.

The test itself waits in real time, as it may wait for a program that it has started.  The exception
is an asyncio loop that watches nothing but its own wake-up: its sleeps are virtual.

Left out: ``select.kqueue`` and ``devpoll`` used directly, and asyncio's loops in simulated
processes, which are :mod:`tqsim.kernel.eventloops`.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Callable
from typing import Any, Final, Self, cast

from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches
from tqsim.kernel.readiness import Readiness
from tqsim.kernel.wires import Wire, Wires

__all__ = ["Pollers"]

_REAL_SELECT: Final[Callable[..., Any]] = select.select
_REAL_POLL: Final[Any] = getattr(select, "poll", None)
_REAL_EPOLL: Final[Any] = getattr(select, "epoll", None)
#: POLLIN and POLLOUT; EPOLLIN and EPOLLOUT are the same.
_IN: Final = 1
_OUT: Final = 4
#: What ``register`` watches for when nothing is said: these and POLLPRI.
_DEFAULT_MASK: Final = 7
_MILLISECONDS_PER_SECOND: Final = 1_000


class Pollers:
    """Makes waiting for descriptors virtual for one loop; ``count_look()`` counts a look at the clock."""

    def __init__(self, loop: Loop, readiness: Readiness, wires: Wires, count_look: Callable[[], object]) -> None:
        self._loop = loop
        self._wires = wires
        self.readiness = readiness
        self.count_look = count_look

    def replacements(self) -> dict[Any, Any]:
        """The functions of ``select`` with their stand-ins."""

        def poll() -> Any:
            return _Poll(self, _REAL_POLL()) if self.is_inside() else _REAL_POLL()

        def epoll(sizehint: int = -1, flags: int = 0) -> Any:
            return _Epoll(self, _REAL_EPOLL(sizehint, flags)) if self.is_inside() else _REAL_EPOLL(sizehint, flags)

        stand_ins: dict[Any, Any] = {_REAL_SELECT: self._make_select()}
        if _REAL_POLL is not None:
            stand_ins[_REAL_POLL] = poll
        if _REAL_EPOLL is not None:
            epoll.fromfd = _REAL_EPOLL.fromfd  # type: ignore[attr-defined]
            stand_ins[_REAL_EPOLL] = epoll
        return stand_ins

    def install(self, patches: Patches) -> None:
        """Make the selectors virtual, those of before too."""
        for name in ("SelectSelector", "_PollLikeSelector", "EpollSelector", "KqueueSelector"):
            kind = getattr(selectors, name, None)
            if kind is not None:
                patches.set(kind, "select", self._make_method(kind.select))

    def is_inside(self) -> bool:
        """Whether a simulated process asks."""
        loop = self._loop
        return not loop.is_closed and loop.in_loop_thread() and loop.current not in (None, loop.main)

    def wire(self, descriptor: Any) -> Wire | None:
        """The simulated socket behind a number or an object with ``fileno()``, if it is one."""
        return self._wires.get(_number(descriptor))

    def _make_select(self) -> Callable[..., Any]:
        def stand_in(rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /) -> Any:
            if not self.is_inside():
                return _REAL_SELECT(rlist, wlist, xlist, timeout)
            return self._select((list(rlist), list(wlist), list(xlist)), timeout)

        stand_in.__name__ = "select"
        return stand_in

    def _select(self, lists: tuple[list[Any], ...], timeout: float | None) -> Any:
        outside = [[item for item in items if self.wire(item) is None] for items in lists]
        wires = [wire for items in lists[:2] for item in items if (wire := self.wire(item)) is not None]

        def ask(timeout: float = 0) -> Any:
            found = _REAL_SELECT(*outside, timeout)
            if wires:
                readable = [item for item in lists[0] if item in found[0] or self._is_readable(item)]
                writable = [item for item in lists[1] if item in found[1] or self.wire(item) is not None]
                found = readable, writable, found[2]
            return found if any(found) else None

        if timeout is None or timeout > 0:
            numbers = {_number(item) for items in outside for item in items}
            found = self.readiness.wait(ask, timeout, "select", descriptors=numbers, wires=wires)
        else:
            found = ask(timeout)  # the real one judges what is below 0, or no number at all
            if found is None:
                self.count_look()
        return found or ([], [], [])

    def _is_readable(self, item: Any) -> bool:
        wire = self.wire(item)
        return wire is not None and wire.is_readable()

    def _make_method(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def stand_in(selector: Any, timeout: float | None = None) -> Any:
            if not self.is_inside() and not self._is_loop_of_test(selector):
                return real(selector, timeout)
            if timeout is not None and timeout <= 0:
                found = real(selector, 0)
                if not found:
                    self.count_look()
                return found
            return self.readiness.wait(
                lambda: real(selector, 0),
                timeout,
                type(selector).__name__,
                descriptors=selector.get_map().keys(),
                number=selector.fileno() if isinstance(selector, _EPOLL_SELECTOR) else None,
            )

        stand_in.__name__ = "select"
        return stand_in

    def _is_loop_of_test(self, selector: Any) -> bool:
        """Whether the test waits in an asyncio loop that only code in the simulation can wake."""
        loop, running = self._loop, cast(Any, asyncio._get_running_loop())
        if running is None or loop.is_closed or not loop.in_loop_thread() or loop.current is not loop.main:
            return False
        watched: Any = getattr(running, "_selector", None)
        return watched is selector and len(watched.get_map()) == running._internal_fds


_EPOLL_SELECTOR: Final[Any] = getattr(selectors, "EpollSelector", ())


def _number(descriptor: Any) -> int:
    """The number of a descriptor; -1 for what is none, which the real function is going to say."""
    if isinstance(descriptor, int):
        return descriptor
    return int(descriptor.fileno()) if hasattr(descriptor, "fileno") else -1


class _Poll:
    """``select.poll()`` in a simulated process; arguments and errors are those of the real one."""

    _units_per_second = _MILLISECONDS_PER_SECOND

    def __init__(self, pollers: Pollers, real: Any) -> None:
        self._pollers = pollers
        self._real = real
        self._descriptors: dict[int, None] = {}
        self._wires: dict[int, tuple[Wire, int]] = {}

    def register(self, fd: Any, eventmask: int = _DEFAULT_MASK) -> None:
        """Watch a descriptor or a simulated socket."""
        wire = self._pollers.wire(fd)
        if wire is None:
            self._real.register(fd, eventmask)
            self._descriptors[_number(fd)] = None
        else:
            self._wires[wire.number] = wire, eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        """Watch for something else."""
        wire = self._pollers.wire(fd)
        if wire is None:
            self._real.modify(fd, eventmask)
        else:
            self._wires[wire.number] = wire, eventmask

    def unregister(self, fd: Any) -> None:
        """Watch no longer."""
        number = _number(fd)
        if self._wires.pop(number, None) is None:
            self._real.unregister(fd)
            self._descriptors.pop(number, None)

    def poll(self, timeout: float | None = None) -> Any:
        """Wait; ``timeout`` is in milliseconds."""
        return self._wait(timeout)

    def _wait(self, timeout: float | None, *arguments: int) -> Any:
        pollers = self._pollers

        def ask(timeout: float | None = 0) -> list[tuple[int, int]]:
            found = self._ask_wires()
            return [*found, *self._real.poll(0 if found else timeout, *arguments)]

        if not pollers.is_inside():
            return ask(timeout)
        if timeout == 0:
            found = ask()
            if not found:
                pollers.count_look()
            return found
        return pollers.readiness.wait(
            ask,
            None if timeout is None or timeout < 0 else timeout / self._units_per_second,
            type(self._real).__name__,
            descriptors=self._descriptors.keys(),
            number=self._epoll_number(),
            wires=[wire for wire, _ in self._wires.values()],
        )

    def _ask_wires(self) -> list[tuple[int, int]]:
        found = []
        for number, (wire, mask) in self._wires.items():
            events = mask & (_IN | _OUT if wire.is_readable() else _OUT)
            if events:
                found.append((number, events))
        return found

    def _epoll_number(self) -> int | None:
        return None


class _Epoll(_Poll):
    """``select.epoll()`` in a simulated process."""

    _units_per_second = 1

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> Any:
        """Wait; ``timeout`` is in seconds."""
        return self._wait(timeout, maxevents)

    def fileno(self) -> int:
        """The number of the real epoll."""
        return int(self._real.fileno())

    _epoll_number = fileno

    def close(self) -> None:
        """Close the real epoll."""
        self._real.close()

    @property
    def closed(self) -> bool:
        """Whether the real epoll is closed."""
        return bool(self._real.closed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
