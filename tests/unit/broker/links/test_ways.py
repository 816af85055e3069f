"""One direction of a connection: order, repetition and giving up, in exact times."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.broker.links.worlds import World
from tqsim.broker.links.ways import Way

_MS = 1_000


@dataclass
class FakeMedium:
    """A medium whose pieces take the given times, one after the other."""

    delays_us: list[int] = field(default_factory=list)
    is_cut: bool = False

    @property
    def is_clear(self) -> bool:
        return not self.is_cut and not self.delays_us

    def draw_delay_us(self) -> int:
        return self.delays_us.pop(0) if self.delays_us else 0


def _way(world: World, medium: FakeMedium, give_up_ms: int = 1_000_000) -> Way:
    return Way(world.loop, medium, give_up_ms * _MS, lambda: world.note("lost"))


def test_a_clear_way_takes_no_time() -> None:
    world, medium = World(), FakeMedium()
    _way(world, medium).send(lambda: world.note("a"))
    assert world.notes == [(0, "a")]


def test_what_was_sent_first_arrives_first() -> None:
    world, medium = World(), FakeMedium([50 * _MS, 10 * _MS, 70 * _MS])
    way = _way(world, medium)
    for name in "abc":
        way.send(lambda name=name: world.note(name))  # type: ignore[misc]
    world.run(1_000)
    assert world.notes == [(50, "a"), (50, "b"), (70, "c")]


def test_what_is_sent_into_a_cut_is_sent_again_after_ever_longer_times() -> None:
    """0.2, 0.4, 0.8, 1.6 ... seconds after the first time."""
    for mended_ms, arrived_ms in ((50, 200), (300, 400), (500, 800), (1_000, 1_600), (200_000, 204_800)):
        world, medium = World(), FakeMedium(is_cut=True)
        way = _way(world, medium)
        way.send(lambda world=world: world.note("a"))  # type: ignore[misc]
        world.run(mended_ms)
        medium.is_cut = False
        way.look_again()
        world.run(400_000)
        assert world.notes == [(arrived_ms, "a")]


def test_tcp_waits_no_longer_than_two_minutes_before_it_tries_again() -> None:
    world, medium = World(), FakeMedium(is_cut=True)
    way = _way(world, medium)
    way.send(lambda: world.note("a"))
    world.run(330_000)
    medium.is_cut = False
    way.look_again()
    world.run(900_000)
    assert world.notes == [(444_800, "a")]  # 204.8 s, and then every 120 s


def test_what_follows_arrives_with_what_is_sent_again() -> None:
    world, medium = World(), FakeMedium(is_cut=True)
    way = _way(world, medium)
    way.send(lambda: world.note("a"))
    world.run(300)
    way.send(lambda: world.note("b"))
    world.run(350)
    medium.is_cut = False
    way.look_again()
    world.run(1_000)
    assert world.notes == [(400, "a"), (400, "b")]


def test_what_is_on_its_way_when_the_cut_comes_is_lost_and_sent_again() -> None:
    world, medium = World(), FakeMedium([100 * _MS])
    way = _way(world, medium)
    way.send(lambda: world.note("a"))
    world.run(50)
    medium.is_cut = True
    way.look_again()
    world.run(150)
    medium.is_cut = False
    way.look_again()
    world.run(1_000)
    assert world.notes == [(200, "a")]


def test_what_cannot_be_brought_is_given_up_once() -> None:
    world, medium = World(), FakeMedium(is_cut=True)
    way = _way(world, medium, give_up_ms=1_000)
    way.send(lambda: world.note("a"))
    way.send(lambda: world.note("b"))
    world.run(5_000)
    medium.is_cut = False
    way.look_again()
    world.run(9_000)
    assert world.notes == [(1_000, "lost")]


def test_work_on_its_way_is_known() -> None:
    world, medium = World(), FakeMedium([10 * _MS, 10 * _MS])
    way = _way(world, medium)
    way.send(lambda: None)
    assert not way.carries_work
    way.send(lambda: None, is_work=True)
    assert way.carries_work
    world.run(20)
    assert not way.carries_work
    assert way.is_idle


def test_what_is_cleared_never_arrives() -> None:
    world, medium = World(), FakeMedium([10 * _MS])
    way = _way(world, medium)
    way.send(lambda: world.note("a"))
    way.clear()
    world.run(20)
    assert world.notes == []


def test_what_is_under_way_when_the_cut_comes_is_given_up_from_then_on() -> None:
    world, medium = World(), FakeMedium([5_000 * _MS])
    way = _way(world, medium, give_up_ms=1_000)
    way.send(lambda: world.note("a"))
    world.run(3_000)
    medium.is_cut = True
    way.look_again()
    world.run(3_100)
    medium.is_cut = False
    way.look_again()
    world.run(9_000)
    assert world.notes == [(5_000, "a")]
