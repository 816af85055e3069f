"""The stall watchdog: real seconds without a switch mean that something blocks for real.

The main name is :class:`Watchdog`.  A native lock, a C extension or an endless computation stops
virtual time altogether.  A real thread looks every second whether the loop has moved; when it has
not for the given time, every thread's stack goes to standard error and the main thread is
interrupted.  It is off under a debugger.
"""

from __future__ import annotations

import _thread
import faulthandler
import sys
import threading
import time
from typing import Final

from tqsim.errors import NoProgress
from tqsim.kernel.loop import Loop

__all__ = ["Watchdog"]

_LOOK_EVERY_S: Final = 1.0
_RealEvent: Final = threading.Event
_RealThread: Final = threading.Thread
_REAL_START: Final = threading.Thread.start
_REAL_JOIN: Final = threading.Thread.join
_REAL_MONOTONIC: Final = time.monotonic
_REAL_INTERRUPT: Final = _thread.interrupt_main


class Watchdog:
    """Watches one loop from a real thread; :meth:`start` before patching, :meth:`stop` after.

    ``stall_s`` is in real seconds; 0 switches the watchdog off.
    """

    def __init__(self, loop: Loop, stall_s: float) -> None:
        self._loop = loop
        self._stall_s = stall_s
        self._stop = _RealEvent()
        self._thread: threading.Thread | None = None
        self.has_struck = False

    def start(self) -> None:
        """Begin to watch, unless a debugger traces this interpreter."""
        if self._stall_s <= 0 or sys.gettrace() is not None or "pydevd" in sys.modules:
            return
        self._thread = _RealThread(target=self._watch, name="tqsim-watchdog", daemon=True)
        _REAL_START(self._thread)

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._thread is not None:
            _REAL_JOIN(self._thread)
            self._thread = None

    def error(self) -> NoProgress:
        """What to raise instead of the ``KeyboardInterrupt`` that the watchdog caused."""
        fiber = self._loop.current or self._loop.main
        return NoProgress(
            f"Stalled: {fiber.name} of {fiber.process.name} has not given way for {self._stall_s:g} real "
            "seconds. It computes without end, or it blocks on something that is not simulated (a lock "
            "made before the simulation opened, a C extension, a socket). The stacks are on standard error."
        )

    def _watch(self) -> None:
        seen, since = -1, _REAL_MONOTONIC()
        while not self._stop.wait(_LOOK_EVERY_S):
            switches, now = self._loop.switches, _REAL_MONOTONIC()
            if switches != seen or self._loop.current is self._loop.main:
                seen, since = switches, now
            elif now - since >= self._stall_s and sys.gettrace() is None:
                self.has_struck = True
                faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr)
                _REAL_INTERRUPT()
                since = now
