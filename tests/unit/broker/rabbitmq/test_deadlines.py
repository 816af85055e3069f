"""Deadlines that move."""

from __future__ import annotations

from tqsim.broker.rabbitmq.deadlines import Deadlines


def _due(deadlines: Deadlines[str], now_us: int) -> list[str]:
    items = []
    while (item := deadlines.pop_due(now_us)) is not None:
        items.append(item)
    return items


def test_items_fall_due_in_the_order_of_their_deadlines() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for item, due_us in (("c", 30), ("a", 10), ("b", 20), ("a2", 10)):
        deadlines.set(item, due_us)
    assert deadlines.next_us() == 10
    assert _due(deadlines, 9) == []
    assert _due(deadlines, 20) == ["a", "a2", "b"]
    assert deadlines.next_us() == 30


def test_a_deadline_moves_later_and_earlier() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("a", 10)
    deadlines.set("b", 20)
    deadlines.set("a", 30)
    assert deadlines.next_us() == 20
    deadlines.set("a", 5)
    assert deadlines.next_us() == 5
    deadlines.set("a", 25)
    assert _due(deadlines, 100) == ["b", "a"]
    assert deadlines.next_us() is None


def test_a_dropped_deadline_is_forgotten_and_can_be_set_again() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("a", 10)
    deadlines.drop("a")
    deadlines.drop("unknown")
    assert deadlines.next_us() is None
    deadlines.set("a", 10)
    deadlines.drop("a")
    deadlines.set("a", 20)
    assert _due(deadlines, 100) == ["a"]


def test_moving_a_deadline_again_and_again_keeps_the_heap_small() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for due_us in range(10_000):
        deadlines.set("a", due_us)
        deadlines.drop("b")
        deadlines.set("b", due_us)
    assert len(deadlines._heap) == 2
    assert deadlines.next_us() == 9_999
