"""How long something takes: a fixed duration, or one drawn anew each time.

The main name is :data:`Distribution`; :func:`sampler` turns whatever a user writes into one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tqsim import durations
from tqsim.durations import Duration
from tqsim.errors import UsageError

if TYPE_CHECKING:
    import random

__all__ = ["Distribution", "Spread", "exponential", "lognormal", "sampler", "uniform"]

#: Draws one duration, in microseconds, from the given generator.
Distribution: TypeAlias = "Callable[[random.Random], int]"


@dataclass(frozen=True, slots=True)
class Spread:
    """A named distribution of durations; call it with a generator to draw microseconds."""

    name: str
    draw: Distribution

    def __call__(self, generator: random.Random) -> int:
        return self.draw(generator)

    def __repr__(self) -> str:
        return self.name


def exponential(mean: Duration) -> Distribution:
    """Exponentially distributed durations of the given mean."""
    mean_us = durations.microseconds(mean, "mean")
    return Spread(f"exponential({mean!r})", lambda generator: round(generator.expovariate(1.0) * mean_us))


def uniform(low: Duration, high: Duration) -> Distribution:
    """Durations spread evenly from ``low`` to ``high``; :class:`~tqsim.UsageError` if ``high < low``."""
    low_us, high_us = durations.microseconds(low, "low"), durations.microseconds(high, "high")
    if high_us < low_us:
        raise UsageError(f"high={high!r} is less than low={low!r}; expected low <= high.")
    return Spread(f"uniform({low!r}, {high!r})", lambda generator: generator.randint(low_us, high_us))


def lognormal(mean: Duration, sigma: float) -> Distribution:
    """Log-normally distributed durations of the given mean; ``sigma`` is the deviation of the logarithm."""
    mean_us = durations.microseconds(mean, "mean")
    if not isinstance(sigma, (int, float)) or not 0 <= sigma < math.inf:
        raise UsageError(f"sigma={sigma!r} is not a deviation; expected a number >= 0.")
    if mean_us == 0:
        raise UsageError(f"mean={mean!r} is zero; expected a positive duration.")
    mu = math.log(mean_us) - sigma * sigma / 2
    return Spread(f"lognormal({mean!r}, {sigma!r})", lambda generator: round(generator.lognormvariate(mu, sigma)))


def sampler(value: Duration | Distribution, argument: str) -> Distribution:
    """Return ``value`` as a distribution: a duration is drawn the same every time.

    A distribution that draws anything but microseconds, a finite number of at least 0, is an
    :class:`~tqsim.UsageError` when it is drawn from.
    """
    if isinstance(value, Spread):
        return value
    if callable(value):
        return _checked(value, argument)
    fixed_us = durations.microseconds(value, argument)
    return Spread(repr(value), lambda generator: fixed_us)


def _checked(draw: Distribution, argument: str) -> Distribution:
    """Hold a function of the user to whole microseconds: virtual time knows nothing else."""
    try:
        inspect.signature(draw).bind(None)
    except TypeError:
        raise UsageError(
            f"{argument}={draw!r} does not take one argument; expected a function from a random.Random to microseconds."
        ) from None
    except ValueError:
        pass  # compiled code that does not say what it takes

    def checked(generator: random.Random) -> int:
        drawn = draw(generator)
        if isinstance(drawn, bool) or not isinstance(drawn, (int, float)) or not 0 <= drawn < math.inf:
            raise UsageError(
                f"{argument}={draw!r} drew {drawn!r}; expected microseconds, a finite number of at least 0."
            )
        return round(drawn)

    return checked
