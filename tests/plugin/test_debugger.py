"""``--pdb`` and ``breakpoint()``, in the test and in a task."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run

TESTS = """
import time

import pytest
from shop import add, app

@app.task
def stops(x):
    y = x + 1
    breakpoint()
    time.sleep(5)
    z = y + 1
    return z

@app.task
def fails():
    raise KeyError("in the task")

@pytest.fixture
def sim(tqsim_simulation):
    sim = tqsim_simulation(app, stall="0.3s")
    sim.worker("w1")
    return sim

def test_task(sim):
    assert stops.delay(1).get(timeout=60) == 3

def test_test(sim):
    breakpoint()
    assert add.delay(1, 2).get(timeout=60) == 3

def test_fails(sim):
    result = add.delay(1, 2)
    assert result.get(timeout=60) == 4

def client():
    here = "in the client"
    raise KeyError(here)

def test_error_of_a_process(sim):
    process = sim.client(client)
    sim.run_until_idle()
    process.result()
"""


@pytest.fixture
def debug(environment: pytest.Pytester, run: Run) -> Run:
    """``debug(*arguments, commands=[...])`` runs the tests and types the commands."""
    environment.makepyfile(test_it=TESTS)

    def run_pytest(*arguments: str, commands: list[str]) -> pytest.RunResult:
        return run(*arguments, stdin="".join(f"{command}\n" for command in commands).encode())

    return run_pytest


def test_breakpoint_in_a_task_sees_virtual_time_and_no_stall(debug: Run) -> None:
    # The sum takes longer than the stall that the watchdog allows, as a user does who thinks.
    commands = ["p ('y', y)", "p ('sum', sum(range(30_000_000)))", "p ('at', time.time())", "n"]
    commands += ["p ('at', time.time())", "n", "p ('z', z)", "c"]
    result = debug("-k", "test_task", commands=commands)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*PDB set_trace (IO-capturing turned off)*",
            "*test_it.py(*)stops()",
            "*('y', 2)",
            "*('sum', 449999985000000)",
            "*('at', 1893456000.0)",
            "-> z = y + 1",
            "*('at', 1893456005.0)",
            "*('z', 3)",
        ]
    )


def test_breakpoint_in_the_test_can_run_the_simulation(debug: Run) -> None:
    commands = ["p ('sum', sum(range(30_000_000)))", "p add.delay(20, 3).get(timeout=9)", "p ('at', sim.elapsed)", "c"]
    result = debug("-k", "test_test", commands=commands)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_it.py(*)test_test()", "*23", "*('at', [12].*)"])


def test_post_mortem_stands_where_the_test_failed_with_the_simulation_open(debug: Run) -> None:
    commands = ["p ('result', result.get())", "p ('after', sim.run(for_=60), sim.elapsed > 60)", "w", "q"]
    result = debug("-k", "test_fails", "--pdb", commands=commands)
    result.stdout.fnmatch_lines(
        [
            "*entering PDB*",
            "*test_it.py(*)test_fails()",
            "-> assert result.get(timeout=60) == 4",
            "*('result', 3)",
            "*('after', None, True)",
        ]
    )


HOOK = """
import _pytest.timing
import os
import pdb
import threading
import time

class Recorder(pdb.Pdb):
    def interaction(self, frame, traceback):
        while traceback.tb_next is not None:
            traceback = traceback.tb_next
        print(f"<innermost {traceback.tb_frame.f_code.co_name}>")
        os.write(asking[1], b"?")
        for since in (real_time() - started, float(os.read(answering[0], 99))):
            print(f"<real {since < 50}>")  # and not the time until the virtual year 2030
        self.set_quit()

def real_time():
    return eval("time()", vars(_pytest.timing))  # asked by pytest itself

# A debugger may have threads of its own: they run on, and in real time.
started = time.time()
asking, answering = os.pipe(), os.pipe()

def answer():
    while os.read(asking[0], 1):
        os.write(answering[1], str(time.time() - started).encode())

threading.Thread(target=answer, daemon=True).start()
"""


@pytest.mark.parametrize(
    ("name", "innermost"), [("test_fails", "test_fails"), ("test_error_of_a_process", "client")], ids=["test", "client"]
)
def test_post_mortem_hook_gets_the_traceback_in_real_time(
    environment: pytest.Pytester, debug: Run, name: str, innermost: str
) -> None:
    environment.makepyfile(recorder=HOOK)
    # Named as a plugin too, so that it is imported, and its thread started, before a simulation opens.
    result = debug("-p", "recorder", "-k", name, "--pdb", "--pdbcls=recorder:Recorder", commands=[])
    assert [line for line in result.outlines if line.startswith("<")] == [
        f"<innermost {innermost}>",
        "<real True>",
        "<real True>",
    ]
