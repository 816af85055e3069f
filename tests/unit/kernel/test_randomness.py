from __future__ import annotations

import os
import random
import secrets
import uuid
from collections.abc import Callable
from random import choice, randint
from typing import Any

from tests.unit.kernel.kernels import kernel

GENERATOR = random.Random(5)


def draw() -> list[Any]:
    """Everything that gives chance."""
    return [
        *(random.random(), random.randint(1, 10**9), randint(1, 10**9), choice(range(10**9)), random.gauss(0, 1)),
        *(uuid.uuid4(), uuid.uuid1(), uuid.getnode(), os.urandom(8), secrets.token_hex(8), secrets.randbelow(10**9)),
        *(random.SystemRandom().random(), secrets.choice(range(10**9)), random.sample(range(1_000), 3)),
    ]


def drawn(seed: int, action: Callable[[], Any] = draw) -> Any:
    with kernel(seed=seed):
        return action()


def test_everything_is_drawn_from_the_seed() -> None:
    first, again, other = drawn(7), drawn(7), drawn(8)
    node = 7  # the node of uuid.getnode() is the same for all

    assert first == again
    assert [index for index, (one, two) in enumerate(zip(first, other, strict=True)) if one == two] == [node]


def test_the_state_of_the_global_generator_is_put_back() -> None:
    random.seed(3)
    state = random.getstate()
    drawn(7)
    after = random.getstate()

    assert after == state


def test_seeding_inside_concerns_the_caller_only() -> None:
    def seeded() -> list[float]:
        random.seed(1)
        state = random.getstate()
        numbers = [random.random(), random.random()]
        random.setstate(state)
        return [*numbers, random.random(), random.random()]

    first = drawn(7, seeded)
    plain = random.Random(1)
    expected = [plain.random(), plain.random()]

    assert first == [*expected, *expected]


def test_processes_draw_independently() -> None:
    def numbers(names: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with kernel() as simulation:
            for name in names:

                def body(name: str = name) -> None:
                    found[name] = random.random(), uuid.uuid4(), os.urandom(4)

                simulation.loop.spawn(body, name, simulation.new_process(name))
            simulation.run_until(1)
        return found

    several, alone = numbers("abc"), numbers("b")

    assert several["b"] == alone["b"]
    assert len(set(several.values())) == 3


def test_a_generator_of_the_application_is_its_own_business() -> None:
    expected = random.Random(5).random()

    assert drawn(7, lambda: random.Random(5).random()) == expected
    assert drawn(8, GENERATOR.random) == expected


def test_uuid1_follows_the_virtual_clock_and_keeps_its_arguments() -> None:
    first = drawn(7, lambda: uuid.uuid1(None))
    given = drawn(7, lambda: uuid.uuid1(node=5, clock_seq=6))
    # 100 ns since 1582-10-15 (RFC 4122); 2030-01-01 is 1,893,456,000 s after 1970.
    ticks = (1_893_456_000 * 10**6 + 12_219_292_800_000_000) * 10

    assert (first.version, given.version, given.node, given.clock_seq) == (1, 1, 5, 6)
    assert 0 <= first.time - ticks < 10


def test_chance_is_real_again_afterwards() -> None:
    with kernel():
        functions: Any = random.random, uuid.uuid4, os.urandom, secrets.token_hex
    values = [[function(*arguments) for function, arguments in zip(functions, ((), (), (8,), (8,)), strict=True)]]
    values += [[random.random(), uuid.uuid4(), os.urandom(8), secrets.token_hex(8)]]

    assert all(one != other for one, other in zip(*values, strict=True))
    assert os.urandom.__module__ == "posix"
