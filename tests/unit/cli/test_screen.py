"""Tables where the output is a terminal, and where it is a file or a pipe."""

from __future__ import annotations

import pytest
from rich.table import Table

from tests.unit.screens import lines, screen
from tqsim.cli.screen import _print_table

TASK = "warehouse.reservations.tasks.reserve_everything_that_was_ordered"


@pytest.mark.parametrize(("is_terminal", "is_whole"), [(True, False), (False, True)])
def test_a_long_name_is_folded_on_a_terminal_and_whole_elsewhere(is_terminal: bool, is_whole: bool) -> None:
    table = Table(title="Tasks")
    table.add_column("task", overflow="fold")
    for number in range(8):
        table.add_column(f"number {number}", no_wrap=True)
    table.add_row(TASK, *"12345678")
    console = screen(force_terminal=is_terminal)
    _print_table(console, table)
    assert any(TASK in line and line.endswith("8") for line in lines(console)) == is_whole
    assert (max(map(len, lines(console))) <= 80) != is_whole
