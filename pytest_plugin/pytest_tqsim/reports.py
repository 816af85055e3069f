"""What the report of a failed test says about its simulations, and where its traceback ends.

The main name is :func:`pytest_runtest_makereport`; the section is called "tqsim".
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import nullcontext
from typing import Final

import pytest

from pytest_tqsim.collection import seed_of_item
from pytest_tqsim.factory import SimulationFactory
from pytest_tqsim.memory import SEED_OF_REPORT
from pytest_tqsim.tracebacks import shortened

__all__ = ["ERROR", "FACTORY", "pytest_runtest_makereport"]

_SECTION: Final = "tqsim"
#: Where a test's factory is found, and what the test raised.
FACTORY: Final = pytest.StashKey[SimulationFactory]()
ERROR: Final = pytest.StashKey[BaseException]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shorten the traceback of a failure and add the section; add the seed to every report that has one."""
    if call.excinfo is not None and call.when != "teardown":
        item.stash[ERROR] = call.excinfo.value
    with nullcontext() if item.config.option.fulltrace else shortened(call):
        report = yield
    seed = seed_of_item(item)
    if seed is not None:
        setattr(report, SEED_OF_REPORT, list(seed))  # a list: it travels from xdist's workers
    factory = item.stash.get(FACTORY, None)
    if report.failed and factory is not None and factory.count:
        report.sections.append((_SECTION, _section(factory, report.longreprtext)))
    if call.when == "teardown":
        # What the test raised has a traceback, and with it all that the test knew.
        if ERROR in item.stash:
            del item.stash[ERROR]
        if FACTORY in item.stash:
            del item.stash[FACTORY]
    return report


def _section(factory: SimulationFactory, message: str) -> str:
    """Return what is said besides the message of the failure, which may end with the line already."""
    line = f"Reproduce: {factory.reproduction}"
    try:
        lines = _lines(factory)
    except Exception as error:  # noqa: BLE001 - the test's failure counts, and must not be hidden by ours
        lines = [f"The simulation cannot be described: {error!r}"]
    return "\n".join(lines if line in message else [*lines, line])


def _lines(factory: SimulationFactory) -> list[str]:
    summaries, count = factory.summaries(), factory.count
    width = shutil.get_terminal_size().columns
    lines = []
    if count > len(summaries):
        lines.append(f"The last {len(summaries)} of {count} simulations:")
    for number, summary in enumerate(summaries, start=count - len(summaries) + 1):
        lines += summary.lines("Simulation" if count == 1 else f"Simulation {number} of {count}", width)
    return lines
