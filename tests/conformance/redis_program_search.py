"""Which generated programs run, and what is said of one that differs: :func:`for_each_program`, :func:`difference`."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.conformance.program_chances import Chances

__all__ = ["as_python", "assert_same", "check_each", "difference", "for_each_program"]

#: Hypothesis follows a program with up to five that hardly differ, except among the first ten of a search
#: (hypothesis/internal/conjecture/engine.py, ``generate_mutations_from``): so searches are that short, and many.
_SEARCH: Final = 10
_SEEDS: Final = 1_000_000
_SHOWN: Final = 40


def for_each_program(
    programs: st.SearchStrategy[Any], count: int, first_seed: int, check: Callable[[Any], None], *, shrinks: bool = True
) -> None:
    """Call ``check`` with ``count`` different programs; the seed is the only thing that decides which.

    Where it raises, Hypothesis makes the program as short as it can within five minutes, and shows it.
    """
    found: set[Any] = set()
    failed: list[Any] = []

    def check_once(program: Any) -> None:
        is_new = program not in found and len(found) < count
        if not (is_new or failed):  # whatever comes after a failure serves to shrink it
            return
        try:
            check(program)
        except BaseException:
            failed.append(program)
            raise
        found.add(program)

    phases = (Phase.generate, Phase.shrink) if shrinks else (Phase.generate,)
    for number in itertools.count(first_seed * _SEEDS):
        if len(found) >= count:
            return
        _search(programs, number, check_once, phases)


def _search(
    programs: st.SearchStrategy[Any], number: int, check: Callable[[Any], None], phases: tuple[Phase, ...]
) -> None:
    @seed(number)
    @settings(
        max_examples=_SEARCH,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(programs)
    def search(program: Any) -> None:
        check(program)

    search()


def check_each(
    programs: st.SearchStrategy[Any], count: int, compare: Callable[[Any], str | None], node: pytest.Item
) -> None:
    """Let ``compare`` say how each of ``count`` programs differs; none may each time, and few by chance.

    ``node`` is the test, whose run says with ``--hypothesis-seed`` which programs.
    """
    chances = Chances(count)

    def check(program: Any) -> None:
        text = chances.difference(lambda: compare(program))
        if text is not None:
            raise AssertionError(text)

    for_each_program(programs, count, int(node.config.getoption("--hypothesis-seed") or 0), check)
    chances.conclude(node)


def difference(program: Any, expected: list[str], found: list[str]) -> str | None:
    """Return the lines that differ and the program as Python, or ``None`` when both are equal."""
    if expected == found:
        return None
    lines = [*difflib.unified_diff(expected, found, "real server", "simulation", lineterm="", n=3)]
    return "\n".join([*lines[:_SHOWN], "", "The program:", "", as_python(program)])


def assert_same(program: Any, expected: list[str], found: list[str]) -> None:
    """Raise ``AssertionError`` with their :func:`difference`, if there is one."""
    text = difference(program, expected, found)
    if text is not None:
        raise AssertionError(text)


def as_python(program: Any) -> str:
    """Return a program as Python, a line for each step, to be pasted among the hand-written ones."""
    lines = [f"{type(program).__name__}("]
    for field in dataclasses.fields(program):
        value = getattr(program, field.name)
        if field.name == "steps":
            lines += ["    steps=(", *(f"        {step!r}," for step in value), "    ),"]
        elif value != field.default:
            lines.append(f"    {field.name}={value!r},")
    return "\n".join([*lines, ")"])
