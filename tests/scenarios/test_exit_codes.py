"""How ``tqsim run`` ends: its exit code, and the line that repeats the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.command import lines, tqsim
from tqsim import History
from tqsim.cli import commands
from tqsim.cli.commands import INTERNAL, MET, NO_PROGRESS, NOT_MET, USAGE
from tqsim.simulation.settings import installed_versions

SCENARIO = "worker_killed"
REQUEST = (
    "This is a bug of tqsim. Please report it at its issue tracker, with the line below and what it prints "
    "with --traceback."
)


def test_expectations_that_hold_end_with_zero() -> None:
    result = tqsim("run", SCENARIO)
    assert lines(result.stdout)[-1] == "All 5 expectations are met."
    assert result.stderr == ""
    assert result.exit_code == MET == 0


def test_an_expectation_that_fails_ends_with_one_and_tells_what_was_found() -> None:
    result = tqsim("run", SCENARIO, "--seed", "5", "--set", "expect.late_ack_runs_at_most_twice.n=1")
    shown = lines(result.stdout)
    place = shown.index("NOT MET  late ack runs at most twice")
    assert shown[place + 1] == '         at_most_runs (n = 1, task = "shop.reserve_stock")'
    place = shown.index("late ack runs at most twice: worker_killed.toml, line 67")
    assert shown[place + 1] == '  at_most_runs (n = 1, task = "shop.reserve_stock") failed: 3 violations.'
    assert shown[-2:] == [
        "1 of 5 expectations is not met.",
        reproduction("--seed 5 --set expect.late_ack_runs_at_most_twice.n=1"),
    ]
    assert result.exit_code == NOT_MET == 1


def test_a_load_that_cannot_send_for_a_while_is_noted() -> None:
    restart = 'faults.broker={kind="broker_restart", at="20s", down_for="3s"}'
    shown = lines(tqsim("run", SCENARIO, "--set", restart).stdout)
    notes = [line for line in shown if line.startswith("Note: load ")]
    assert notes
    assert all("could not be published, the first because of OperationalError" in note for note in notes)


def test_a_mistake_ends_with_two() -> None:
    result = tqsim("run", SCENARIO, "--set", "workers.mail.pool=nope")
    assert result.stderr == (
        "Error: --set workers.mail.pool=nope: workers.mail.pool='nope' is not a pool; "
        "expected 'prefork', 'solo' or 'threads'.\n"
    )
    assert result.exit_code == USAGE == 2


def test_a_run_past_its_limit_ends_with_three_and_tells_what_it_waited_for() -> None:
    never_restarted = 'faults.mail_dies={kind="worker_kill", worker="mail", at=30}'
    result = tqsim("run", SCENARIO, "--set", never_restarted, "--set", "run.limit=2h")
    assert lines(result.stderr) == [
        (
            "No progress: Not idle after 2h of virtual time. Still there: 30 ready in queue 'mail' "
            "(nobody consumes it). "
            'If nobody is meant to consume it, as a queue of dead letters, give ignore_queues=["mail"].'
        ),
        reproduction(f"--seed 0 --set '{never_restarted}' --set run.limit=2h"),
    ]
    assert result.stdout == ""
    assert result.exit_code == NO_PROGRESS == 3


def test_a_bug_of_ours_ends_with_four_and_says_where_to_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    break_the_runner(monkeypatch)
    result = tqsim("run", SCENARIO, "--policy", "pct(3)")
    assert lines(result.stderr) == [
        "tqsim has failed: RuntimeError: no such luck",
        REQUEST,
        reproduction("--seed 0 --policy 'pct(3)'"),
    ]
    assert result.exit_code == INTERNAL == 4


def test_the_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    break_the_runner(monkeypatch)
    result = tqsim("run", SCENARIO, "--traceback")
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.exit_code == INTERNAL


def test_the_history_is_saved_and_can_be_judged_later(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    result = tqsim("run", SCENARIO, "--history", str(path))
    history = History.load(path)
    assert lines(result.stdout)[-1] == (f"History: {path} ({len(history):,} moments, digest {history.digest})")
    assert history.info.line == reproduction("--seed 0")


def test_each_variant_has_a_history_of_its_own(tmp_path: Path) -> None:
    result = tqsim("run", "retry_storm", "--set", "load.orders.rate=1/m", "--history", str(tmp_path / "h.jsonl"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h-backoff.jsonl", "h-fixed.jsonl"]
    assert result.exit_code in (MET, NOT_MET)


def reproduction(arguments: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
    return f"Reproduce: tqsim run {SCENARIO} {arguments}  # {versions}"


def break_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> object:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(commands, "run_story", broken)
