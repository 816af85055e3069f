"""The command line and the ini keys.

The main name is :class:`Options`; its values are read from a configuration with :func:`read_options`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Final

import pytest

__all__ = ["Options", "pytest_addoption", "read_options"]

_INI_SEED: Final = "tqsim_seed"
# Native numbers in TOML and the ini type for them came together.
_INI_TYPE: Final = "int" if pytest.version_tuple >= (8, 4) else "string"


@dataclass(frozen=True, slots=True)
class Options:
    """What the whole run was asked for.

    ``seed`` and ``seeds`` are the command line's and None when it does not say; ``ini_seed`` is the
    base seed of tests for which neither the command line nor a marker gives one.
    """

    seed: int | None
    seeds: int | None
    ini_seed: int


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what users can say about all tests."""
    group = parser.getgroup("tqsim", "tqsim: Celery applications in virtual time")
    group.addoption(
        "--tqsim-seed",
        type=_seed,
        metavar="SEED",
        help="base seed of all simulations: a test with n seeds runs with SEED to SEED+n-1; beats the marker's "
        "seed= and the ini key, and seeds that failed before are not tried first",
    )
    group.addoption(
        "--tqsim-seeds",
        type=_count,
        metavar="N",
        help="run every test that uses a simulation with N seeds; beats the marker's seeds=",
    )
    parser.addini(
        _INI_SEED,
        type=_INI_TYPE,  # the two are known to the versions that get them
        default=None,
        help="base seed of tests whose marker has none (default: 0)",
    )


def read_options(config: pytest.Config) -> Options:
    """Return the run's options.  Raises ``pytest.UsageError`` when the ini key is not a number."""
    try:
        ini_seed = config.getini(_INI_SEED)
        ini_seed = 0 if ini_seed in (None, "") else int(ini_seed)
    except (TypeError, ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"ini key {_INI_SEED}: {error}; expected a whole number.") from None
    return Options(config.getoption("tqsim_seed"), config.getoption("tqsim_seeds"), ini_seed)


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed; expected a whole number.") from None


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seeds; expected 1 or more.")
    return count
