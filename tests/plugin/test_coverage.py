"""Coverage counts what runs in fibers, and says so when it cannot."""

from __future__ import annotations

import sys
from typing import Final

import pytest

from tests.plugin.conftest import Run

TESTS = """
from shop import add, app

def test_tasks(tqsim_simulation):
    sim = tqsim_simulation(app)
    sim.worker("w1", concurrency=2)
    results = [add.delay(number, 2) for number in range(4)]
    sim.run_until_idle()
    total = 0
    for result in results:
        total += result.get(timeout=60)
    assert total == 14
"""

#: Lines of ``shop.add`` and of the test after a wait.
TASK_LINE: Final = "    total = x + y"


@pytest.fixture
def tests(environment: pytest.Pytester) -> pytest.Pytester:
    """The folder with the test of this module."""
    environment.makepyfile(test_it=TESTS)
    return environment


@pytest.mark.parametrize("extra", [(), ("-p", "xdist", "-n", "1"), ("--cov-branch",)], ids=["alone", "xdist", "branch"])
def test_pytest_cov_counts_task_and_test_after_a_wait(tests: pytest.Pytester, run: Run, extra: tuple[str, ...]) -> None:
    run("-p", "pytest_cov", "--cov=.", "--cov-report=annotate", *extra).assert_outcomes(passed=1)
    counted = _counted(tests, "shop.py")
    assert [line for line in counted if "total" in line] == [TASK_LINE, "    return total"]
    assert "    return random.random()" not in counted
    assert _counted(tests, "test_it.py") == [line for line in TESTS.splitlines() if line]


def test_own_setting_is_respected(tests: pytest.Pytester, run: Run) -> None:
    tests.path.joinpath(".coveragerc").write_text("[run]\nconcurrency = greenlet\n", encoding="utf-8")
    run("-p", "pytest_cov", "--cov=.", "--cov-report=annotate").assert_outcomes(passed=1)
    assert TASK_LINE in _counted(tests, "shop.py")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the default core counts without the setting")
def test_coverage_started_before_pytest_is_warned_about_once_a_test_uses_a_simulation(
    tests: pytest.Pytester,
) -> None:
    tests.makepyfile(test_other="def test_without_simulation(tqsim_seed): assert tqsim_seed == 0")
    command = (sys.executable, "-m", "coverage", "run", "-m", "pytest", "-p", "pytest_tqsim")
    result = tests.run(*command)
    result.assert_outcomes(passed=2, warnings=1)
    message = (
        'PytestWarning: coverage was started without concurrency = ["greenlet", "thread"], so it misses lines of '
        "tests and tasks in a simulation. Add the setting to [tool.coverage.run], or measure with pytest --cov."
    )
    assert f"  test_it.py:3: {message}" in result.outlines
    tests.path.joinpath(".coveragerc").write_text("[run]\nconcurrency = greenlet\n", encoding="utf-8")
    tests.run(*command).assert_outcomes(passed=2, warnings=0)


def _counted(environment: pytest.Pytester, name: str) -> list[str]:
    text = (environment.path / f"{name},cover").read_text(encoding="utf-8")
    return [line[2:] for line in text.splitlines() if line.startswith("> ")]
