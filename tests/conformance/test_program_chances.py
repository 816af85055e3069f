"""What a generated program that differs has to do to count: :mod:`tests.conformance.program_chances`."""

from __future__ import annotations

import pytest

from tests.conformance.program_chances import Chances


def test_a_program_that_differs_once_does_so_by_chance() -> None:
    chances = Chances(10)
    answers = iter(["once", "twice", None])
    assert chances.difference(lambda: next(answers)) is None
    assert chances.texts == ["once"]


def test_a_program_that_differs_each_time_counts() -> None:
    chances = Chances(10)
    answers = iter(["once", "twice", "again"])
    assert chances.difference(lambda: next(answers)) == "once"
    assert chances.texts == []


def test_few_programs_may_differ_by_chance_and_are_shown(request: pytest.FixtureRequest) -> None:
    for number, found in ((10, 1), (600, 3)):
        chances = Chances(number)
        chances.texts.extend("abcd"[:found])
        before = len(request.node.user_properties)
        chances.conclude(request.node)
        assert request.node.user_properties[before:] == [("by chance", text) for text in "abcd"[:found]]
        del request.node.user_properties[before:]
        chances.texts.append("x")
        with pytest.raises(
            pytest.fail.Exception, match=f"^{found + 1} of {number} came out otherwise once, such as:\na$"
        ):
            chances.conclude(request.node)
