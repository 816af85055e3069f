"""The pytest plugin of tqsim: simulations as fixtures, many seeds per test, failures that repeat.

Fixtures are ``tqsim_simulation`` and ``tqsim_seed``, the marker is ``tqsim``, and all options and
ini keys begin with ``tqsim``.  The modules:

- ``options``: command line and ini keys; ``marks``: the marker; ``seeds``: which seeds a test runs with
- ``collection``: one test item per seed; ``memory``: seeds that failed last time come first
- ``fixtures``, ``factory``: opening and closing simulations
- ``reports``, ``summaries``, ``last_moments``, ``reproduction``: what a failure and the JUnit file say of a
  simulation; ``tracebacks``: where the traceback of a failure ends
- ``measuring``: coverage of code that runs in fibers

pytest imports this package in every run, so it takes nothing from tqsim until a test asks for a
simulation.
"""

from __future__ import annotations

from pytest_tqsim.collection import pytest_collection_modifyitems, pytest_configure, pytest_generate_tests
from pytest_tqsim.factory import SimulationFactory
from pytest_tqsim.fixtures import tqsim_seed, tqsim_simulation
from pytest_tqsim.measuring import pytest_load_initial_conftests, pytest_sessionstart
from pytest_tqsim.options import pytest_addoption
from pytest_tqsim.reports import pytest_runtest_makereport

__all__ = [
    "SimulationFactory",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_load_initial_conftests",
    "pytest_runtest_makereport",
    "pytest_sessionstart",
    "tqsim_seed",
    "tqsim_simulation",
]
