from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tqsim.errors import UsageError
from tqsim.history import percentile

samples = st.lists(st.integers(), min_size=1, max_size=50).map(sorted)
percents = st.floats(min_value=0, max_value=100, exclude_min=True)


@pytest.mark.parametrize(
    ("percent", "expected"), [(5, 15), (30, 20), (40, 20), (50, 35), (80, 40), (80.1, 50), (100, 50)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    # The textbook example of the definition: ranks are ceil(percent / 100 * 5).
    assert percentile([15, 20, 35, 40, 50], percent) == expected


def test_ranks_are_exact_where_floating_point_is_not() -> None:
    # 99.9 / 100 * 1000 is 999.0000000000001 in floating point, which would be rank 1000.
    assert percentile(range(1, 1001), 99.9) == 999


@given(sample=samples, percent=percents)
def test_a_percentile_is_one_of_the_values_and_enough_values_reach_it(sample: list[int], percent: float) -> None:
    found = percentile(sample, percent)

    assert found in sample
    assert sum(value <= found for value in sample) * 100 >= percent * len(sample) * (1 - 1e-12)
    assert sum(value < found for value in sample) * 100 < percent * len(sample) * (1 + 1e-12)


@given(sample=samples, one=percents, other=percents)
def test_a_higher_percentile_is_never_smaller(sample: list[int], one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert percentile(sample, low) <= percentile(sample, high) <= max(sample)


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_a_percent_out_of_range_is_refused(percent: float) -> None:
    with pytest.raises(UsageError) as caught:
        percentile([1], percent)

    assert str(caught.value) == (f"percent={percent!r} is out of range; expected a number above 0 and at most 100.")


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(UsageError) as caught:
        percentile([], 50)

    assert str(caught.value) == "ordered=[] has no percentile; expected at least one value."
