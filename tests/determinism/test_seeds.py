"""Equal seeds give equal runs, and other seeds other runs: both must hold for a seed to mean anything."""

from __future__ import annotations

import pytest

import tqsim
from tests.determinism.redis_story import run_redis_story
from tests.determinism.story import POLICIES, run_story
from tests.determinism.story_app import add, app


@pytest.mark.parametrize("policy", POLICIES)
def test_two_runs_of_one_seed_are_equal(policy: str) -> None:
    assert list(run_story(3, policy).moments) == list(run_story(3, policy).moments)


@pytest.mark.slow
def test_ten_seeds_give_ten_digests() -> None:
    digests = {run_story(seed, "random").digest for seed in range(10)}
    assert len(digests) == 10


def test_other_seeds_give_other_digests_with_results_in_redis() -> None:
    digests = {run_redis_story(seed, "random").digest for seed in range(4)}
    assert len(digests) == 4


def test_ten_seeds_schedule_ten_ways_where_only_the_schedule_draws() -> None:
    """The tasks draw nothing here; what differs is the order in which the random policy lets them run."""
    schedules = {_order(seed, "random") for seed in range(10)}
    assert len(schedules) == 10


@pytest.mark.parametrize("policy", ["fifo", "pct(3)"])
def test_the_story_depends_on_the_seed_under(policy: str) -> None:
    assert run_story(1, policy).digest != run_story(2, policy).digest


def _order(seed: int, policy: str) -> tuple[tuple[float, int], ...]:
    with tqsim.Simulation(app, seed=seed, policy=policy) as sim:
        for name in ("w1", "w2"):
            sim.worker(name, concurrency=2)
        for number in range(20):
            add.apply_async((number,))
        sim.run_until_idle()
    starts = [(life.attempts[0].started, life.args) for life in sim.history.tasks("story.add")]
    return tuple((started or 0.0, int(str(args).strip("[](),"))) for started, args in starts)
