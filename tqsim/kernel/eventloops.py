"""asyncio's event loops in simulated processes.

The main name is :class:`EventLoops`.  A loop is asyncio's own; what is simulated is its selector and
the socket pair by which other threads, and signals, wake it.  Such a loop has no descriptor of the
system before it is given one, so one that is left behind, as in a process that was killed, costs
nothing; it is closed when the simulation closes.  ``signal.set_wakeup_fd`` belongs to a process.

Left out: which of its tasks goes first, which is :mod:`tqsim.kernel.orders`; loops that were made at
import (:mod:`tqsim.kernel.module_event_loops`); loops of other libraries, such as uvloop; and a loop
that is given a selector, whose socket pair is a real one.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import selectors
import signal
import weakref
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches
from tqsim.kernel.pollers import Pollers
from tqsim.kernel.processes import Process
from tqsim.kernel.wires import Wire, Wires

__all__ = ["EventLoops"]

_REAL_INIT: Final[Callable[..., None]] = BaseSelectorEventLoop.__init__
_REAL_MAKE_SELF_PIPE: Final[Callable[..., None]] = BaseSelectorEventLoop._make_self_pipe  # type: ignore[attr-defined]
_REAL_SELECTOR: Final = selectors.DefaultSelector
_REAL_SELECT: Final[Callable[..., Any]] = selectors.DefaultSelector.select
_REAL_SET_WAKEUP_FD: Final = signal.set_wakeup_fd
_REAL_SIGINTERRUPT: Final = signal.siginterrupt
_NO_DESCRIPTOR: Final = -1
#: Virtual time is counted in microseconds.
_RESOLUTION_S: Final = 1 / MICROSECONDS_PER_SECOND


class EventLoops:
    """Gives the event loops of one simulation their selectors."""

    def __init__(self, loop: Loop, pollers: Pollers, wires: Wires) -> None:
        self._loop = loop
        self._pollers = pollers
        self._wires = wires
        self._loops: weakref.WeakKeyDictionary[Any, Process] = weakref.WeakKeyDictionary()
        self._pipes: weakref.WeakValueDictionary[int, _SelfPipe] = weakref.WeakValueDictionary()
        self._wakeup_numbers: weakref.WeakKeyDictionary[Process, int] = weakref.WeakKeyDictionary()

    def install(self, patches: Patches) -> None:
        """Take over the making of event loops until ``patches`` are undone."""

        def init(event_loop: Any, selector: Any = None) -> None:
            if selector is None and self._pollers.is_inside():
                selector = _Selector(self._pollers, self._wires)
            _REAL_INIT(event_loop, selector)

        def make_self_pipe(event_loop: Any) -> None:
            if not isinstance(event_loop._selector, _Selector):
                _REAL_MAKE_SELF_PIPE(event_loop)
                return
            pipe = event_loop._ssock = event_loop._csock = _SelfPipe(self._wires)
            self._loops[event_loop] = self._loop.loaded
            self._pipes[pipe.fileno()] = pipe
            event_loop._internal_fds += 1
            event_loop._add_reader(pipe.fileno(), event_loop._read_from_self)

        def siginterrupt(signalnum: int, flag: bool, /) -> None:
            if not self._pollers.is_inside():
                _REAL_SIGINTERRUPT(signalnum, flag)

        patches.set(asyncio.BaseEventLoop, "_clock_resolution", self._clock_resolution())
        patches.set(BaseSelectorEventLoop, "__init__", init)
        patches.set(BaseSelectorEventLoop, "_make_self_pipe", make_self_pipe)
        patches.set(signal, "set_wakeup_fd", self._set_wakeup_fd)
        patches.set(signal, "siginterrupt", siginterrupt)
        patches.on_undo(self._close_leftovers)

    def _clock_resolution(self) -> property:
        """How much later a callback may be due and still be called.

        Loops count on the resolution of the real clock; it is lost in virtual seconds since 1970,
        and one would spin where a due callback seems to lie ahead.
        """
        name = "_clock_resolution"

        def get(event_loop: Any) -> float:
            is_virtual = not self._loop.is_closed and self._loop.in_loop_thread()
            return _RESOLUTION_S if is_virtual else float(vars(event_loop)[name])

        def put(event_loop: Any, value: float) -> None:
            vars(event_loop)[name] = value

        return property(get, put)

    def wake_for_signal(self, process: Process, number: int) -> None:
        """Write a signal that a process handles to the descriptor that it has named for that."""
        wakeup_number = self._wakeup_numbers.get(process, _NO_DESCRIPTOR)
        pipe = self._pipes.get(wakeup_number)
        if pipe is not None:
            pipe.send(bytes((number,)))
        elif wakeup_number != _NO_DESCRIPTOR:
            try:
                os.write(wakeup_number, bytes((number,)))
            except OSError:
                pass  # full or closed; the interpreter would say so on standard error

    def _set_wakeup_fd(self, fd: int, /, *, warn_on_full_buffer: bool = True) -> int:
        if not self._pollers.is_inside():
            return _REAL_SET_WAKEUP_FD(fd, warn_on_full_buffer=warn_on_full_buffer)
        fiber = self._loop.require_current()
        if fiber.thread is not None:
            raise ValueError("set_wakeup_fd only works in main thread of the main interpreter")
        before = self._wakeup_numbers.get(fiber.process, _NO_DESCRIPTOR)
        self._wakeup_numbers[fiber.process] = fd
        return before

    def hang_up(self, process: Process | None = None) -> None:
        """Close the connections of a process that has died, or of all at the end, as the system does.

        The code that is left behind is told that they are closed, and so does not complain.
        """
        for event_loop, owner in list(self._loops.items()):
            if process is None or owner is process:
                for transport in list(event_loop._transports.values()):
                    _hang_up(transport)

    def _close_leftovers(self) -> None:
        """Close the loops that nobody can use any more, without the complaints about those who forgot to."""
        for event_loop in list(self._loops):
            for transport in list(event_loop._transports.values()):
                transport._sock = None
            if event_loop.is_closed() or event_loop.is_running():
                continue
            for task in asyncio.all_tasks(event_loop):
                _forget_task(task)
            event_loop._signal_handlers.clear()  # the handlers that close() puts back would be the test's
            event_loop.close()


def _hang_up(transport: Any) -> None:
    """Close one transport (asyncio/selector_events.py, ``_SelectorTransport``) where it stands."""
    if transport._sock is not None:
        transport._sock.close()
    if not transport._closing:  # otherwise the loop still has to call back, and needs the socket for that
        transport._closing = True
        transport._conn_lost += 1
        transport._sock = None


def _forget_task(task: Any) -> None:
    task._log_destroy_pending = False
    coroutine = task.get_coro()
    if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
        coroutine.close()


class _Selector(selectors._BaseSelectorImpl):
    """The selector of one event loop: simulated sockets, and a real selector as soon as it needs one."""

    _fd_to_key: dict[int, selectors.SelectorKey]

    def __init__(self, pollers: Pollers, wires: Wires) -> None:
        super().__init__()
        self._pollers = pollers
        self._register = wires
        self._wires: dict[int, Wire] = {}
        self._outside: Any = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As of any selector; a simulated socket too."""
        key = super().register(fileobj, events, data)
        wire = self._register.get(key.fd)
        if wire is not None:
            self._wires[key.fd] = wire
            return key
        if self._outside is None:
            self._outside = _REAL_SELECTOR()
        try:
            self._outside.register(key.fd, events)
        except BaseException:
            super().unregister(fileobj)
            raise
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As of any selector."""
        key = super().unregister(fileobj)
        if self._wires.pop(key.fd, None) is None:
            self._outside.unregister(key.fd)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As of any selector, in virtual time."""
        if timeout is not None and timeout <= 0:
            found = self._ask()
            if not found:
                self._pollers.count_look()
            return found
        outside = self._outside
        found = self._pollers.readiness.wait(
            self._ask,
            timeout,
            "asyncio",
            descriptors=() if outside is None else outside.get_map().keys(),
            number=outside.fileno() if isinstance(outside, _EPOLL_SELECTOR) else None,
            wires=tuple(self._wires.values()),
        )
        return found or []

    def _ask(self) -> list[tuple[selectors.SelectorKey, int]]:
        found = []
        for number, wire in self._wires.items():
            key = self._fd_to_key[number]
            events = key.events & (selectors.EVENT_WRITE | (selectors.EVENT_READ if wire.is_readable() else 0))
            if events:
                found.append((key, events))
        if self._outside is not None:
            found.extend((self._fd_to_key[key.fd], events) for key, events in _REAL_SELECT(self._outside, 0))
        return found

    def close(self) -> None:
        """As of any selector."""
        if self._outside is not None:
            self._outside.close()
        super().close()


_EPOLL_SELECTOR: Final[Any] = getattr(selectors, "EpollSelector", ())


class _SelfPipe:
    """Both ends of the socket pair by which an event loop is woken."""

    def __init__(self, wires: Wires) -> None:
        data = self._data = bytearray()
        self._wires = wires
        self._wire = wires.new(lambda: bool(data))

    def fileno(self) -> int:
        """The number of the reading end."""
        return self._wire.number

    def send(self, data: bytes) -> int:
        """Write, and wake whoever waits."""
        self._data += data
        self._wire.notify()
        return len(data)

    def recv(self, size: int) -> bytes:
        """Read.  Raises ``BlockingIOError`` when there is nothing."""
        if not self._data:
            raise BlockingIOError
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    def close(self) -> None:
        """Close both ends."""
        self._wires.drop(self._wire)
