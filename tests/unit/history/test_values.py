from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from types import MappingProxyType

import pytest

from tqsim.history import json_value, stable_text


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


UTC_INSTANT = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        ("text", "text"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ((1, (2, 3)), [1, [2, 3]]),
        ([1, (2,)], [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({"a": (1,), 2: None}, {"a": [1], "2": None}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (UTC_INSTANT, "2030-01-01T12:00:00+00:00"),
        (datetime.date(2030, 1, 1), "2030-01-01"),
        (datetime.time(12, 30), "12:30:00"),
        (datetime.timedelta(minutes=1, milliseconds=500), 60.5),
        (b"raw", "b'raw'"),
        (ValueError("no"), "ValueError: no"),
        (KeyError(), "KeyError"),
        (decimal.Decimal("1.10"), "Decimal('1.10')"),
        (uuid.UUID(int=1), "UUID('00000000-0000-0000-0000-000000000001')"),
        (Broken(), "<unprintable Broken>"),
    ],
)
def test_a_value_becomes_what_json_can_carry(value: object, expected: object) -> None:
    converted = json_value(value)

    assert converted == expected
    assert type(converted) is type(expected)


def test_not_a_number_becomes_text() -> None:
    assert json_value(math.nan) == "nan"


def test_the_text_of_an_object_has_no_address_as_it_differs_from_run_to_run() -> None:
    assert stable_text([object()]) == "[<object object>]"


def test_a_structure_that_contains_itself_ends_as_text() -> None:
    loop: list[object] = []
    loop.append(loop)

    assert json_value(loop) == [[[[[[[[[["[[...]]"]]]]]]]]]]
