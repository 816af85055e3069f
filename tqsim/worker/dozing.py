"""Sleeping through what a worker does every second for nothing.

The main name is :class:`Dozing`.  kombu's Redis transport asks for messages anew every second, and has a timer
of one second that acts once a minute at most.  A worker that has been calm lets the server renew its
question, and its hub sleep over that timer's ticks; when it wakes, both stand where they would.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.kernel import Kernel

__all__ = ["CALM_US", "Dozing"]

#: Who had nothing to do for so long may doze.
CALM_US: Final = 900_000


class Dozing:
    """The doze of one hub; ``timer`` is kombu's."""

    def __init__(self, kernel: Kernel, timer: Any) -> None:
        self._clock = kernel.clock
        self._timer = timer
        self._sleepers: list[Any] = []

    def begin(self, wires: Iterable[Any]) -> bool:
        """Begin to doze; ``False`` when nobody has asked a server for anything."""
        self._sleepers = [wire.sleeper for wire in wires if wire.sleeper is not None and wire.sleeper.doze()]
        return bool(self._sleepers)

    def due_us(self) -> int | None:
        """How long until a timer does something."""
        etas = [_acts_at(item) for item in self._timer._queue if not item.entry.canceled]
        eta = min(etas, default=math.inf)
        if eta == math.inf:
            return None
        return max(1, round(eta * MICROSECONDS_PER_SECOND) - self._clock.epoch_us)

    def end(self) -> None:
        """Wake up: the ticks that were slept over have been."""
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            sleeper.wake_up()
        now = self._clock.epoch_us / MICROSECONDS_PER_SECOND
        queue = self._timer._queue
        is_any = False
        for index, item in enumerate(queue):
            entry = item.entry
            if entry.idle_until is not None and item.eta < now and _acts_at(item) > now:
                eta = _tick(item.eta, entry.period, now)
                queue[index] = item._replace(eta=eta)
                entry._last_run = eta - entry.period
                is_any = True
        if is_any:
            heapq.heapify(queue)


def _acts_at(item: Any) -> float:
    """When a timer next does something: at one of its ticks."""
    entry = item.entry
    if entry.idle_until is None:
        return float(item.eta)
    idle_until = entry.idle_until()
    if idle_until <= item.eta:
        return float(item.eta)
    return math.inf if idle_until == math.inf else _tick(item.eta, entry.period, idle_until)


def _tick(eta: float, period: float, moment: float) -> float:
    """The first tick at or after a moment."""
    return float(eta + math.ceil((moment - eta) / period) * period)
