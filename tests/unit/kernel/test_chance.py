from __future__ import annotations

import uuid

from tqsim.kernel.chance import Chance


def test_the_same_seed_and_key_give_the_same_numbers() -> None:
    def drawn(seed: int, key: str) -> tuple[float, bytes, uuid.UUID]:
        draws = Chance(seed).draws(key)
        return draws.generator.random(), draws.bytes(4), draws.uuid4()

    assert drawn(7, "w1") == drawn(7, "w1")
    assert drawn(7, "w1") != drawn(8, "w1")
    assert drawn(7, "w1") != drawn(7, "w2")


def test_what_one_drawer_takes_shifts_no_other() -> None:
    chance, alone = Chance(7), Chance(7)
    first, second, only = chance.draws("first"), chance.draws("second"), alone.draws("second")
    numbers = []
    for _ in range(5):
        first.generator.random()
        first.uuid4()
        first.bytes(100)
        numbers.append((second.generator.random(), second.uuid4()))

    assert numbers == [(only.generator.random(), only.uuid4()) for _ in range(5)]


def test_random_numbers_and_bytes_of_one_drawer_do_not_shift_each_other() -> None:
    one, other = Chance(7).draws("w"), Chance(7).draws("w")
    one.generator.random()

    assert one.uuid4() == other.uuid4()


def test_bytes_apart_shift_nothing_and_go_on_by_purpose() -> None:
    one, other = Chance(7).draws("w"), Chance(7).draws("w")
    apart = [one.bytes_apart(purpose, 4) for purpose in ("name", "generator", "name")]

    assert [other.bytes_apart(purpose, 4) for purpose in ("name", "name", "generator")] == [*apart[::2], apart[1]]
    assert len({*apart, one.bytes(4)}) == 4
    assert Chance(7).draws("w").uuid4() == other.uuid4()


def test_keys_of_several_parts_do_not_run_into_each_other() -> None:
    chance = Chance(7)

    assert chance.stream("a", "b").random() != chance.stream("ab").random()


def test_bytes_have_the_length_that_was_asked_for_and_do_not_repeat() -> None:
    draws = Chance(7).draws("w")

    assert [len(draws.bytes(size)) for size in (0, 1, 64, 65, 1_000)] == [0, 1, 64, 65, 1_000]
    assert draws.bytes(8) != draws.bytes(8)


def test_uuids_are_random_ones() -> None:
    value = Chance(7).draws("w").uuid4()

    assert (value.version, value.variant) == (4, uuid.RFC_4122)


def test_each_turn_of_one_drawer_draws_other_numbers() -> None:
    chance, same = Chance(7), Chance(7)
    turns = [chance.draws_anew("task", "a").uuid4() for _ in range(3)]

    assert len(set(turns)) == 3
    assert same.draws_anew("task", "b").uuid4() not in turns
    assert [same.draws_anew("task", "a").uuid4() for _ in range(3)] == turns
