"""When something is sent."""

from __future__ import annotations

import random
import re

import pytest

from tqsim import load
from tqsim.errors import UsageError


def test_constant_arrivals_begin_at_once_and_keep_their_distance() -> None:
    times = list(load.constant(2, for_="2s", after="1s").times(random.Random(1)))
    assert times == [1_000_000, 1_500_000, 2_000_000, 2_500_000]


def test_constant_arrivals_do_not_drift() -> None:
    times = list(load.constant(3, for_="1000s").times(random.Random(1)))
    assert (len(times), times[-1]) == (3000, round(2999 * 1_000_000 / 3))


def test_poisson_arrivals_are_ascending_and_depend_on_the_generator() -> None:
    arrivals = load.poisson(5, for_="60s")
    first, again, other = (list(arrivals.times(random.Random(seed))) for seed in (1, 1, 2))
    assert first == sorted(first)
    assert first == again
    assert first != other


@pytest.mark.parametrize("rate", [0, -1, True, "5", None, float("inf"), float("nan")])
def test_a_wrong_rate_is_named(rate: object) -> None:
    message = f"rate={rate!r} is not a rate; expected arrivals per second, a finite number > 0."
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        load.poisson(rate, for_="1s")  # type: ignore[arg-type]
