"""How long something takes."""

from __future__ import annotations

import random
import statistics

import pytest

from tqsim import load
from tqsim.errors import UsageError
from tqsim.load.distributions import Distribution, sampler

_DRAWS = 20_000


def _mean_s(distribution: Distribution) -> float:
    generator = random.Random(1)
    return statistics.fmean(distribution(generator) for _ in range(_DRAWS)) / 1_000_000


# The standard error of the mean is sigma / sqrt(20,000) = 0.0071 sigma; five of them are allowed.
@pytest.mark.parametrize(
    ("distribution", "sigma_s"),
    [
        (load.exponential("2s"), 2.0),
        (load.uniform("1s", "3s"), 2.0 / 12**0.5),
        (load.lognormal("2s", 0.5), 2.0 * (2.718281828**0.25 - 1) ** 0.5),
    ],
)
def test_a_distribution_has_its_mean(distribution: Distribution, sigma_s: float) -> None:
    assert abs(_mean_s(distribution) - 2.0) < 5 * sigma_s / _DRAWS**0.5


def test_a_duration_is_drawn_the_same_every_time() -> None:
    drawn = sampler("250ms", "latency")
    assert [drawn(random.Random(seed)) for seed in range(3)] == [250_000] * 3


def test_an_interval_that_is_upside_down_is_named() -> None:
    with pytest.raises(UsageError, match=r"^high='1s' is less than low='2s'; expected low <= high\.$"):
        load.uniform("2s", "1s")


@pytest.mark.parametrize("sigma", [-1, float("inf"), "1"])
def test_a_wrong_deviation_is_named(sigma: object) -> None:
    with pytest.raises(UsageError) as caught:
        load.lognormal("1s", sigma)  # type: ignore[arg-type]
    assert str(caught.value) == f"sigma={sigma!r} is not a deviation; expected a number >= 0."


def test_what_a_function_of_the_user_draws_is_made_whole() -> None:
    drawn = sampler(lambda generator: 1.5e6, "latency")(random.Random(1))  # type: ignore[arg-type, return-value]
    assert (drawn, type(drawn)) == (1_500_000, int)


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), True, None, "1s"])
def test_a_function_that_draws_no_duration_is_named(value: object) -> None:
    def slow(generator: random.Random) -> object:
        return value

    with pytest.raises(UsageError) as caught:
        sampler(slow, "seconds")(random.Random(1))  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"seconds={slow!r} drew {value!r}; expected microseconds, a finite number of at least 0."
    )
