"""Which seeds a test runs with: marker, command line, ini key."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import tqsim
from tests.plugin.conftest import Run

TESTS = """
import pytest

def test_plain(tqsim_seed):
    print(f"<plain {tqsim_seed}>")

@pytest.mark.tqsim(seeds=3)
def test_three(tqsim_simulation, tqsim_seed):
    print(f"<three {tqsim_seed}>")

@pytest.mark.tqsim(seed=5, seeds=2)
@pytest.mark.parametrize("size", [1, 2])
def test_from_five(tqsim_seed, size):
    print(f"<five {tqsim_seed} {size}>")

@pytest.mark.tqsim(seeds=3)
def test_without_simulation():
    print("<without>")

@pytest.mark.parametrize("tqsim_seed", [70, 80])
def test_own(tqsim_seed):
    print(f"<own {tqsim_seed}>")
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["plain 0", "three 0", "three 1", "three 2", "five 5 1", "five 6 1", "five 5 2", "five 6 2"]),
        (
            ["--tqsim-seed=40"],
            ["plain 40", "three 40", "three 41", "three 42", "five 40 1", "five 41 1", "five 40 2", "five 41 2"],
        ),
        (["--tqsim-seeds=1"], ["plain 0", "three 0", "five 5 1", "five 5 2"]),
        (
            ["-o", "tqsim_seed=9"],
            ["plain 9", "three 9", "three 10", "three 11", "five 5 1", "five 6 1", "five 5 2", "five 6 2"],
        ),
    ],
    ids=["default", "seed", "seeds", "ini"],
)
def test_seeds_of(environment: pytest.Pytester, run_here: Run, arguments: list[str], expected: list[str]) -> None:
    environment.makepyfile(test_it=TESTS)
    result = run_here("-s", "-q", *arguments)
    assert result.ret == 0
    found = [line.strip(".<>") for line in result.outlines if line.lstrip(".").startswith("<")]
    assert sorted(found) == sorted([*expected, "without", "own 70", "own 80"])


def test_ids_name_the_seed(environment: pytest.Pytester, run_here: Run) -> None:
    environment.makepyfile(test_it=TESTS)
    result = run_here("--collect-only", "-q")
    names = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert sorted(names) == sorted(
        [
            *("test_plain", "test_without_simulation", "test_own[70]", "test_own[80]"),
            *(f"test_three[seed={seed}]" for seed in range(3)),
            *(f"test_from_five[{size}-seed={seed}]" for seed in (5, 6) for size in (1, 2)),
        ]
    )


def test_the_ini_key_is_read_from_a_file(environment: pytest.Pytester, run_here: Run) -> None:
    environment.makeini("[pytest]\ntqsim_seed = 12")
    environment.makepyfile(test_it="def test_seed(tqsim_seed):\n    assert tqsim_seed == 12")
    run_here().assert_outcomes(passed=1)


def test_help_explains_options_and_ini_keys(run_here: Run) -> None:
    result = run_here("--help")
    result.stdout.fnmatch_lines_random(
        [
            "tqsim: Celery applications in virtual time:",
            "  --tqsim-seed=SEED *",
            "  --tqsim-seeds=N *",
            "  tqsim_seed (*):*",
        ]
    )
    run_here("--markers").stdout.fnmatch_lines(["@pytest.mark.tqsim(seeds=N, seed=S, ?*options): *"])


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            "sedes=3",
            "@pytest.mark.tqsim(sedes=...): there is no such argument; expected seeds, seed or {options}.",
        ),
        ("7", "@pytest.mark.tqsim(7): expected keyword arguments only, such as seeds=10."),
        ("seeds=0", "@pytest.mark.tqsim(seeds=0) is not a number of seeds; expected 1 or more."),
        ("seeds='3'", "@pytest.mark.tqsim(seeds='3') is not a number of seeds; expected 1 or more."),
        ("seed=1.5", "@pytest.mark.tqsim(seed=1.5) is not a seed; expected a whole number."),
    ],
)
def test_wrong_marker_is_refused_by_name(
    environment: pytest.Pytester, run_here: Run, marker: str, message: str
) -> None:
    environment.makepyfile(
        test_it=f"import pytest\n\n@pytest.mark.tqsim({marker})\ndef test_x(tqsim_simulation):\n    pass\n"
    )
    result = run_here()
    result.assert_outcomes(errors=1)
    options = f"an option of tqsim.Simulation: {', '.join(_simulation_options())}"
    assert f"test_it.py::test_x: {message.format(options=options)}" in result.outlines


def test_the_marker_knows_every_option_of_a_simulation(environment: pytest.Pytester) -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import pytest_tqsim.marks as marks; print(*marks.SIMULATION_OPTIONS)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.split() == _simulation_options()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tqsim-seed=x"], "*error: argument --tqsim-seed: 'x' is not a seed; expected a whole number."),
        (["--tqsim-seeds=0"], "*error: argument --tqsim-seeds: '0' is not a number of seeds; expected 1 or more."),
        (["-o", "tqsim_seed=x"], "ERROR: ini key tqsim_seed: *'x'*; expected a whole number."),
    ],
)
def test_wrong_options_are_usage_errors(run_here: Run, arguments: list[str], message: str) -> None:
    result = run_here(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def _simulation_options() -> list[str]:
    """The keyword arguments of a simulation, without those that the plugin gives itself."""
    parameters = inspect.signature(tqsim.Simulation).parameters
    return sorted(set(parameters) - {"app", "seed", "reproduction"})
