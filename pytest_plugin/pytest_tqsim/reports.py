"""What the report of a failed test says about its simulations.

The main name is :func:`pytest_runtest_makereport`; the section is called "tqsim".
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import pytest

from pytest_tqsim.collection import seed_of_item
from pytest_tqsim.factory import SimulationFactory
from pytest_tqsim.memory import SEED_OF_REPORT

__all__ = ["ERROR", "FACTORY", "pytest_runtest_makereport"]

_SECTION: Final = "tqsim"
#: Where a test's factory is found, and what the test raised.
FACTORY: Final = pytest.StashKey[SimulationFactory]()
ERROR: Final = pytest.StashKey[BaseException]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the section to a failure, and the seed to every report that has one."""
    if call.excinfo is not None and call.when != "teardown":
        item.stash[ERROR] = call.excinfo.value
    report = yield
    seed = seed_of_item(item)
    if seed is not None:
        setattr(report, SEED_OF_REPORT, list(seed))  # a list: it travels from xdist's workers
    factory = item.stash.get(FACTORY, None)
    if report.failed and factory is not None and factory.count:
        report.sections.append((_SECTION, _section(factory)))
    if call.when == "teardown":
        # What the test raised has a traceback, and with it all that the test knew.
        if ERROR in item.stash:
            del item.stash[ERROR]
        if FACTORY in item.stash:
            del item.stash[FACTORY]
    return report


def _section(factory: SimulationFactory) -> str:
    try:
        return "\n".join(_lines(factory))
    except Exception as error:  # noqa: BLE001 - the test's failure counts, and must not be hidden by ours
        return f"The simulation cannot be described: {error!r}\nReproduce: {factory.reproduction}"


def _lines(factory: SimulationFactory) -> list[str]:
    summaries, count = factory.summaries(), factory.count
    lines = []
    if count > len(summaries):
        lines.append(f"The last {len(summaries)} of {count} simulations:")
    for number, summary in enumerate(summaries, start=count - len(summaries) + 1):
        lines += summary.lines("Simulation" if count == 1 else f"Simulation {number} of {count}")
    return [*lines, f"Reproduce: {factory.reproduction}"]
