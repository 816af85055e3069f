"""The stall watchdog: real seconds without a switch mean that something blocks for real.

The main name is :class:`Watchdog`.  A native lock, a C extension or an endless computation stops
virtual time altogether.  A real thread looks every second whether the loop has moved; when it has
not for the given time, every thread's stack goes to standard error and the main thread is
interrupted; when that does not help, or the simulation runs in another thread than the main one,
the interpreter is aborted.  It is off under a debugger, also one that starts in the middle of a task
(``breakpoint()``).
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from typing import Any, Final

from tqsim import durations
from tqsim.errors import NoProgress
from tqsim.kernel.loop import Loop

__all__ = ["Watchdog"]

_LOOK_EVERY_S: Final = 1.0
_LOOKS_PER_STALL: Final = 4
#: After so many interrupts that changed nothing the interpreter is aborted.
_STRIKES_MAX: Final = 3
_DEBUGGERS: Final = frozenset({"bdb", "pdb", "pydevd", "_pydevd_bundle", "debugpy"})
_RealEvent: Final = threading.Event
_RealThread: Final = threading.Thread
_REAL_START: Final = threading.Thread.start
_REAL_JOIN: Final = threading.Thread.join
_REAL_MONOTONIC: Final = time.monotonic
_REAL_ABORT: Final = os.abort


class Watchdog:
    """Watches one loop from a real thread; :meth:`start` before patching, :meth:`stop` after.

    ``stall_s`` is in real seconds; 0 switches the watchdog off.
    """

    def __init__(self, loop: Loop, stall_s: float) -> None:
        self._loop = loop
        self._stall_s = stall_s
        self._stop = _RealEvent()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch, unless a debugger traces this interpreter."""
        if self._stall_s <= 0 or _is_debuggers(sys.gettrace()) or "pydevd" in sys.modules:
            return
        self._thread = _RealThread(target=self._watch, name="tqsim-watchdog", daemon=True)
        _REAL_START(self._thread)

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._thread is not None:
            _REAL_JOIN(self._thread)
            self._thread = None

    def _error(self) -> NoProgress:
        fiber = self._loop.current or self._loop.main
        return self._loop.no_progress(
            f"Stalled at {durations.text(self._loop.now_us)}: {fiber.name} of {fiber.process.name} has not "
            f"given way for {self._stall_s:g} real seconds. It computes without end, or it blocks on "
            "something that is not simulated (a lock made before the simulation opened, a C extension, a "
            "socket). The stacks are on standard error."
        )

    def _watch(self) -> None:
        loop = self._loop
        seen, since, strikes = -1, _REAL_MONOTONIC(), 0
        while not self._stop.wait(min(_LOOK_EVERY_S, self._stall_s / _LOOKS_PER_STALL)):
            switches, now = loop.switches, _REAL_MONOTONIC()
            if switches != seen or loop.current is loop.main or _is_debugged(loop.os_thread):
                seen, since, strikes = switches, now, 0
            elif now - since >= self._stall_s:
                strikes += 1
                self._strike(strikes)
                since = now

    def _strike(self, strikes: int) -> None:
        loop = self._loop
        loop.verdict = self._error()
        loop.housekeep_at = 0  # the loop itself raises it when the interrupt is swallowed
        stream = sys.__stderr__ or sys.stderr
        faulthandler.dump_traceback(file=stream)
        if strikes > _STRIKES_MAX or loop.os_thread != threading.main_thread().ident:
            print(f"tqsim gives up: {loop.verdict}", file=stream, flush=True)
            _REAL_ABORT()
        # A real signal, as it also interrupts a system call and the wait for a native lock.
        signal.pthread_kill(loop.os_thread, signal.SIGINT)


def _is_debugged(thread: int) -> bool:
    """Whether a debugger waits for its user in that thread, or follows what runs there."""
    # The trace function of another thread cannot be asked for, but it marks the frames it follows.
    frame = sys._current_frames().get(thread)
    while frame is not None:
        if _root(frame.f_globals.get("__name__")) in _DEBUGGERS or _is_debuggers(frame.f_trace):
            return True
        frame = frame.f_back
    return False


def _is_debuggers(trace: Any) -> bool:
    """Whether a trace function belongs to a debugger: coverage has one too."""
    return _root(getattr(trace, "__module__", None)) in _DEBUGGERS


def _root(name: object) -> str:
    return str(name).partition(".")[0]
