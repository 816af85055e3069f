"""The fixtures.

The main name is :func:`tqsim_simulation`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_tqsim.collection import OPTIONS
from pytest_tqsim.factory import SimulationFactory
from pytest_tqsim.marks import MarkerError, Marks, read_marks
from pytest_tqsim.measuring import warn_of_blind_coverage
from pytest_tqsim.reports import ERROR, FACTORY
from pytest_tqsim.reproduction import reproduction_command
from pytest_tqsim.seeds import plan_seeds

__all__ = ["tqsim_seed", "tqsim_simulation"]


@pytest.fixture
def tqsim_seed(request: pytest.FixtureRequest) -> int:
    """Seed of the test: a whole number, from the command line, the marker or the ini key."""
    if hasattr(request, "param"):
        seed: int = request.param
        return seed
    return plan_seeds(request.config.stash[OPTIONS], _marks(request.node), ()).seeds[0]


@pytest.fixture
def tqsim_simulation(request: pytest.FixtureRequest, tqsim_seed: int) -> Iterator[SimulationFactory]:
    """Open simulations with the test's seed.

    A call looks like ``sim = tqsim_simulation(app, **options)``.

    The simulation is closed when the test ends, or when the next one is opened, or at the end of
    ``with tqsim_simulation(app) as sim:``.
    """
    item = request.node
    marks = _marks(item)
    command = reproduction_command(
        item, tqsim_seed, is_counted_by_option=hasattr(item, "callspec") and marks.seeds is None
        and request.config.stash[OPTIONS].seeds is not None,
    )  # fmt: skip
    warn_of_blind_coverage(item)
    factory = SimulationFactory(tqsim_seed, marks.options, command)
    item.stash[FACTORY] = factory
    yield factory
    try:
        factory.close(item.stash.get(ERROR, None))
    finally:
        for summary in factory.summaries():
            item.user_properties += [
                ("tqsim_seed", summary.seed),
                ("tqsim_policy", summary.policy),
                ("tqsim_digest", summary.digest),
            ]


def _marks(item: pytest.Item) -> Marks:
    try:
        return read_marks(item)
    except MarkerError as error:  # a marker that was added after the collection
        pytest.fail(str(error), pytrace=False)
