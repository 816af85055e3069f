"""The verdict of the benchmark; nothing is measured here."""

from __future__ import annotations

import pytest

from tests.benchmarks.rows import Row, Size, at_most
from tests.benchmarks.run import _BROKEN, _verdict
from tests.unit.screens import screen, text

MET = at_most("met", 1, 2, "x")
MISSED = at_most("slow", 3, 2, "x")
UNJUDGED = Row("shown", "9 x")
FAILED = Row("broken", _BROKEN, "a number", is_met=False)


@pytest.mark.parametrize(
    ("rows", "is_quick", "code", "lines"),
    [
        ([MET, UNJUDGED], False, 0, ["1 of 1 targets met"]),
        ([MET, MISSED], False, 1, ["1 of 2 targets met", "missed: slow, 3.00 x (target <= 2 x)"]),
        (
            [MISSED],
            True,
            0,
            ["0 of 1 targets met", "missed: slow, 3.00 x (target <= 2 x)", "A quick run is no verdict."],
        ),
        (
            [FAILED],
            True,
            1,
            ["0 of 1 targets met", "missed: broken, failed (target a number)", "A quick run is no verdict."],
        ),
    ],
)
def test_a_missed_target_fails_a_full_run_and_a_part_that_breaks_every_run(
    rows: list[Row], is_quick: bool, code: int, lines: list[str]
) -> None:
    console = screen()
    assert _verdict(console, rows, Size(is_quick=is_quick)) == code
    assert text(console).splitlines() == lines
