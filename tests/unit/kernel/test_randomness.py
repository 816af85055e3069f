from __future__ import annotations

import os
import random
import re
import secrets
import tempfile
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import choice, randint
from typing import Any

import pytest

from tests.unit.kernel.kernels import as_tool, kernel

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


class Dice(random.Random):
    """A generator of the application's own kind."""

    def roll(self) -> int:
        return self.randint(1, 10**9)


def test_a_generator_without_a_seed_is_seeded_by_its_drawer() -> None:
    def numbers() -> list[Any]:
        again = random.Random(3)
        again.seed()
        random.seed()
        given = Dice(4).roll()
        made = [random.Random(), random.Random(None), Dice(), again, random.SystemRandom()]
        return [given, *(generator.random() for generator in made), random.random()]

    first, again, other = drawn(7, numbers), drawn(7, numbers), drawn(8, numbers)
    shared = [index for index, (one, two) in enumerate(zip(first, other, strict=True)) if one == two]

    assert first == again
    assert (shared, len(set(first))) == ([0], len(first))


def test_processes_seed_their_generators_independently() -> None:
    def numbers(names: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with kernel() as simulation:
            for name in names:

                def body(name: str = name) -> None:
                    found[name] = random.Random().random(), Path(tempfile.mktemp()).name

                simulation.loop.spawn(body, name, simulation.new_process(name))
            simulation.run_until(1)
        return found

    several, alone = numbers("abc"), numbers("b")

    assert several["b"] == alone["b"]
    assert len(set(several.values())) == 3


def test_a_generator_is_seeded_by_the_system_again_afterwards() -> None:
    with kernel():
        inside = random.Random()
    values = {generator.random() for generator in (random.Random(), random.Random(), Dice())}
    inside.seed()

    assert len({*values, inside.random()}) == 4
    assert random.Random.seed.__module__ == "random"


def temporary_names(folder: Path) -> list[str]:
    """Make temporary files and folders of every kind, and return their names."""
    handle, path = tempfile.mkstemp(dir=folder)
    os.close(handle)
    with tempfile.NamedTemporaryFile(dir=folder) as file, tempfile.TemporaryDirectory(dir=folder) as directory:
        paths = [path, file.name, directory, tempfile.mkdtemp(dir=folder), tempfile.mktemp(dir=folder)]
    return [Path(item).name for item in paths]


def test_names_of_temporary_files_are_drawn_from_the_seed(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "again", "other")]
    for folder in folders:
        folder.mkdir()
    first, again, other = (
        drawn(seed, partial(temporary_names, folder)) for seed, folder in zip((7, 7, 8), folders, strict=True)
    )

    assert first == again
    assert not set(first) & set(other)
    assert all(re.fullmatch(r"tmp[a-z0-9_]{8}", name) for name in first)


def test_a_name_that_is_taken_changes_no_other_draw(tmp_path: Path) -> None:
    """A file of an earlier run lies there still: tempfile goes on to the drawer's next name."""

    def make() -> list[Any]:
        return [tempfile.mkdtemp(dir=tmp_path), random.random(), uuid.uuid4(), random.Random().random()]

    first, again = drawn(7, make), drawn(7, make)

    assert first[1:] == again[1:]
    assert first[0] != again[0]


def test_the_first_look_for_a_temporary_folder_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """``tempfile`` tries a folder with a file of a random name, once in an interpreter."""

    def look() -> list[Any]:
        return [tempfile.gettempdir(), random.Random().random(), uuid.uuid4()]

    known = drawn(7, look)
    monkeypatch.setattr(tempfile, "tempdir", None)

    assert drawn(7, look) == known


@pytest.mark.parametrize("is_used_before", [False, True])
def test_temporary_names_are_the_systems_again_afterwards(
    is_used_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "_name_sequence", None)
    if is_used_before:
        tempfile.mktemp()
    before = vars(tempfile)["_name_sequence"]
    inside = drawn(7, tempfile.mktemp)
    after = vars(tempfile)["_name_sequence"]

    assert after is before
    assert tempfile.mktemp() != inside


def take() -> list[Any]:
    """A generator without a seed, and a name."""
    return [random.Random().random(), tempfile.mktemp(prefix="")]


def test_what_a_test_tool_takes_comes_from_the_system_and_shifts_nothing() -> None:
    tool = as_tool(take)

    def both() -> list[Any]:
        return [tool(), take()]

    first, again, alone = drawn(7, both), drawn(7, both), drawn(7, take)

    assert first[1] == again[1] == alone
    assert not set(first[0]) & {*again[0], *alone}


def test_making_generators_and_names_shifts_no_other_draw() -> None:
    def draws_after(action: Callable[[], object]) -> list[Any]:
        def numbers() -> list[Any]:
            action()
            return [random.random(), uuid.uuid4(), os.urandom(4)]

        numbers_after: list[Any] = drawn(7, numbers)
        return numbers_after

    assert draws_after(take) == draws_after(int)
