from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from kombu.utils.eventio import READ

from tests.unit.kernel.kernels import kernel
from tqsim.kernel import Kernel
from tqsim.kernel.steady import OrderedSet
from tqsim.worker.hub import hub_class, timer_class


def in_process(simulation: Kernel, body: Callable[[], object]) -> None:
    """Run ``body()`` in a process of its own, for at most a virtual hour."""
    simulation.loop.spawn(body, "w1", simulation.new_process("w1"))
    simulation.run_until(simulation.loop.now_us + 3_600_000_000)


def test_an_ordered_set_holds_what_a_set_holds() -> None:
    draws = random.Random(3)
    ours: Any = OrderedSet()
    plain: set[int] = set()
    for _ in range(2_000):
        item, others = draws.randrange(20), {draws.randrange(20) for _ in range(3)}
        name = draws.choice(["add", "discard", "difference_update", "intersection_update"])
        argument: Any = item if name in ("add", "discard") else others
        getattr(ours, name)(argument)
        getattr(plain, name)(argument)
        assert set(ours) == plain


def test_an_ordered_set_is_walked_in_the_order_of_addition() -> None:
    items: Any = OrderedSet()
    for item in "cabbac":
        items.add(item)
    copy = items.copy()
    copy.remove("a")

    assert (list(items), list(copy), copy.pop(), list(copy)) == (["c", "a", "b"], ["c", "b"], "c", ["b"])
    with pytest.raises(KeyError):
        copy.remove("a")


def test_entries_of_one_instant_are_in_the_order_of_making() -> None:
    timer = timer_class()()
    entries = [timer.call_at(5.0, str) for _ in range(50)]
    shuffled = random.Random(3).sample(entries, len(entries))

    assert sorted(shuffled) == entries


def test_the_poller_waits_in_virtual_time_and_is_woken_by_a_wire_a_timer_and_a_callback() -> None:
    log: list[Any] = []
    with kernel() as simulation:

        def body() -> None:
            hub = hub_class(simulation)(timer=timer_class()())
            has_arrived: list[bool] = []
            wire = simulation.wires.new(lambda: bool(has_arrived))

            def arrive() -> None:
                has_arrived.append(True)
                wire.notify()

            def read() -> None:
                has_arrived.clear()
                log.append(("read", simulation.now_s))

            hub.add_reader(wire.number, read)
            hub.call_later(3.0, lambda: log.append(("timer", simulation.now_s)))
            simulation.loop.call_later(1_500_000, arrive)
            simulation.loop.call_later(5_000_000, lambda: hub.call_soon(lambda: log.append(("soon", simulation.now_s))))
            simulation.loop.call_later(9_000_000, lambda: hub.call_soon(hub.stop))
            hub.run_forever()

        in_process(simulation, body)

    assert log == [("read", 1.5), ("timer", 3.0), ("soon", 5.0)]


def test_only_simulated_connections_can_be_polled() -> None:
    messages: list[str] = []
    with kernel() as simulation:

        def body() -> None:
            hub = hub_class(simulation)(timer=timer_class()())
            try:
                hub.poller.register(0, READ)
            except ValueError as error:
                messages.append(str(error))

        in_process(simulation, body)

    assert messages == ["0 is not a simulated connection"]


def test_an_idle_hub_takes_no_events() -> None:
    with kernel() as simulation:

        def body() -> None:
            hub = hub_class(simulation)(timer=timer_class()())
            hub.add_reader(simulation.wires.new(lambda: False).number, lambda: None)  # kombu sleeps without any
            hub.call_repeatedly(600, lambda: None)
            hub.run_forever()

        simulation.loop.spawn(body, "w1", simulation.new_process("w1"))
        simulation.run_until(1)
        before = simulation.loop.switches
        simulation.run_until(7 * 24 * 3_600_000_000)

        # A week has 1,008 times ten minutes; each costs a turn for the timer and one that finds nothing.
        assert simulation.loop.switches - before < 3 * 1_008
