"""The seed alone decides: not the interpreter, its hash seed, its memory, or what ran before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.determinism.interpreters import Interpreter, first_difference, run_in_fresh_interpreters
from tests.determinism.story import POLICIES, run_story

STORY = "tests.determinism.story"
INTERPRETERS = 20


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_one_seed_gives_one_digest_in_twenty_fresh_interpreters(tmp_path: Path) -> None:
    """The policies take turns; in every other interpreter of each, two other simulations came before."""
    fresh, policies = [], []
    for number in range(INTERPRETERS):
        policies.append(POLICIES[number % len(POLICIES)])
        (tmp_path / str(number)).mkdir()
        before = 2 * (number // len(POLICIES) % 2)
        arguments = ("--before", str(before), "--save", str(tmp_path / str(number)), policies[number])
        fresh.append(Interpreter(hash_seed=1 + 977 * number, pieces=5_000 + 7_919 * number, arguments=arguments))
    answers = run_in_fresh_interpreters(STORY, fresh)
    for number, (policy, answer) in enumerate(zip(policies, answers, strict=True)):
        first = policies.index(policy)
        files = [tmp_path / str(index) / f"{policy}.jsonl" for index in (first, number)]
        assert answer == answers[first], f"{policy}, interpreter {number}: {first_difference(*files)}"
    assert len({answers[policies.index(policy)][policy] for policy in POLICIES}) == len(POLICIES)


def test_another_interpreter_gives_the_digest_of_this_one(tmp_path: Path) -> None:
    """This one has run other tests, under pytest, with other modules loaded."""
    arguments = ("--seed", "11", "--save", str(tmp_path), "random")
    (answer,) = run_in_fresh_interpreters(STORY, [Interpreter(hash_seed=5, pieces=1_000, arguments=arguments)])
    history = run_story(11, "random")
    history.save(tmp_path / "here.jsonl")
    assert answer["random"] == history.digest, first_difference(tmp_path / "random.jsonl", tmp_path / "here.jsonl")
