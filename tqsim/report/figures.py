"""Figures for people: durations, ratios and counts, short enough for a table.

The main name is :func:`brief`.  Exact values are in the summary; here they are rounded.
"""

from __future__ import annotations

from typing import Final

from tqsim.durations import text

_NOTHING: Final = "-"
# From this many microseconds on, round to that many.
_STEPS_US: Final = (
    (86_400_000_000, 60_000_000),
    (3_600_000_000, 1_000_000),
    (60_000_000, 100_000),
    (1_000_000, 10_000),
    (1_000, 100),
)


def brief(value_us: int | None) -> str:
    """Return a duration with about three digits, such as ``"1.23s"``; a dash for None."""
    if value_us is None:
        return _NOTHING
    if value_us == 0:
        return "0s"
    for from_us, step_us in _STEPS_US:
        if value_us >= from_us:
            return text((value_us + step_us // 2) // step_us * step_us)
    return text(value_us)


def count(value: int | None) -> str:
    """Return a whole number with separators, such as ``"12,000"``; a dash for None."""
    return _NOTHING if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """Return a fraction as percent, such as ``"87.5%"``; a dash for None."""
    return _NOTHING if value is None else f"{value:.1%}"
