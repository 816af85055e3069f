from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

from tests.unit.kernel.kernels import kernel


class WithDefaults(threading.local):
    """Runs its ``__init__`` once for every thread that looks."""

    def __init__(self) -> None:
        self.items: list[str] = []


def test_each_fiber_has_its_own_thread_local_values() -> None:
    local = threading.local()
    local.name = "outside"
    seen: list[Any] = []
    with kernel() as simulation:

        def body(name: str) -> None:
            seen.append(getattr(local, "name", None))
            local.name = name
            time.sleep(1)  # virtual
            seen.append(local.name)

        for name in "ab":
            simulation.loop.spawn(lambda name=name: body(name), name, simulation.new_process(name))  # type: ignore[misc]
        thread = threading.Thread(target=body, args=("thread",))
        thread.start()
        local.name = "test"
        thread.join()
        simulation.run_until(10**7)
        seen.append(local.name)

    assert seen == [None, None, None, "a", "b", "thread", "test"]
    assert local.name == "test"


def test_a_subclass_of_local_is_initialised_in_each_fiber() -> None:
    local = WithDefaults()
    local.items.append("outside")
    lists: list[list[str]] = []
    with kernel() as simulation:
        for name in "ab":

            def body(name: str = name) -> None:
                local.items.append(name)
                time.sleep(1)  # virtual
                lists.append(local.items)

            simulation.loop.spawn(body, name, simulation.main)
        simulation.run_until(10**7)

    assert (lists, local.items) == ([["a"], ["b"]], ["outside"])


def test_a_local_made_in_a_fiber_is_empty_elsewhere_and_afterwards() -> None:
    made: list[Any] = []
    with kernel() as simulation:

        def body() -> None:
            local = threading.local()
            local.value = 1
            made.append(local)

        simulation.loop.spawn(body, "f", simulation.main)
        simulation.run_until(1)
        inside = vars(made[0])

    assert (inside, vars(made[0])) == ({}, {})


def test_values_of_a_local_are_freed_with_their_fiber() -> None:
    local = threading.local()
    log: list[str] = []

    class Value:
        def __del__(self) -> None:
            log.append("freed")

    with kernel() as simulation:

        def body() -> None:
            local.value = Value()

        simulation.loop.spawn(body, "f", simulation.main)
        simulation.run_until(1)
        simulation.loop.spawn(lambda: None, "g", simulation.main)
        simulation.run_until(2)

        assert log == ["freed"]


def test_each_fiber_has_its_own_running_event_loop() -> None:
    seen: list[Any] = []

    async def work(name: str) -> str:
        time.sleep(1)  # virtual: it blocks the event loop of its fiber only
        await asyncio.sleep(0)
        return f"{name} {asyncio.get_running_loop() is loops[name]}"

    loops: dict[str, Any] = {}
    with kernel() as simulation:

        def body(name: str) -> None:
            with asyncio.Runner() as runner:
                loops[name] = runner.get_loop()
                seen.append(runner.run(work(name)))

        for name in "ab":
            simulation.loop.spawn(lambda name=name: body(name), name, simulation.main)  # type: ignore[misc]
        simulation.run_until(500_000)
        seen.append(asyncio._get_running_loop())
        simulation.run_until(10**7)

    assert seen == [None, "a True", "b True"]
    assert asyncio._get_running_loop() is None


def run_program(text: str) -> str:
    """Run a program in an interpreter of its own: these bugs crash it."""
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_a_local_that_ends_leaves_nothing_for_the_next_at_its_address() -> None:
    """CPython names the entry of a local by its address, and keeps a borrowed pointer in it."""
    assert (
        run_program("""
        import threading, time
        from tests.unit.kernel.kernels import kernel

        with kernel() as simulation:
            locals_ = [threading.local() for _ in range(500)]
            stale = []

            def body():
                for local in locals_:
                    local.value = [1]
                time.sleep(1)
                stale.extend(local for local in locals_ if hasattr(local, "value"))

            simulation.loop.spawn(body, "f", simulation.main)
            simulation.run_until(500_000)
            locals_.clear()
            junk = [{number: number} for number in range(1_000)]
            locals_.extend(threading.local() for _ in range(500))
            simulation.run_until(2_000_000)
        print(len(stale))
    """)
        == "0\n"
    )


def test_the_interpreter_ends_in_peace_after_many_simulations() -> None:
    """The thread state's own dictionary was once freed with a simulation, and again at the exit."""
    assert (
        run_program("""
        import gc, threading
        from tests.unit.kernel.kernels import kernel

        keep = threading.local()
        keep.value = {"some": "thing"}
        for _ in range(20):
            with kernel() as simulation:
                simulation.loop.spawn(lambda: setattr(keep, "value", 2), "f", simulation.main)
                simulation.run_until(1)
            gc.collect()
        print(keep.value)
    """)
        == "{'some': 'thing'}\n"
    )


def test_the_event_loop_of_an_ended_fiber_is_not_looked_at_again() -> None:
    """The C code of asyncio remembers where the running loop is noted by a borrowed pointer."""
    assert (
        run_program("""
        import asyncio, gc
        from tests.unit.kernel.kernels import kernel

        async def nothing():
            pass

        with kernel() as simulation:
            for _ in range(50):
                simulation.loop.spawn(lambda: asyncio.run(nothing()), "f", simulation.main)
                simulation.run_until(simulation.loop.now_us + 1)
                gc.collect()
                junk = [object() for _ in range(1_000)]
                assert asyncio._get_running_loop() is None
        print(asyncio._get_running_loop())
    """)
        == "None\n"
    )
