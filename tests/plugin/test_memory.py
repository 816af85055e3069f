"""Seeds that failed are tried first in the next run."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import Run

TESTS = """
import pytest

@pytest.mark.tqsim(seeds=4)
@pytest.mark.parametrize("size", [1, 2])
def test_it(tqsim_seed, size, request):
    broken = request.config.getini("broken_seeds").split()
    assert str(tqsim_seed) not in broken
"""

CONFTEST = "def pytest_addoption(parser):\n    parser.addini('broken_seeds', 'seeds that fail', default='')\n"


@pytest.fixture
def tests(environment: pytest.Pytester) -> pytest.Pytester:
    """The folder with the tests of this module."""
    environment.makepyfile(test_it=TESTS)
    environment.makeconftest(CONFTEST)
    return environment


@pytest.mark.usefixtures("tests")
def test_failed_seed_runs_first_until_it_passes(run_here: Run) -> None:
    assert _order(run_here("-v")) == ["1-0", "1-1", "1-2", "1-3", "2-0", "2-1", "2-2", "2-3"]
    run_here("-o", "broken_seeds=2").assert_outcomes(passed=6, failed=2)
    # The seed moves to the front of its test's items, for each of the test's own parameters.
    fails_again = run_here("-v", "-x", "-o", "broken_seeds=2 3")
    assert _order(fails_again) == ["1-2"]
    passes = run_here("-v")
    assert _order(passes) == ["1-2", "2-2", "1-0", "1-1", "1-3", "2-0", "2-1", "2-3"]
    passes.assert_outcomes(passed=8)
    assert _order(run_here("-v")) == ["1-0", "1-1", "1-2", "1-3", "2-0", "2-1", "2-2", "2-3"]


@pytest.mark.usefixtures("tests")
def test_seed_out_of_the_usual_range_is_tried_too(run_here: Run) -> None:
    run_here("--tqsim-seed=700", "-o", "broken_seeds=701").assert_outcomes(passed=6, failed=2)
    assert _order(run_here("-v"))[:3] == ["1-701", "2-701", "1-0"]
    run_here("--tqsim-seed=700", "-o", "broken_seeds=702 701")
    assert _order(run_here("-v", "--collect-only", "-q")) == []
    assert _order(run_here("-v", "--lf", "-o", "broken_seeds=701")) == ["1-701", "2-701", "1-702", "2-702"]


@pytest.mark.usefixtures("tests")
def test_explicit_seed_means_exactly_these_seeds(run_here: Run) -> None:
    run_here("-o", "broken_seeds=2")
    assert _order(run_here("-v", "--tqsim-seed=0", "-o", "broken_seeds=2")) == [
        *("1-0", "1-1", "1-2", "1-3"),
        *("2-0", "2-1", "2-2", "2-3"),
    ]


def test_unreadable_memory_and_no_cache_are_no_obstacle(tests: pytest.Pytester, run_here: Run) -> None:
    run_here("-o", "broken_seeds=2")
    memory = tests.path / ".pytest_cache" / "v" / "tqsim" / "failed_seeds"
    for content in ('["test_it.py::test_it"]', '{"test_it.py::test_it": [null, "1"], "x": 3}', "{"):
        memory.write_text(content, encoding="utf-8")
        assert _order(run_here("-v"))[:2] == ["1-0", "1-1"]
    run_here("-p", "no:cacheprovider", "-o", "broken_seeds=2").assert_outcomes(passed=6, failed=2)


@pytest.mark.usefixtures("tests")
def test_workers_of_xdist_share_it(run: Run) -> None:
    xdist = ("-p", "xdist", "-n", "2")
    run(*xdist, "--tqsim-seed=50", "-o", "broken_seeds=51").assert_outcomes(passed=6, failed=2)
    again = run(*xdist, "-v", "-o", "broken_seeds=51")
    again.assert_outcomes(passed=8, failed=2)
    # The first two items go to one worker, whichever reports first.
    finished = re.findall(r"^\[(gw\d)\] .*seed=(\d+)\]", str(again.stdout), re.MULTILINE)
    by_worker = {name: [seed for worker, seed in finished if worker == name] for name, _ in finished}
    assert sorted(seeds[:2] == ["51", "51"] for seeds in by_worker.values()) == [False, True]
    # And what the workers found reached the file.
    assert _order(run("-v"))[:2] == ["1-51", "2-51"]
    assert _order(run("-v"))[:2] == ["1-0", "1-1"]


@pytest.mark.usefixtures("tests")
def test_shuffling_keeps_the_failed_seed_in_front(run: Run) -> None:
    run("-o", "broken_seeds=3")
    order = _order(run("-v", "-p", "randomly", "-p", "no:cacheprovider", "--randomly-seed=1"))
    assert order != sorted(order)
    shuffled = _order(run("-v", "-p", "randomly", "--randomly-seed=1"))
    assert sorted(shuffled[:2]) == ["1-3", "2-3"]


def _order(result: pytest.RunResult) -> list[str]:
    """The test items in the order of their run, as "size-seed"."""
    found = re.findall(r"^test_it\.py::test_it\[(\d+)-seed=(\d+)\] \w", str(result.stdout), re.MULTILINE)
    return [f"{size}-{seed}" for size, seed in found]
