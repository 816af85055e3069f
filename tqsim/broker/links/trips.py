"""What somebody waits for who calls a server over an ailing link, and how long.

The main name is :func:`pauses`: it knows when TCP asks again and when it gives up, and leaves the waiting to
its caller, a fiber or a coroutine.
"""

from __future__ import annotations

import errno
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple, Protocol

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.loop import Loop
from tqsim.kernel.processes import Process

__all__ = ["Pause", "pauses"]

#: ``net.ipv4.tcp_syn_retries`` = 6: asked again after 1, 3, 7, 15, 31 and 63 s, given up after 127 s (tcp(7)).
_GIVES_UP_US: Final = 127 * MICROSECONDS_PER_SECOND


class Pause(NamedTuple):
    """A wait of ``for_us``, which a change of the links ends if ``ends_with_change``."""

    for_us: int
    ends_with_change: bool


class _Conditions(Protocol):
    loop: Loop

    def is_clear(self, process: Process) -> bool:
        """Whether nothing ails the links of a process."""

    def is_cut(self, process: Process) -> bool:
        """Whether nothing arrives at present."""

    def draw_delay_us(self, process: Process) -> int:
        """Return how long the next piece takes."""
        ...


def pauses(links: _Conditions, process: Process, times: int, timeout_us: int | None) -> Iterator[Pause]:
    """Yield what to wait for until something has gone to the server and back, so many times.

    Raises ``TimeoutError`` when one of them takes longer than ``timeout_us``, or than TCP waits.
    """
    limit_us = _GIVES_UP_US if timeout_us is None else min(timeout_us, _GIVES_UP_US)
    for _ in range(times):
        if links.is_clear(process):
            return
        has_arrived = yield from _there_and_back(links, process, limit_us)
        if not has_arrived:
            # A timeout is noticed after it, and whoever asks whether its time is over must find that it is: kombu
            # asks for ``time() > end`` before it tries once more (kombu/utils/functional.py, ``retry_over_time``).
            yield Pause(1, ends_with_change=False)
            if limit_us < _GIVES_UP_US:
                raise TimeoutError("timed out")
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")


def _there_and_back(links: _Conditions, process: Process, limit_us: int) -> Generator[Pause, None, bool]:
    loop = links.loop
    begin_us = loop.now_us
    while links.is_cut(process):
        left_us = begin_us + limit_us - loop.now_us
        if left_us <= 0:
            return False
        yield Pause(left_us, ends_with_change=True)
    left_us = begin_us + limit_us - loop.now_us
    again_us = _asked_again_us(begin_us, loop.now_us)
    delay_us = again_us - loop.now_us + links.draw_delay_us(process) + links.draw_delay_us(process)
    yield Pause(min(delay_us, left_us), ends_with_change=False)
    return delay_us <= left_us


def _asked_again_us(begin_us: int, now_us: int) -> int:
    """When TCP next asks for the connection that it first asked for at ``begin_us``."""
    if now_us == begin_us:
        return now_us
    wait_us = MICROSECONDS_PER_SECOND
    again_us = begin_us + wait_us
    while again_us < now_us:
        wait_us *= 2
        again_us += wait_us
    return again_us
