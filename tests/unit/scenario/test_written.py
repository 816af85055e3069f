"""Values as a file has them."""

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import pytest

from tqsim.scenario.written import written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        ('a "b"\n', '"a \\"b\\"\\n"'),
        ("größer", '"größer"'),
        ([1, "2s", [False]], '[1, "2s", [false]]'),
        ({"x": 1, "y": []}, "{ x = 1, y = [] }"),
        ({}, "{}"),
        (datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC), "2030-01-02T00:00:00+00:00"),
    ],
)
def test_a_value_is_written_as_toml_reads_it(value: Any, text: str) -> None:
    assert written(value) == text
    assert tomllib.loads(f"value = {text}") == {"value": value}
