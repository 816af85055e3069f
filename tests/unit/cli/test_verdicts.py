"""Expectations and verdicts on a screen of some width."""

from __future__ import annotations

import pytest

from tests.unit.screens import lines, screen
from tqsim.cli.verdicts import show_verdicts
from tqsim.history import History
from tqsim.scenario import Judgement, Outcome, VariantOutcome

TASK = "warehouse.reservations.tasks.reserve_everything_that_was_ordered"
MET = Judgement("all_are_sent_on_time", f'latency (max = "10m", task = "{TASK}")', "x.toml, line 3", is_met=True)
NOT_MET = Judgement(
    "no_order_is_lost", "nothing_lost", "x.toml, line 9", is_met=False, variant="fixed",
    details="nothing_lost failed: 1 violation.\n  shop.charge a: it still runs on w1.",
)  # fmt: skip


def shown(*judgements: Judgement, width: int = 80, notice: str = "") -> list[str]:
    console = screen(width=width)
    run = VariantOutcome("", History(), judgements, notices=(notice,) if notice else ())
    show_verdicts(console, Outcome((run,)), "tqsim run x.toml")
    return lines(console)


def test_a_long_name_of_a_task_is_not_split_on_80_columns() -> None:
    assert shown(MET) == [
        "Expectations",
        "met  all are sent on time",
        '     latency (max = "10m",',
        f'         task = "{TASK}")',
        "",
        "The one expectation is met.",
    ]


@pytest.mark.parametrize("width", [40, 200])
def test_words_stay_whole_on_every_width(width: int) -> None:
    found = shown(MET, NOT_MET, width=width)
    assert any(f'task = "{TASK}")' in line for line in found)
    assert "met      all are sent on time" in found
    assert "NOT MET  no order is lost (fixed)" in found


def test_what_failed_is_told_with_its_place_and_the_line_that_repeats_it() -> None:
    found = shown(NOT_MET, notice="load 'orders': 3 could not be published")
    assert found[found.index("") + 1 :] == [
        "no order is lost (fixed): x.toml, line 9",
        "  nothing_lost failed: 1 violation.",
        "    shop.charge a: it still runs on w1.",
        "",
        "The one expectation is not met.",
        "Note: load 'orders': 3 could not be published.",
        "Reproduce: tqsim run x.toml",
    ]


@pytest.mark.parametrize(
    ("judgements", "words"),
    [
        ((), "Nothing was expected."),
        ((MET, MET), "All 2 expectations are met."),
        ((MET, NOT_MET), "1 of 2 expectations is not met."),
        ((NOT_MET, NOT_MET), "2 of 2 expectations are not met."),
    ],
)
def test_expectations_are_counted_in_plain_words(judgements: tuple[Judgement, ...], words: str) -> None:
    assert words in shown(*judgements)
