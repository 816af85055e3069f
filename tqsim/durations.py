"""Durations as users write them, turned into integer microseconds.

The entry is :func:`microseconds`.  One unit is used inside tqsim, the integer microsecond,
because floating-point time drifts against :class:`~datetime.timedelta`.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final, TypeAlias

from tqsim.errors import UsageError

__all__ = ["MICROSECONDS_PER_SECOND", "Duration", "microseconds", "seconds", "text"]

Duration: TypeAlias = "int | float | str | timedelta"

MICROSECONDS_PER_SECOND: Final = 1_000_000

_UNITS_US: Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|w)\s*")
_EXPECTED: Final = 'seconds as a number, a timedelta, or text such as "1.5s", "10m", "2h30m" or "1d"'


def microseconds(value: Duration, argument: str = "duration") -> int:
    """Return ``value`` as a whole number of microseconds.

    A number is seconds; text is one or more numbers with a unit (``us ms s m h d w``).
    ``argument`` names the argument in the message of the :class:`~tqsim.UsageError` that is
    raised for a negative, infinite or unreadable duration.
    """
    if isinstance(value, bool):
        raise _unreadable(value, argument)
    if isinstance(value, int):
        result = value * MICROSECONDS_PER_SECOND
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _unreadable(value, argument)
        result = round(value * MICROSECONDS_PER_SECOND)
    elif isinstance(value, timedelta):
        result = value // timedelta(microseconds=1)
    elif isinstance(value, str):
        result = _from_text(value, argument)
    else:
        raise _unreadable(value, argument)
    if result < 0:
        raise UsageError(f"{argument}={value!r} is negative; expected {_EXPECTED}.")
    return result


def seconds(value_us: int) -> float:
    """Return microseconds as seconds."""
    return value_us / MICROSECONDS_PER_SECOND


def text(value_us: int) -> str:
    """Return microseconds in the shortest readable form, such as ``"2m 30s"`` or ``"12.5ms"``."""
    if value_us < 0:
        return "-" + text(-value_us)
    if value_us == 0:
        return "0s"
    if value_us < 1_000:
        return f"{value_us}us"
    if value_us < MICROSECONDS_PER_SECOND:
        return f"{value_us / 1_000:g}ms"
    parts: list[str] = []
    rest = value_us
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS_US[unit])
        if count:
            parts.append(f"{count}{unit}")
    if rest:
        parts.append(f"{rest / MICROSECONDS_PER_SECOND:.9g}s")
    return " ".join(parts)


def _from_text(value: str, argument: str) -> int:
    total = 0.0
    position = 0
    while position < len(value):
        match = _PART.match(value, position)
        if match is None:
            raise _unreadable(value, argument)
        total += float(match[1]) * _UNITS_US[match[2]]
        position = match.end()
    if position == 0:
        raise _unreadable(value, argument)
    return round(total)


def _unreadable(value: object, argument: str) -> UsageError:
    return UsageError(f"{argument}={value!r} is not a duration; expected {_EXPECTED}.")
