"""The seed alone decides: not the interpreter, its hash seed, its memory, or what ran before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.determinism.digests import STORIES
from tests.determinism.interpreters import Interpreter, first_difference, run_in_fresh_interpreters
from tests.determinism.story import POLICIES, run_story

SCRIPT = "tests.determinism.digests"
INTERPRETERS = 20
RUNS = {f"{story}/{policy}" for story in STORIES for policy in POLICIES}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_seed_gives_one_digest_in_twenty_fresh_interpreters(tmp_path: Path) -> None:
    """Each runs every story under every policy; in every other one, two other simulations came before."""
    fresh = []
    for number in range(INTERPRETERS):
        (tmp_path / str(number)).mkdir()
        arguments = ("--before", str(2 * (number % 2)), "--save", str(tmp_path / str(number)))
        fresh.append(Interpreter(hash_seed=1 + 977 * number, pieces=5_000 + 7_919 * number, arguments=arguments))
    answers = run_in_fresh_interpreters(SCRIPT, fresh)
    assert answers[0].keys() == RUNS
    assert len(set(answers[0].values())) == len(RUNS)
    for number, answer in enumerate(answers):
        for run, digest in answer.items():
            files = [tmp_path / str(index) / f"{run.replace('/', '-')}.jsonl" for index in (0, number)]
            assert digest == answers[0][run], f"{run}, interpreter {number}: {first_difference(*files)}"


def test_another_interpreter_gives_the_digest_of_this_one(tmp_path: Path) -> None:
    """This one has run other tests, under pytest, with other modules loaded."""
    arguments = ("--seed", "11", "--save", str(tmp_path), "memory/random")
    (answer,) = run_in_fresh_interpreters(SCRIPT, [Interpreter(hash_seed=5, pieces=1_000, arguments=arguments)])
    history = run_story(11, "random")
    history.save(tmp_path / "here.jsonl")
    files = tmp_path / "memory-random.jsonl", tmp_path / "here.jsonl"
    assert answer["memory/random"] == history.digest, first_difference(*files)
