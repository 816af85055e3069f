"""``threading`` and ``queue`` for code inside a simulation.

The main name is :class:`Threading`.  A thread that is started while a simulation is open becomes
a fiber of the process that starts it; locks, conditions, events, semaphores and queues that are
made while it is open wait in virtual time.  Threads of before, and foreign threads (a debugger,
pytest-timeout), keep the real thing.
"""

from __future__ import annotations

import _queue
import _thread
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.fibers import Fiber, FiberExit
from tqsim.kernel.locks import VirtualLock, VirtualRLock
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches, asking_module, is_tool

__all__ = ["Threading"]

_REAL_LOCK: Final = threading.Lock
_REAL_ALLOCATE_LOCK: Final = _thread.allocate_lock  # the same object up to Python 3.12
_REAL_RLOCK: Final = threading.RLock
_REAL_C_RLOCK: Final = _thread.RLock
_REAL_GET_IDENT: Final = _thread.get_ident
_REAL_START: Final = threading.Thread.start
_REAL_JOIN: Final = threading.Thread.join
_REAL_IS_ALIVE: Final = threading.Thread.is_alive


class Threading:
    """Makes threads and locks virtual for one loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._started: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    def replacements(self) -> dict[Any, Any]:
        """The factories of ``threading`` and ``queue``, with their stand-ins."""
        loop = self._loop

        def make_lock() -> Any:
            return VirtualLock(loop) if self._is_inside() and not _is_for_a_tool() else _REAL_LOCK()

        def make_rlock() -> Any:
            return VirtualRLock(loop) if self._is_inside() and not _is_for_a_tool() else _REAL_C_RLOCK()

        def make_simple_queue() -> Any:
            return queue._PySimpleQueue() if self._is_inside() else _queue.SimpleQueue()  # type: ignore[attr-defined]

        return {
            _REAL_LOCK: make_lock,
            _REAL_ALLOCATE_LOCK: make_lock,
            _REAL_RLOCK: make_rlock,
            _REAL_C_RLOCK: make_rlock,
            _queue.SimpleQueue: make_simple_queue,
        }

    def install(self, patches: Patches) -> None:
        """Make ``Thread.start``, ``join`` and ``is_alive`` virtual."""
        patches.set(threading.Thread, "start", self._method(_start, _REAL_START))
        patches.set(threading.Thread, "join", self._method(_join, _REAL_JOIN))
        patches.set(threading.Thread, "is_alive", self._method(_is_alive, _REAL_IS_ALIVE))
        shutdown_locks = getattr(threading, "_shutdown_locks", None)
        if shutdown_locks is not None:
            before = set(shutdown_locks)
            patches.on_undo(lambda: shutdown_locks.intersection_update(before))
        patches.on_undo(self._end_all)

    def _end_all(self) -> None:
        """Let the real ``join`` and ``is_alive`` know that no thread of the simulation runs any more."""
        for thread in self._started:
            if hasattr(thread, "_tqsim_fiber"):
                _mark_ended(thread)

    def _is_inside(self) -> bool:
        return _REAL_GET_IDENT() == self._loop.os_thread and not self._loop.is_closed

    def _method(self, virtual: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
        loop = self._loop

        def method(thread: threading.Thread, *args: Any, **kwargs: Any) -> Any:
            if real is _REAL_START and self._is_inside() and not _is_for_a_tool():
                self._started.add(thread)
                return virtual(loop, thread, *args, **kwargs)
            if hasattr(thread, "_tqsim_fiber"):
                return virtual(loop, thread, *args, **kwargs)
            return real(thread, *args, **kwargs)

        method.__name__ = real.__name__
        method.__doc__ = real.__doc__
        return method


def _is_for_a_tool() -> bool:
    """Whether a tool such as pytest-timeout asks, which must go on in real time."""
    return is_tool(asking_module("threading", __name__))  # below a fiber stands the loop, which is no tool


def _start(loop: Loop, thread: Any) -> None:
    """``Thread.start``: the thread's ``run`` becomes a fiber of the starting process."""
    if hasattr(thread, "_tqsim_fiber") or thread._started.is_set():
        raise RuntimeError("threads can only be started once")
    starter = loop.require_current()

    def body() -> None:
        try:
            thread.run()
        except FiberExit:
            raise
        except BaseException:  # noqa: BLE001 - as threading.Thread._bootstrap_inner; SystemExit is silent there
            thread._invoke_excepthook(thread)
        finally:
            threading._active.pop(thread._ident, None)  # type: ignore[attr-defined]
            _mark_ended(thread)

    fiber = loop.spawn(body, thread.name, starter.process, starter.draws)
    fiber.thread = thread
    thread._tqsim_fiber = fiber
    thread._ident, thread._native_id = fiber.thread_ident, fiber.native_id
    threading._active[thread._ident] = thread  # type: ignore[attr-defined]
    thread._started.set()


def _mark_ended(thread: Any) -> None:
    """Put a thread in the state of one that has ended, as the interpreter's own code sees it."""
    handle = getattr(thread, "_handle", None)
    if handle is None:
        thread._is_stopped = True  # up to Python 3.12
    elif not handle.is_done():
        thread._handle = threading._make_thread_handle(thread._ident)  # type: ignore[attr-defined]
        thread._handle._set_done()


def _join(loop: Loop, thread: Any, timeout: float | None = None) -> None:
    fiber: Fiber = thread._tqsim_fiber
    if fiber is loop.current:
        raise RuntimeError("cannot join current thread")
    if fiber.is_done or loop.is_closed:
        return
    timeout_us = None if timeout is None else max(0, round(timeout * MICROSECONDS_PER_SECOND))
    loop.join(fiber, timeout_us)


def _is_alive(loop: Loop, thread: Any) -> bool:
    fiber: Fiber = thread._tqsim_fiber
    return not fiber.is_done and fiber.process.is_alive and not loop.is_closed
