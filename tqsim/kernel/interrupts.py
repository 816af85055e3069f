"""Real signals that arrive while a simulation is open.

The main name is :class:`Interrupts`.  Python runs the handler of a signal inside whatever code
runs at that moment.  If that is task code, a worker takes what the handler raises (Ctrl-C, the
failure of pytest-timeout) for an error of the task, and the test never hears of it.  So it is also
kept as the loop's verdict, which whoever runs the simulation is told once the task gives way.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, Final

from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches

__all__ = ["Interrupts"]

_REAL_SIGNAL: Final = signal.signal
_REAL_GETSIGNAL: Final = signal.getsignal


class Interrupts:
    """Makes what real signal handlers raise reach the fiber that runs the simulation."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def install(self, patches: Patches) -> None:
        """Guard the handlers that are set, and those that the test sets meanwhile; after ``System``."""
        if threading.current_thread() is not threading.main_thread():
            return  # signals go to the main thread alone
        for number in signal.valid_signals():
            handler = _REAL_GETSIGNAL(number)
            if callable(handler):
                _REAL_SIGNAL(number, _GuardedHandler(self._loop, handler))
        if _REAL_GETSIGNAL(signal.SIGINT) == signal.SIG_IGN:
            _REAL_SIGNAL(signal.SIGINT, _IgnoringHandler(self._loop))
        patches.on_undo(_restore_handlers)
        set_handler, get_handler = signal.signal, signal.getsignal

        def stand_in(signalnum: int, handler: Any) -> Any:
            if callable(handler) and self._loop.current is self._loop.main and self._loop.in_loop_thread():
                handler = _GuardedHandler(self._loop, handler)
            return _plain(set_handler(signalnum, handler))

        patches.set(signal, "signal", stand_in)
        patches.set(signal, "getsignal", lambda signalnum: _plain(get_handler(signalnum)))


class _GuardedHandler:
    """A signal handler whose exception is not lost in a task."""

    def __init__(self, loop: Loop, handler: Callable[[int, Any], Any]) -> None:
        self.handler = handler
        self._loop = loop

    def __call__(self, number: int, frame: Any) -> None:
        __tracebackhide__ = True  # pytest then shows the line of the task that was interrupted
        loop = self._loop
        try:
            self.handler(number, frame)
        except BaseException as error:
            if loop.current is not loop.main and loop.verdict is None and not loop.is_closing:
                loop.verdict = error
                loop.housekeep_at = 0  # the loop looks at it there
            raise


class _IgnoringHandler:
    """In the place of an ignored SIGINT, as a shell leaves it to a job in the background.

    The stall watchdog must be able to interrupt the main thread all the same.
    """

    def __init__(self, loop: Loop) -> None:
        self.handler = signal.SIG_IGN
        self._loop = loop

    def __call__(self, number: int, frame: Any) -> None:
        if self._loop.verdict is not None:
            raise KeyboardInterrupt


def _plain(handler: Any) -> Any:
    return handler.handler if isinstance(handler, (_GuardedHandler, _IgnoringHandler)) else handler


def _restore_handlers() -> None:
    for number in signal.valid_signals():
        handler = _REAL_GETSIGNAL(number)
        if _plain(handler) is not handler:
            _REAL_SIGNAL(number, _plain(handler))
