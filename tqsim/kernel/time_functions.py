"""The functions of the ``time`` module that say what time it is, in virtual time.

The main name is :class:`TimeFunctions`.  They read the loop directly: one source for the time of
day and for every clock that only goes on.

Left out: ``datetime``, which is :mod:`tqsim.kernel.clock`, clocks of processor time, which are
:mod:`tqsim.kernel.processor_time`, and ``time.sleep``.
"""

from __future__ import annotations

import time
from _thread import get_ident
from collections.abc import Callable
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.clock import Clock
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import named
from tqsim.kernel.processor_time import ProcessorTime

__all__ = ["TimeFunctions"]

_REAL_LOCALTIME: Final = time.localtime
_REAL_GMTIME: Final = time.gmtime
_REAL_STRFTIME: Final = time.strftime
_REAL_CTIME: Final = time.ctime
_REAL_CLOCK_GETTIME: Final = time.clock_gettime
_REAL_CLOCK_GETTIME_NS: Final = time.clock_gettime_ns
#: The coarse clocks of Linux and those that wake a machine (time.h) have no names in Python.
_NAMELESS_CLOCKS: Final = (5, 6, 8, 9)
#: Each of them shows the virtual time of day, as ``time.monotonic`` does.
_CLOCKS: Final = frozenset(
    {value for name, value in vars(time).items() if name.startswith("CLOCK_") and "CPUTIME" not in name}
    | set(_NAMELESS_CLOCKS)
)


class TimeFunctions:
    """The stand-ins for the functions of ``time``; ``processor`` answers for clocks of its own."""

    def __init__(self, clock: Clock, loop: Loop, processor: ProcessorTime) -> None:
        self._clock = clock
        self._loop = loop
        self._processor = processor

    def replacements(self) -> dict[Any, Any]:
        """The functions with their stand-ins."""
        read_us, owner, loop = self._clock.read_us, self._loop.os_thread, self._loop
        processor_us = self._processor.read_clock_us

        def in_simulation() -> bool:
            return get_ident() == owner and not loop.is_closed

        def seconds(real: Callable[[], float]) -> Any:
            def stand_in() -> float:
                if get_ident() != owner or loop.is_closed:
                    return real()
                return read_us() / MICROSECONDS_PER_SECOND

            return named(stand_in, real)

        def nanoseconds(real: Callable[[], int]) -> Any:
            def stand_in() -> int:
                return read_us() * 1_000 if in_simulation() else real()

            return named(stand_in, real)

        def broken_down(real: Any) -> Any:
            def stand_in(secs: float | None = None) -> Any:
                if secs is None and in_simulation():
                    secs = read_us() / MICROSECONDS_PER_SECOND
                return real(secs)

            return named(stand_in, real)

        def strftime(format: str, t: Any = None) -> str:  # noqa: A002 - the name of the original
            if t is None and in_simulation():
                t = _REAL_LOCALTIME(read_us() / MICROSECONDS_PER_SECOND)
            return _REAL_STRFTIME(format) if t is None else _REAL_STRFTIME(format, t)

        def read_clock_us(clk_id: int) -> int | None:
            if not in_simulation():
                return None
            return read_us() if clk_id in _CLOCKS else processor_us(clk_id)

        def clock_gettime(clk_id: int) -> float:
            now_us = read_clock_us(clk_id)
            return _REAL_CLOCK_GETTIME(clk_id) if now_us is None else now_us / MICROSECONDS_PER_SECOND

        def clock_gettime_ns(clk_id: int) -> int:
            now_us = read_clock_us(clk_id)
            return _REAL_CLOCK_GETTIME_NS(clk_id) if now_us is None else now_us * 1_000

        result: dict[Any, Any] = {}
        for real in (time.time, time.monotonic, time.perf_counter):
            result[real] = seconds(real)
        for real_ns in (time.time_ns, time.monotonic_ns, time.perf_counter_ns):
            result[real_ns] = nanoseconds(real_ns)
        for real_struct in (_REAL_LOCALTIME, _REAL_GMTIME, _REAL_CTIME):
            result[real_struct] = broken_down(real_struct)
        result[_REAL_STRFTIME] = named(strftime, _REAL_STRFTIME)
        result[_REAL_CLOCK_GETTIME] = named(clock_gettime, _REAL_CLOCK_GETTIME)
        result[_REAL_CLOCK_GETTIME_NS] = named(clock_gettime_ns, _REAL_CLOCK_GETTIME_NS)
        return result
