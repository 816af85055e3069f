"""Topic patterns, against a slow definition of the same rule."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tqsim.broker.rabbitmq.topics import matches, words


def _matches_slowly(pattern: Sequence[str], key: Sequence[str]) -> bool:
    if not pattern:
        return not key
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(_matches_slowly(rest, key[start:]) for start in range(len(key) + 1))
    return bool(key) and head in ("*", key[0]) and _matches_slowly(rest, key[1:])


@pytest.mark.parametrize("length", range(5))
def test_every_short_pattern_and_key(length: int) -> None:
    keys = [key for size in range(5) for key in itertools.product("ab", repeat=size)]
    for pattern in itertools.product("ab*#", repeat=length):
        for key in keys:
            assert matches(pattern, key) == _matches_slowly(pattern, key), (pattern, key)


def test_an_empty_text_has_no_words_and_a_dot_separates_two() -> None:
    assert [words(text) for text in ("", "a", ".", "a..b")] == [(), ("a",), ("", ""), ("a", "", "b")]
