"""Other plugins beside this one: xdist, timeout, randomly, asyncio, and all of them together."""

from __future__ import annotations

import re
import zlib
from random import Random

import pytest

from tests.plugin.conftest import Run

STALLS = """
import os

import pytest
from shop import add, app

reading, writing = os.pipe()

@app.task
def blocks():
    os.read(reading, 1)

@app.task
def computes():
    while True:
        try:
            while True:
                pass
        except Exception:
            pass

@pytest.fixture
def sim(tqsim_simulation):
    sim = tqsim_simulation(app)
    sim.worker("w1")
    return sim

@pytest.mark.timeout(1.5, func_only=True)
@pytest.mark.parametrize("task", [blocks, computes], ids=["blocks", "computes"])
def test_stalls(sim, task):
    task.delay()
    sim.run_until_idle()

@pytest.mark.timeout(20, func_only=True)
def test_is_fast(sim):
    sim.run(for_="7d")
    assert add.delay(1, 2).get(timeout=100) == 3
"""


def test_timeout_by_signal_fails_the_test_where_it_stalls(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(test_it=STALLS)
    result = run("-p", "timeout", "--timeout-method=signal")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "E       Failed: Timeout (>1.5s) from pytest-timeout.",
            ">       os.read(reading, 1)",
            "Reproduce: pytest test_it.py::test_stalls[[]computes] --tqsim-seed=0".replace(" test", ' "test').replace(
                "] --", ']" --'
            ),
        ]
    )


def test_timeout_by_thread_ends_the_process_of_the_stall(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(test_it=STALLS)
    result = run("-p", "timeout", "--timeout-method=thread", "-p", "xdist", "-n", "1")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_stalls[[]blocks] - worker 'gw0' crashed while running *"])


DRAWS = """
import random

import pytest
from shop import app, draw

@pytest.fixture
def after():
    yield
    print(f"<after {random.random()}>")

@pytest.fixture
def sim(tqsim_simulation):
    sim = tqsim_simulation(app)
    sim.worker("w1")
    return sim

def test_inside(sim):
    number = random.random()
    draw.apply_async(countdown=number).get(timeout=10)
    print(f"<inside {number} {sim.history.digest}>")

def test_outside(after, tqsim_simulation):
    with tqsim_simulation(app):
        random.seed(5)
    print(f"<outside {random.random()}>")

def test_teardown(after, sim):
    pass
"""


def test_randomly_neither_disturbs_nor_is_disturbed(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(test_it=DRAWS)

    def draws(seed: int) -> dict[str, list[str]]:
        result = run("-s", "-p", "randomly", f"--randomly-seed={seed}", "--randomly-dont-reorganize")
        result.assert_outcomes(passed=3)
        found: dict[str, list[str]] = {}
        for name, values in re.findall(r"<(\w+) ([^>]+)>", str(result.stdout)):
            found.setdefault(name, []).append(values)
        return found

    first, second = draws(1), draws(2)
    # The simulation was open when pytest-randomly seeded for the test's body.
    assert first["inside"] == second["inside"]
    for seed, found in ((1, first), (2, second)):
        assert found["outside"] == [repr(_first_draw(seed, "test_it.py::test_outside"))]
        # It seeds once more, with the next number, for what comes after the body; then the simulation closes.
        assert found["after"] == [
            repr(_first_draw(seed + 1, "test_it.py::test_outside")),
            repr(_first_draw(seed + 1, "test_it.py::test_teardown")),
        ]


def _first_draw(seed: int, node_id: str) -> float:
    return Random(seed + zlib.crc32(node_id.encode())).random()


ASYNCIO = """
import asyncio
import time

import pytest
from shop import add, app

@pytest.fixture
async def sim(tqsim_simulation):
    sim = tqsim_simulation(app)
    sim.worker("w1")
    yield sim
    sim.run_until_idle()

@pytest.mark.tqsim(seeds=2)
async def test_with_block(tqsim_simulation):
    with tqsim_simulation(app) as sim:
        sim.worker("w1")
        result = add.delay(1, 2)
        await asyncio.sleep(0)
        assert result.get(timeout=60) == 3
        sim.run(for_="7d")
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)

async def test_waiting_in_the_loop_of_the_test_is_virtual(tqsim_simulation):
    with tqsim_simulation(app) as sim:
        sim.worker("w1")
        result = add.delay(1, 2)
        await asyncio.sleep(3600)
        assert (result.ready(), sim.elapsed) == (True, 3600.0)
        assert await asyncio.to_thread(add.delay(3, 4).get, timeout=60) == 7
    await asyncio.sleep(0.001)

async def test_async_fixture(sim):
    assert add.delay(1, 2).get(timeout=60) == 3

def test_synchronous(tqsim_simulation):
    tqsim_simulation(app).worker("w1")
    assert add.delay(1, 2).get(timeout=60) == 3

async def test_without_simulation():
    started = time.monotonic()
    await asyncio.sleep(0.001)
    assert 0 < time.monotonic() - started < 30
"""


def test_asyncio_and_synchronous_tests_side_by_side(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(test_it=ASYNCIO)
    environment.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    run("-p", "asyncio").assert_outcomes(passed=6)


def test_all_together(environment: pytest.Pytester, run: Run) -> None:
    environment.makepyfile(
        test_it="""
        import pytest
        from shop import app, draw

        @pytest.mark.tqsim(seeds=6, policy="random")
        @pytest.mark.timeout(30)
        def test_seeds(tqsim_simulation, tqsim_seed):
            tqsim_simulation(app).worker("w1")
            draw.delay().get(timeout=10)
            assert tqsim_seed != 4
        """
    )
    plugins = [word for name in ("xdist", "timeout", "randomly", "asyncio", "pytest_cov") for word in ("-p", name)]
    environment.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    alone = run("--junitxml=alone.xml")
    result = run(*plugins, "-n", "2", "--cov=shop", "--junitxml=together.xml")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        ["*- tqsim -*", "Simulation: seed 4, *", 'Reproduce: pytest "test_it.py::test_seeds[[]seed=4]" --tqsim-seed=4']
    )
    assert _properties(environment, "together.xml") == _properties(environment, "alone.xml")
    assert "seed=4" in "".join(line for line in alone.outlines if line.startswith("FAILED"))


def _properties(environment: pytest.Pytester, name: str) -> list[tuple[str, str]]:
    text = (environment.path / name).read_text(encoding="utf-8")
    found = sorted(re.findall(r'<property name="(tqsim_\w+)" value="(\w+)"', text))
    assert len(found) == 18  # three for each seed
    return found
