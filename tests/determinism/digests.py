"""The script that prints the digests of the stories, for a fresh interpreter: ``python -m ...``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

import tqsim
from tests.determinism.link_story import run_link_story
from tests.determinism.redis_story import run_redis_story
from tests.determinism.story import POLICIES, run_story

__all__ = ["STORIES"]

STORIES: Final[dict[str, Callable[[int, str], tqsim.History]]] = {
    "memory": run_story,
    "redis": run_redis_story,
    "redis_broker": lambda seed, policy: run_story(seed, policy, tqsim.Redis()),
    "links": run_link_story,
    "redis_links": lambda seed, policy: run_link_story(seed, policy, tqsim.Redis()),
}


def main() -> None:
    """Print a line ``story/policy digest`` for each that is asked for, and save the histories if asked to."""
    every = [f"{story}/{policy}" for story in STORIES for policy in POLICIES]
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--before", type=int, default=0, help="how many other simulations come first")
    parser.add_argument("--save", type=Path, help="folder for the histories")
    parser.add_argument("runs", nargs="*", default=every)
    arguments = parser.parse_args()
    for number in range(arguments.before):
        run_story(1_000 + number, POLICIES[number % len(POLICIES)])
    for run in arguments.runs:
        story, _, policy = run.partition("/")
        history = STORIES[story](arguments.seed, policy)
        if arguments.save is not None:
            history.save(arguments.save / f"{story}-{policy}.jsonl")
        print(run, history.digest)  # noqa: T201 - the answer to whoever started the interpreter


if __name__ == "__main__":
    main()
