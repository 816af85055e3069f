"""Durations as users write them, turned into integer microseconds.

The entry is :func:`microseconds`.  One unit is used inside tqsim, the integer microsecond,
because floating-point time drifts against :class:`~datetime.timedelta`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, TypeAlias

from tqsim.errors import UsageError

__all__ = [
    "MICROSECONDS_PER_MILLISECOND",
    "MICROSECONDS_PER_SECOND",
    "Duration",
    "column",
    "instant",
    "microseconds",
    "seconds",
    "text",
]

Duration: TypeAlias = "int | float | str | timedelta"

MICROSECONDS_PER_MILLISECOND: Final = 1_000
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


def instant(at_us: int) -> str:
    """Return a time since the start for a sentence: to the millisecond, such as ``"4m 28.275s"``."""
    return text(at_us if at_us < MICROSECONDS_PER_MILLISECOND else _milliseconds(at_us) * MICROSECONDS_PER_MILLISECOND)


def column(values_us: Sequence[int]) -> list[str]:
    """Return times that stand in a column, right-justified by the caller.

    Seconds have the same number of decimals in all of them: as few as there must be, and at most three; times of
    less than a millisecond have units of their own where there are no others.
    """
    if all(value_us < MICROSECONDS_PER_MILLISECOND for value_us in values_us):
        return [text(value_us) for value_us in values_us]
    values_ms = [_milliseconds(value_us) for value_us in values_us]
    decimals = next(count for count in range(4) if not any(value_ms % 10 ** (3 - count) for value_ms in values_ms))
    return [_with_decimals(value_ms, decimals) for value_ms in values_ms]


def _with_decimals(value_ms: int, decimals: int) -> str:
    if not decimals:
        return text(value_ms * MICROSECONDS_PER_MILLISECOND)
    minutes, rest_ms = divmod(value_ms, 60_000)
    seconds_text = f"{rest_ms / 1_000:.{decimals}f}s"
    return f"{text(minutes * _UNITS_US['m'])} {seconds_text}" if minutes else seconds_text


def _milliseconds(value_us: int) -> int:
    return (value_us + MICROSECONDS_PER_MILLISECOND // 2) // MICROSECONDS_PER_MILLISECOND


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
