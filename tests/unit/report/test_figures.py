from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqsim.report.figures import brief, count, share


@pytest.mark.parametrize(
    ("value_us", "expected"),
    [
        (None, "-"),
        (0, "0s"),
        (999, "999us"),
        (12_345, "12.3ms"),
        (999_960, "1s"),
        (1_234_567, "1.23s"),
        (61_234_567, "1m 1.2s"),
        (3_661_500_000, "1h 1m 2s"),
        (90_061_000_000, "1d 1h 1m"),
    ],
)
def test_a_duration_is_rounded_to_what_matters(value_us: int | None, expected: str) -> None:
    assert brief(value_us) == expected


@given(st.integers(0, 10**13))
def test_a_duration_fits_a_column(value_us: int) -> None:
    assert len(brief(value_us)) <= len("115d 23h 59m")


def test_counts_and_shares_are_readable() -> None:
    assert (count(1_234_567), count(0), count(None)) == ("1,234,567", "0", "-")
    assert (share(0.8754), share(None)) == ("87.5%", "-")
