"""The gallery: what each scenario prints is what its ``.out`` file says, and it is the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repo.sources import ROOT
from tests.scenarios.command import lines, tqsim
from tqsim.scenario import Outcome, Override, load_file, run

GALLERY = ROOT / "scenarios"
NAMES = sorted(path.stem for path in GALLERY.glob("*.toml"))
# Less of the same, for tests that run a scenario more than once.
LIGHTER = {"retry_storm": "load.orders.rate=4/m"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_prints_its_out_file(name: str) -> None:
    """Made by ``COLUMNS=80 tqsim run NAME | sed 's/ *$//' > scenarios/NAME.out``."""
    result = tqsim("run", name)
    expected = (GALLERY / f"{name}.out").read_text(encoding="utf-8")
    assert lines(result.stdout) == lines(expected)
    assert result.exit_code == 0


def test_the_gallery_has_the_three_stories_each_with_its_output() -> None:
    assert NAMES == ["nightly_report", "retry_storm", "worker_killed"]
    assert sorted(path.stem for path in GALLERY.glob("*.out")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_histories_and_others_do_not(name: str) -> None:
    first, again, other = (digests(name, seed, "random") for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_worker_loses_the_three_that_ran_under_every_seed(seed: int) -> None:
    outcome = outcome_of("worker_killed", f"seed={seed}", "policy=random")
    assert [judgement.name for judgement in outcome.judgements if not judgement.is_met] == []
    states = [life.state for life in outcome.variants[0].history.tasks("shop.send_receipt")]
    assert (states.count("lost"), states.count("succeeded")) == (3, 57)


def test_the_storm_is_larger_with_a_fixed_delay_under_another_seed() -> None:
    outcome = outcome_of("retry_storm", "seed=11", LIGHTER["retry_storm"])
    comparisons = {judgement.name: judgement.is_met for judgement in outcome.comparisons}
    assert comparisons["fixed_delay_calls_more"]
    assert [variant.name for variant in outcome.variants] == ["fixed", "backoff"]


def test_both_variants_get_the_same_orders_at_the_same_times() -> None:
    outcome = outcome_of("retry_storm", LIGHTER["retry_storm"])
    sent = [[(life.published_us, life.args) for life in variant.history.tasks()] for variant in outcome.variants]
    assert sent[0] == sent[1]


def test_the_nightly_report_keeps_its_hour_when_the_clocks_change() -> None:
    outcome = outcome_of("nightly_report")
    nights = [life.published for life in outcome.variants[0].history.tasks("shop.report_night")]
    # Three in the morning in Berlin is 14 hours after noon in UTC, and 13 once summer time has begun.
    assert nights == [3_600.0 * (24 * day + (14 if day < 5 else 13)) for day in range(7)]


def test_the_gallery_is_listed_with_one_line_for_each() -> None:
    result = tqsim("list")
    assert lines(result.stdout) == [
        "nightly_report  Beat starts a chord and a group, every night for a week",
        "retry_storm     A payment provider is down: fixed retry delay against backoff",
        "worker_killed   A worker is killed: early acks lose what ran, late acks do not",
        "",
        "Run one with: tqsim run NAME",
    ]
    assert result.exit_code == 0


def test_a_scenario_can_be_named_by_its_file(tmp_path: Path) -> None:
    copy = tmp_path / "mine.toml"
    copy.write_text((GALLERY / "worker_killed.toml").read_text(encoding="utf-8"), encoding="utf-8")
    result = tqsim("run", str(copy))
    assert result.stdout.startswith("mine: A worker is killed")
    assert result.exit_code == 0


def outcome_of(name: str, *changes: str) -> Outcome:
    return run(load_file(GALLERY / f"{name}.toml", [Override.parse(change) for change in changes]))


def digests(name: str, seed: int, policy: str) -> list[str]:
    changes = [f"seed={seed}", f"policy={policy}", *([LIGHTER[name]] if name in LIGHTER else [])]
    return [variant.history.digest for variant in outcome_of(name, *changes).variants]
