"""Durations as users write them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqsim import durations
from tqsim.errors import UsageError

_EXPECTED = 'expected seconds as a number, a timedelta, or text such as "1.5s", "10m", "2h30m" or "1d".'


@pytest.mark.parametrize(
    ("value", "microseconds"),
    [
        (0, 0),
        (3, 3_000_000),
        (0.25, 250_000),
        (timedelta(minutes=1, microseconds=7), 60_000_007),
        ("1.5s", 1_500_000),
        ("250ms", 250_000),
        ("40us", 40),
        ("2h30m", 9_000_000_000),
        (" 1d 1h ", 90_000_000_000),
        ("1w", 604_800_000_000),
    ],
)
def test_every_form_of_a_duration(value: durations.Duration, microseconds: int) -> None:
    assert durations.microseconds(value) == microseconds


@pytest.mark.parametrize("value", ["", "ten", "5", "5 parsecs", "1s!", float("nan"), float("inf"), True, None, [1]])
def test_what_is_no_duration_is_named(value: object) -> None:
    message = f"for_={value!r} is not a duration; {_EXPECTED}"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        durations.microseconds(value, "for_")  # type: ignore[arg-type]


def test_a_negative_duration_is_named() -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(f'for_=-1 is negative; {_EXPECTED}')}$"):
        durations.microseconds(-1, "for_")


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0s"),
        (7, "7us"),
        (1_500, "1.5ms"),
        (1_000_000, "1s"),
        (61_500_000, "1m 1.5s"),
        (90_000_000_000, "1d 1h"),
        (-1_000_000, "-1s"),
    ],
)
def test_text_is_the_shortest_readable_form(microseconds: int, text: str) -> None:
    assert durations.text(microseconds) == text


@pytest.mark.parametrize(
    ("values_us", "texts"),
    [
        ([], []),
        ([0, 30_000_000, 3_600_000_000], ["0s", "30s", "1h"]),
        ([268_820_470, 268_274_828], ["4m 28.820s", "4m 28.275s"]),
        ([0, 1_500_000, 60_000_000, 3_661_000_000], ["0.0s", "1.5s", "1m 0.0s", "1h 1m 1.0s"]),
        ([0, 7, 120], ["0s", "7us", "120us"]),
        ([7, 1_000], ["0.000s", "0.001s"]),
        ([59_999_900, 250_000], ["1m 0.00s", "0.25s"]),
    ],
)
def test_times_in_a_column_have_the_same_decimals(values_us: list[int], texts: list[str]) -> None:
    assert durations.column(values_us) == texts


@pytest.mark.parametrize(("at_us", "words"), [(120, "120us"), (268_274_828, "4m 28.275s"), (-1_000_000, "-1s")])
def test_an_instant_is_told_to_the_millisecond(at_us: int, words: str) -> None:
    assert durations.instant(at_us) == words


@given(st.integers(min_value=0, max_value=10**15))
def test_text_can_be_read_back(microseconds: int) -> None:
    assert durations.microseconds(durations.text(microseconds)) == microseconds
