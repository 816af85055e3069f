"""When something is sent: processes of arrivals.

The main name is :class:`Arrivals`, made by :func:`constant` and :func:`poisson`.  Times are drawn
ahead of sending, so that a slow system does not slow its own load (no coordinated omission).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tqsim import durations
from tqsim.durations import MICROSECONDS_PER_SECOND, Duration
from tqsim.errors import UsageError

if TYPE_CHECKING:
    import random

__all__ = ["Arrivals", "constant", "poisson"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Times of arrival, in microseconds after the load begins.

    ``times(generator)`` yields them in ascending order and may be drawn again with another
    generator.
    """

    name: str
    times: Callable[[random.Random], Iterator[int]]

    def __repr__(self) -> str:
        return self.name


def constant(rate: float, *, for_: Duration, after: Duration = 0) -> Arrivals:
    """``rate`` arrivals a second at equal distances, for a duration that begins ``after`` a delay.

    The first arrival is at the beginning.
    """
    length_us, after_us = _check(rate, for_, after)

    def times(generator: random.Random) -> Iterator[int]:
        number = 0
        while True:
            offset_us = round(number * MICROSECONDS_PER_SECOND / rate)
            if offset_us >= length_us:
                return
            yield after_us + offset_us
            number += 1

    return Arrivals(f"constant({rate:g}/s, for_={for_!r})", times)


def poisson(rate: float, *, for_: Duration, after: Duration = 0) -> Arrivals:
    """Arrivals at random, ``rate`` a second on average and independent of each other."""
    length_us, after_us = _check(rate, for_, after)

    def times(generator: random.Random) -> Iterator[int]:
        offset_us = 0.0
        while True:
            offset_us += generator.expovariate(rate) * MICROSECONDS_PER_SECOND
            if offset_us >= length_us:
                return
            yield after_us + round(offset_us)

    return Arrivals(f"poisson({rate:g}/s, for_={for_!r})", times)


def _check(rate: float, for_: Duration, after: Duration) -> tuple[int, int]:
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < math.inf:
        raise UsageError(f"rate={rate!r} is not a rate; expected arrivals per second, a finite number > 0.")
    return durations.microseconds(for_, "for_"), durations.microseconds(after, "after")
