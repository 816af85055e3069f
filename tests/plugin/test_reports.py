"""What is said of a simulation: the section of a failure, the line that repeats it, the JUnit file."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.plugin.conftest import Run

TESTS = """
import time

import pytest
import tqsim
from shop import add, app, draw

@pytest.mark.tqsim(seeds=4, policy="random")
@pytest.mark.parametrize("text", ["$HOME 'and'"])
def test_seeds(tqsim_simulation, tqsim_seed, text):
    with tqsim_simulation(app) as sim:
        sim.worker("w1")
        draw.delay().get(timeout=10)
        print(f"<{sim.history.digest}>")
        assert tqsim_seed != 3

def test_check(tqsim_simulation):
    sim = tqsim_simulation(app)
    add.delay(1, 2)
    sim.check(tqsim.checks.nothing_lost())

def test_no_progress(tqsim_simulation):
    sim = tqsim_simulation(app)
    add.delay(1, 2)
    sim.run_until_idle(limit="10m")

def test_lost(tqsim_simulation):
    sim = tqsim_simulation(app)
    worker = sim.worker("w1", concurrency=1)
    add.apply_async((1, 2), task_id="0123abcd-0000-4000-8000-000000000000")
    add.apply_async(("three" * 9, "four"), task_id="later", countdown=3)
    sim.run(for_="500ms")
    worker.kill()
    sim.run(for_="1s")
    worker.restart()
    sim.run_until_idle()
    sim.check(tqsim.checks.nothing_lost())

def test_until(tqsim_simulation):
    tqsim_simulation(app).run(until=lambda: False, limit="10m")

def test_get(tqsim_simulation):
    tqsim_simulation(app)
    add.delay(1, 2).get()

def test_livelock(tqsim_simulation):
    sim = tqsim_simulation(app, still_events_max=100)
    sim.client(busy)
    sim.run(for_="1m")

def busy():
    while True:
        time.sleep(0)

def test_without_simulation(tqsim_simulation):
    assert False

def test_two(tqsim_simulation):
    tqsim_simulation(app, history=False).run(for_="1m")
    tqsim_simulation(app, seed=8).run(for_="1h")
    assert False

def test_eleven(tqsim_simulation):
    for seed in range(11):
        tqsim_simulation(app, seed=seed)
    assert False

@pytest.fixture
def checked(tqsim_simulation):
    sim = tqsim_simulation(app)
    yield sim
    sim.check(tqsim.checks.nothing_lost())

def test_teardown(checked):
    add.delay(1, 2)
"""


@pytest.fixture
def tests(environment: pytest.Pytester) -> pytest.Pytester:
    """The folder with the tests of this module."""
    environment.makepyfile(test_it=TESTS)
    return environment


@pytest.mark.usefixtures("tests")
def test_section_has_what_is_needed_to_understand_the_run(run: Run) -> None:
    result = run("-k", "test_seeds")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- tqsim -*",
            "Simulation: seed 3, policy random, virtual time * at the end",
            "  digest ????????????????, * moments",
            "  the last, without connections, declarations and new children:",
            "  *s  task.received *",
            "  *s  task.started *",
            "  *s  task.succeeded *",
            "Reproduce: pytest *",
        ],
    )


@pytest.mark.usefixtures("tests")
@pytest.mark.parametrize("extra", [(), ("--tqsim-seeds=5",), ("--rootdir=..",)], ids=["marker", "option", "root"])
def test_the_line_repeats_the_failure_and_nothing_else(run: Run, extra: tuple[str, ...]) -> None:
    first = run("-k", "test_seeds", *extra)
    line = next(line for line in first.outlines if line.startswith("Reproduce: "))
    words = shlex.split(line.removeprefix("Reproduce: "))
    assert words[0] == "pytest"
    second = run(*words[1:])
    second.assert_outcomes(failed=1)
    assert _digest(second) == _digest(first)
    # A shell sees the same words, and the quotes are there because it would not without them.
    shown = subprocess.run(
        ["sh", "-c", line.replace("Reproduce: pytest", "printf '%s\\n'")], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == words[1:]


@pytest.mark.usefixtures("tests")
def test_a_failed_check_shows_the_test_the_message_and_the_line_once(run: Run) -> None:
    result = run("-k", "test_check")
    first = result.outlines.index(">       sim.check(tqsim.checks.nothing_lost())")
    assert [re.sub(r"\w{8}(-\w{4}){3}-\w{12}", "ID", line) for line in result.outlines[first + 1 : first + 8]] == [
        "E       tqsim.errors.CheckFailed: nothing_lost() failed: 1 violation.",
        "E         shop.add ID: it still waits in queue 'celery'.",
        "E                     0s  task.published      test      queue=celery args=(1, 2)",
        "E                     0s  message.queued      broker    queue=celery",
        "E       Reproduce: pytest test_it.py::test_check --tqsim-seed=0",
        "",
        "test_it.py:19: CheckFailed",
    ]
    assert _line_count(result) == 1


@pytest.mark.usefixtures("tests")
@pytest.mark.parametrize("name", ["test_no_progress", "test_until", "test_get", "test_livelock"])
def test_a_run_without_progress_shows_the_line_of_the_test_and_nothing_of_ours(run: Run, name: str) -> None:
    result = run("-k", name)
    shown = [line for line in result.outlines if line.startswith((">", "E "))]
    assert len(shown) == 3
    assert shown[0].startswith(">       ")
    assert shown[1].startswith("E       tqsim.errors.NoProgress: ")
    assert shown[2] == f"E       Reproduce: pytest test_it.py::{name} --tqsim-seed=0"
    assert _line_count(result) == 1


@pytest.mark.usefixtures("tests")
def test_the_whole_traceback_is_shown_on_request(run: Run) -> None:
    result = run("-k", "test_livelock", "--full-trace")
    result.stdout.re_match_lines(
        [r"E +tqsim\.errors\.NoProgress: Livelock", r".*/tqsim/kernel/loop\.py:\d+: NoProgress"]
    )


@pytest.mark.usefixtures("tests")
def test_the_last_moments_tell_what_became_of_a_task_on_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("-k", "test_lost")
    lines = result.outlines
    first = lines.index("  the last, without connections, declarations and new children:")
    assert lines[first + 1 : first + 13] == [
        "    0.0s  task.started       w1      shop.add 0123abcd",
        "    0.5s  task.lost          w1      shop.add 0123abcd",
        "    0.5s  process.killed     w1      kind=worker signal=SIGKILL",
        "    0.5s  queue.deleted      broker  queue=w1@sim.celery.pidbox",
        "    0.5s  message.requeued   broker  shop.add later     queue=celery",
        "    1.5s  process.restarted  w1      kind=worker concurrency=1",
        "    1.5s  message.delivered  broker  shop.add later     redelivered",
        "    1.5s  worker.ready       w1",
        "    1.5s  task.received      w1      shop.add later     redelivered",
        "    3.0s  message.acked      broker  shop.add later",
        "    3.0s  task.started       w1      shop.add later",
        "    4.0s  task.succeeded     w1      shop.add later     result='threethreethr...",
    ]


@pytest.mark.usefixtures("tests")
def test_the_line_has_quotes_and_count_where_needed(run: Run) -> None:
    result = run("-k", "test_check", "--tqsim-seeds=2", "--tqsim-seed=7")
    lines = [line.removeprefix("E").strip() for line in result.outlines if "Reproduce: " in line]
    assert lines == [
        f'Reproduce: pytest "test_it.py::test_check[seed={seed}]" --tqsim-seed={seed} --tqsim-seeds=1'
        for seed in (7, 8)
    ]


@pytest.mark.usefixtures("tests")
def test_section_shows_each_simulation_within_a_bound(run: Run) -> None:
    result = run("-k", "test_two")
    result.stdout.fnmatch_lines(
        [
            "*- tqsim -*",
            "Simulation 1 of 2: seed 0, policy fifo, virtual time 1m at the end",
            "  digest none (history=False), 0 moments",
            "Simulation 2 of 2: seed 8, policy fifo, virtual time 1h at the end",
            "  digest ????????????????, 0 moments",
            "Reproduce: pytest test_it.py::test_two --tqsim-seed=0",
        ],
        consecutive=True,
    )
    result = run("-k", "test_eleven")
    titles = [line.partition(",")[0] for line in result.outlines if line.startswith(("Simulation ", "The last"))]
    assert titles == [
        "The last 10 of 11 simulations:",
        *(f"Simulation {number} of 11: seed {number - 1}" for number in range(2, 12)),
    ]


@pytest.mark.usefixtures("tests")
def test_failed_teardown_has_the_section_and_a_test_without_simulation_none(run: Run) -> None:
    result = run("-k", "test_teardown or test_without")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    assert len(re.findall(r"^-+ tqsim -+$", str(result.stdout), re.MULTILINE)) == 1
    result.stdout.fnmatch_lines(
        ["*CheckFailed*", "E * Reproduce: *::test_teardown *", "*- tqsim -*", "Simulation: seed 0, *"]
    )


@pytest.mark.usefixtures("tests")
def test_junit_file_names_seed_policy_and_digest(run: Run, environment: pytest.Pytester) -> None:
    result = run("-k", "test_seeds or test_two", "--junitxml=report.xml", "-rP")
    digests = re.findall(r"^<(\w{16})>$", str(result.stdout), re.MULTILINE)
    properties = _properties(environment.path / "report.xml")
    assert properties[:4] == [
        [("tqsim_seed", str(seed)), ("tqsim_policy", "random"), ("tqsim_digest", properties[seed][2][1])]
        for seed in range(4)
    ]
    # Captured output comes in another order: failures first.
    assert sorted(digests) == sorted(values[2][1] for values in properties[:4])
    assert [value for name, value in properties[4] if name == "tqsim_seed"] == ["0", "8"]


def _properties(path: Path) -> list[list[tuple[str, str]]]:
    cases = ElementTree.parse(path).getroot().iter("testcase")
    return [[(item.attrib["name"], item.attrib["value"]) for item in case.iter("property")] for case in cases]


def _line_count(result: pytest.RunResult) -> int:
    return sum("Reproduce: " in line for line in result.outlines)


def _digest(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("  digest ")]
