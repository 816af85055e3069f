"""Percentiles, by one definition for checks and reports.

The main name is :func:`percentile`: **nearest rank**.  The p-th percentile of n values is the
ceil(p / 100 * n)-th smallest, so it is always one of the values, p100 is the largest, and no
percentile is made up between two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

from tqsim.errors import UsageError


def percentile(ordered: Sequence[int], percent: float) -> int:
    """Return the nearest-rank percentile of values that are sorted upwards.

    ``percent`` is above 0 and at most 100.  Raises :class:`~tqsim.UsageError` for any other percent and
    for no values.
    """
    if not 0 < percent <= 100:
        raise UsageError(f"percent={percent!r} is out of range; expected a number above 0 and at most 100.")
    if not ordered:
        raise UsageError("ordered=[] has no percentile; expected at least one value.")
    # Exact arithmetic on the decimal that was written: 99.9 percent of 1000 values is rank 999, not 1000.
    rank = ceil(Fraction(str(percent)) * len(ordered) / 100)
    return ordered[rank - 1]
