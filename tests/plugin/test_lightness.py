"""The plugin costs nothing until it is used, and pytest itself stays in real time."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from tests.plugin.conftest import Run

HEAVY = ("tqsim", "simpy", "greenlet", "celery", "kombu", "freezegun", "hypothesis")


def test_import_loads_only_pytest(environment: pytest.Pytester) -> None:
    program = f"import pytest_tqsim, sys; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_run_without_simulation_loads_nothing_of_it(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(
        test_it=f"""
        import sys

        import pytest

        @pytest.mark.tqsim(seeds=2, policy="random")
        def test_seeds(tqsim_seed):
            assert tqsim_seed < 2

        def test_factory_that_is_not_used(tqsim_simulation):
            pass

        def test_modules():
            assert [name for name in {HEAVY} if name in sys.modules] == []
        """
    )
    run().assert_outcomes(passed=4)
    run("-p", "xdist", "-n", "1", "-p", "randomly", "-p", "timeout", "--timeout=30").assert_outcomes(passed=4)


def test_reports_are_in_real_time(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(
        test_it="""
        from shop import add, app

        def test_week(tqsim_simulation):
            sim = tqsim_simulation(app)
            sim.worker("w1")
            sim.run(for_="7d")
            assert add.delay(1, 2).get(timeout=60) == 3
            assert sim.elapsed > 7 * 86_400
        """
    )
    environment.makeconftest(
        """
        import time

        def pytest_runtest_logreport(report):
            # Real durations, and starting times of this decade rather than of the virtual one.
            print(f"<{report.when} {report.duration < 30} {abs(report.start - started) < 60}>")

        started = time.time()
        """
    )
    result = run("-s", "--durations=3", "-vv")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*<{when} True True>" for when in ("setup", "call", "teardown")])
    result.stdout.fnmatch_lines(["*slowest 3 durations*", "[0-9]*.*s call *test_it.py::test_week"])


def test_entry_point_loads_the_plugin_when_installed(
    environment: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = metadata.entry_points(group="pytest11", name="tqsim")
    if not installed:
        pytest.skip("tqsim is not installed here")
    assert [point.value for point in installed] == ["pytest_tqsim"]
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    environment.makepyfile(test_it="def test_seed(tqsim_seed): assert tqsim_seed == 3")
    environment.runpytest_subprocess("--tqsim-seed=3").assert_outcomes(passed=1)
