"""Processor time, and what else the system counts for a process, in virtual time.

The main name is :class:`ProcessorTime`.  What a task really computes differs from run to run; as
in a process that never waits, its processor time is the virtual time since it started, all of it
spent by the user.  Nothing else is counted: no memory, no page faults, no children.

Left out: ``time.clock_gettime`` itself, which is :mod:`tqsim.kernel.time_functions`.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.fibers import Fiber
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import named
from tqsim.kernel.processes import is_simulated_thread

__all__ = ["ProcessorTime"]

_REAL_TIMES: Final = os.times
_REAL_GETRUSAGE: Final = resource.getrusage
_REAL_GETCPUCLOCKID: Final = time.pthread_getcpuclockid
_USAGE_FIELDS: Final = 16
#: The number of a thread's clock is made of its native id and these bits (Linux, posix-timers.h).
_THREAD_CLOCK_BITS: Final = 3
_THREAD_CLOCK: Final = 0b110


class ProcessorTime:
    """The stand-ins for everything that tells processor time.

    ``read_us()`` is the clock as a fiber reads it; ``thread(ident)`` finds a simulated thread.
    """

    def __init__(self, loop: Loop, read_us: Callable[[], int], thread: Callable[[int], Fiber]) -> None:
        self._loop = loop
        self._read_us = read_us
        self._thread = thread
        self._started_us: dict[int, int] = {}

    def read_clock_us(self, clk_id: int) -> int | None:
        """The processor time that a clock shows, or ``None`` for a clock of somebody else."""
        if clk_id == time.CLOCK_PROCESS_CPUTIME_ID:
            return self._process_us()
        if clk_id == time.CLOCK_THREAD_CPUTIME_ID:
            return self._thread_us()
        started_us = self._started_us.get(clk_id)
        return None if started_us is None else self._since_us(started_us)

    def replacements(self) -> dict[Any, Any]:
        """The functions of ``time``, ``os`` and ``resource``, with their stand-ins."""
        process_us, thread_us = self._process_us, self._thread_us

        def seconds(real: Callable[[], float], read_us: Callable[[], int]) -> Any:
            return named(lambda: read_us() / MICROSECONDS_PER_SECOND if self._is_inside() else real(), real)

        def nanoseconds(real: Callable[[], int], read_us: Callable[[], int]) -> Any:
            return named(lambda: read_us() * 1_000 if self._is_inside() else real(), real)

        def times() -> os.times_result:
            if not self._is_inside():
                return _REAL_TIMES()
            used, elapsed = process_us(), self._read_us()
            return os.times_result((used / MICROSECONDS_PER_SECOND, 0.0, 0.0, 0.0, elapsed / MICROSECONDS_PER_SECOND))

        def getrusage(who: int, /) -> resource.struct_rusage:
            used_us = self._used_us(who) if self._is_inside() else None
            if used_us is None:
                return _REAL_GETRUSAGE(who)
            return resource.struct_rusage((used_us / MICROSECONDS_PER_SECOND, 0.0, *(0,) * (_USAGE_FIELDS - 2)))

        def pthread_getcpuclockid(thread_id: int, /) -> int:
            return self._clock_of(thread_id)

        return {
            time.process_time: seconds(time.process_time, process_us),
            time.process_time_ns: nanoseconds(time.process_time_ns, process_us),
            time.thread_time: seconds(time.thread_time, thread_us),
            time.thread_time_ns: nanoseconds(time.thread_time_ns, thread_us),
            _REAL_TIMES: named(times, _REAL_TIMES),
            _REAL_GETRUSAGE: named(getrusage, _REAL_GETRUSAGE),
            _REAL_GETCPUCLOCKID: named(pthread_getcpuclockid, _REAL_GETCPUCLOCKID),
        }

    def _is_inside(self) -> bool:
        return self._loop.in_loop_thread() and not self._loop.is_closed

    def _since_us(self, started_us: int) -> int:
        self._read_us()  # who waits busily for processor time is moved on in time
        return self._loop.now_us - started_us

    def _process_us(self) -> int:
        fiber = self._loop.current
        process = self._loop.loaded if fiber is None else fiber.process
        return self._since_us(process.started_us)

    def _thread_us(self) -> int:
        return self._since_us((self._loop.current or self._loop.main).started_us)

    def _used_us(self, who: int) -> int | None:
        """What ``getrusage`` says of somebody, or ``None`` for one whom it does not know."""
        if who == resource.RUSAGE_SELF:
            return self._process_us()
        if who == getattr(resource, "RUSAGE_THREAD", None):
            return self._thread_us()
        return 0 if who == resource.RUSAGE_CHILDREN else None

    def _clock_of(self, ident: int) -> int:
        """The number of a thread's clock; a simulated ident never reaches the system."""
        if not is_simulated_thread(ident) and (not self._is_inside() or self._loop.current is self._loop.main):
            return _REAL_GETCPUCLOCKID(ident)
        if not self._is_inside():
            raise ProcessLookupError(3, "No such process")
        fiber = self._thread(ident)
        number = ~fiber.native_id << _THREAD_CLOCK_BITS | _THREAD_CLOCK
        self._started_us[number] = fiber.started_us
        return number
