"""Matching of routing keys against the patterns of a topic exchange.

The main name is :func:`matches`.  Keys and patterns are words separated by dots; in a pattern
``*`` stands for exactly one word and ``#`` for any number of words, also none.  The empty text has
no words at all, so ``#`` matches it and ``*`` does not (measured on RabbitMQ 3.10).
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["matches", "words"]


def words(text: str) -> tuple[str, ...]:
    """Return the words of a routing key or pattern."""
    return tuple(text.split(".")) if text else ()


def matches(pattern: Sequence[str], key: Sequence[str]) -> bool:
    """Return whether the words of ``key`` match those of ``pattern``, in O(len * len)."""
    # reachable[i] says whether the part of the pattern seen so far can match the first i words.
    reachable = [True] + [False] * len(key)
    for part in pattern:
        if part == "#":
            for index in range(1, len(reachable)):
                reachable[index] = reachable[index] or reachable[index - 1]
        else:
            for index in range(len(key), 0, -1):
                reachable[index] = reachable[index - 1] and part in ("*", key[index - 1])
            reachable[0] = False
    return reachable[-1]
