"""The seed alone decides: not the interpreter, its hash seed, its memory, or what ran before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.determinism.interpreters import Interpreter, first_difference, run_in_fresh_interpreters
from tests.determinism.story import POLICIES, run_story

STORY = "tests.determinism.story"
INTERPRETERS = 20


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_one_seed_gives_one_digest_in_twenty_fresh_interpreters(tmp_path: Path) -> None:
    """Every interpreter runs the story under each policy, and each policy comes first in a third of them.

    In every other interpreter two other simulations were opened before.
    """
    fresh = []
    for number in range(INTERPRETERS):
        shift = number % len(POLICIES)
        folder = tmp_path / str(number)
        folder.mkdir()
        before = 2 * (number // len(POLICIES) % 2)
        arguments = ("--before", str(before), "--save", str(folder), *POLICIES[shift:], *POLICIES[:shift])
        fresh.append(
            Interpreter(hash_seed=1 + 977 * number, pieces=5_000 + 7_919 * number, arguments=arguments)
        )
    answers = run_in_fresh_interpreters(STORY, fresh)
    expected = {policy: answers[0][policy] for policy in POLICIES}
    assert len(set(expected.values())) == len(POLICIES)
    for number, answer in enumerate(answers):
        for policy in POLICIES:
            assert answer[policy] == expected[policy], (
                f"{policy}, interpreter {number} against 0: "
                + first_difference(
                    tmp_path / "0" / f"{policy}.jsonl", tmp_path / str(number) / f"{policy}.jsonl"
                )
            )


def test_another_interpreter_gives_the_digest_of_this_one(tmp_path: Path) -> None:
    """This one has run other tests, under pytest, with other modules loaded."""
    arguments = ("--seed", "11", "--save", str(tmp_path), "random")
    (answer,) = run_in_fresh_interpreters(
        STORY, [Interpreter(hash_seed=5, pieces=1_000, arguments=arguments)]
    )
    history = run_story(11, "random")
    history.save(tmp_path / "here.jsonl")
    assert answer["random"] == history.digest, first_difference(
        tmp_path / "random.jsonl", tmp_path / "here.jsonl"
    )
