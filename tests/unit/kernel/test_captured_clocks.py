from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # since 3.12
START = datetime.datetime(2030, 1, 1)
NOW = datetime.datetime.now
UTCNOW = datetime.datetime.utcnow
TODAY = datetime.date.today
CLOCK = time.time


class Stamp(datetime.datetime):
    """A class of the application that existed before the simulation."""


class Day(datetime.date):
    """Another one."""


@dataclasses.dataclass
class Order:
    """Values that are made when nobody gives them."""

    created: datetime.datetime = dataclasses.field(default_factory=datetime.datetime.utcnow)
    day: datetime.date = dataclasses.field(default_factory=datetime.date.today)
    second: float = dataclasses.field(default_factory=time.time)


def hidden(function: Callable[..., Any]) -> Callable[[], Any]:
    """Return a function that holds another one in its closure, as SQLAlchemy's ``Column`` does."""

    def call() -> Any:
        return function()

    return call


CAPTURED: dict[str, tuple[Callable[[], Any], Any]] = {
    "global": (NOW, START),
    "method of a class": (staticmethod(datetime.datetime.today), START),
    "closure": (hidden(datetime.datetime.utcnow), START),
    "partial": (functools.partial(datetime.datetime.now, datetime.UTC), START.replace(tzinfo=datetime.UTC)),
    "keyword": (functools.partial(datetime.datetime.now, tz=datetime.UTC), START.replace(tzinfo=datetime.UTC)),
    "seconds": (functools.partial(time.time), 1_893_456_000.0),
    "nanoseconds": (hidden(time.time_ns), 1_893_456_000 * 10**9),
    "monotonic": (hidden(time.monotonic), 1_893_456_000.0),
    "counter": (hidden(time.perf_counter), 1_893_456_000.0),
    "broken down": (lambda: tuple(hidden(time.gmtime)())[:6], (2030, 1, 1, 0, 0, 0)),
    "of a given second": (functools.partial(hidden(lambda: time.gmtime(86_400))), time.gmtime(86_400)),
    "text": (hidden(time.ctime), "Tue Jan  1 00:00:00 2030"),
    "format": (functools.partial(time.strftime, "%Y-%m-%d"), "2030-01-01"),
    "day": (hidden(datetime.date.today), START.date()),
    "dataclass": (Order, Order(START, START.date(), 1_893_456_000.0)),
}


@pytest.mark.parametrize("where", list(CAPTURED))
def test_a_captured_clock_shows_virtual_time_and_real_time_afterwards(where: str) -> None:
    read, expected = CAPTURED[where]
    with kernel() as simulation:
        inside = read()
        simulation.run_until(86_400_000_000)
        later = read()

    assert inside == expected
    assert (later != expected) == (where != "of a given second")
    assert where == "of a given second" or read() not in (inside, later)


def test_values_are_plain_and_those_of_a_class_of_the_application_its_own() -> None:
    values: list[Any]
    with kernel():
        values = [NOW(), UTCNOW(), TODAY(), Stamp.now(), Stamp.now(datetime.UTC), Stamp.utcnow(), Day.today()]

    assert [type(value) for value in values] == [
        *(datetime.datetime, datetime.datetime, datetime.date),
        *(Stamp, Stamp, Stamp, Day),
    ]
    assert values[3] == START
    assert values[4].tzinfo is datetime.UTC
    assert values[6] == START.date()


def test_local_time_follows_the_zone_of_the_simulation() -> None:
    with kernel(time_zone="Europe/Berlin"):
        assert (NOW(), UTCNOW(), TODAY()) == (START.replace(hour=1), START, START.date())


def test_waiting_busily_for_a_captured_clock_comes_to_an_end() -> None:
    with kernel() as simulation:
        reads = 0
        while CLOCK() < 1_893_456_000.002 and reads < 100_000:
            reads += 1

        assert simulation.now_s >= 0.002


def test_foreign_threads_see_real_time() -> None:
    seen: list[Any] = []
    asking, answering = os.pipe(), os.pipe()

    def look() -> None:
        os.read(asking[0], 1)
        seen.append((CLOCK(), NOW()))
        os.write(answering[1], b"!")

    thread = threading.Thread(target=look)
    thread.start()
    before = CLOCK(), NOW()
    with kernel():
        os.write(asking[1], b"?")
        os.read(answering[0], 1)
    thread.join()
    for end in (*asking, *answering):
        os.close(end)

    assert 0 <= seen[0][0] - before[0] < 50
    assert 0 <= (seen[0][1] - before[1]).total_seconds() < 50


def test_two_simulations_one_after_the_other_each_have_their_own() -> None:
    seen = []
    for start in ("2030-01-01T00:00:00Z", "2040-01-01T00:00:00Z"):
        with kernel(start=start):
            seen.append(NOW())

    assert seen == [START, datetime.datetime(2040, 1, 1)]
