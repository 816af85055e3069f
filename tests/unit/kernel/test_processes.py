from __future__ import annotations

import functools
import time
from typing import Any

from tests.unit.kernel.kernels import kernel
from tqsim.kernel import Cell


def test_each_process_sees_its_own_values_in_a_process_local_place() -> None:
    place: dict[str, Any] = {"state": "of the test", "shared": 1}
    seen: list[Any] = []
    with kernel() as simulation:
        simulation.make_local([Cell(place, "state", lambda process: f"fresh of {process.name}")])

        def body(name: str) -> None:
            seen.append(place["state"])
            place["state"] = f"changed by {name}"
            place["shared"] += 1
            time.sleep(1)  # virtual
            seen.append(place["state"])

        for name in "ab":
            simulation.loop.spawn(functools.partial(body, name), name, simulation.new_process(name))
        simulation.run_until(10**7)
        seen.append(place["state"])

    assert seen == ["fresh of a", "fresh of b", "changed by a", "changed by b", "of the test"]
    assert place == {"state": "of the test", "shared": 3}


def test_a_place_made_local_later_begins_fresh_in_processes_that_exist() -> None:
    place = {"state": "of the test"}
    seen: list[str] = []
    with kernel() as simulation:
        process = simulation.new_process("a")
        simulation.make_local([Cell(place, "state", lambda process: f"fresh of {process.name}")])
        simulation.loop.spawn(lambda: seen.append(place["state"]), "a", process)
        simulation.run_until(1)
        seen.append(place["state"])

    assert seen == ["fresh of a", "of the test"]


def test_fibers_of_one_process_share_its_values() -> None:
    place = {"state": 0}
    with kernel() as simulation:
        simulation.make_local([Cell(place, "state", lambda process: 0)])
        process = simulation.new_process("a")
        seen: list[int] = []

        def body() -> None:
            place["state"] += 1
            time.sleep(1)  # virtual
            seen.append(place["state"])

        for name in ("one", "two"):
            simulation.loop.spawn(body, name, process)
        simulation.run_until(10**7)

    assert (seen, place) == ([2, 2], {"state": 0})


def test_a_killed_process_runs_nothing_more_during_the_simulation() -> None:
    log: list[Any] = []
    with kernel() as simulation:
        process = simulation.new_process("a")

        def body() -> None:
            try:
                time.sleep(5)  # virtual
                log.append("went on")
            finally:
                log.append("finally")

        simulation.loop.spawn(body, "a", process)
        simulation.run_until(1)
        simulation.end_process(process, -9)
        simulation.run_until(10**7)
        during = list(log)

        assert (during, process.is_alive, process.exit_code) == ([], False, -9)
        assert simulation.loop.agenda.live_count == 0
    assert log == ["finally"]  # after the end, in memory only


def test_the_children_of_a_killed_process_end_with_it() -> None:
    ended: list[tuple[str, int | None]] = []
    with kernel() as simulation:
        parent = simulation.new_process("w1")
        child = simulation.new_process("w1.1", parent)
        other = simulation.new_process("w2")
        simulation.on_process_end.append(lambda process: ended.append((process.name, process.exit_code)))
        simulation.end_process(parent, -9)
        simulation.end_process(parent, -15)

        assert (ended, other.is_alive) == ([("w1.1", -9), ("w1", -9)], True)
        assert repr(child) == f"<Process 'w1.1' pid={child.pid} dead>"


def test_who_waits_for_the_end_of_a_process_is_told_in_order() -> None:
    log: list[str] = []
    with kernel() as simulation:
        process = simulation.new_process("a")
        for name in ("first", "second"):
            process.on_death.append(functools.partial(log.append, name))
        simulation.end_process(process, 0)

    assert log == ["first", "second"]
