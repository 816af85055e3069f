"""What a run was expected to do, and did or did not: :func:`show_verdicts`.

The expectations are a list and no table: a name, its options and a task's name of any length need the
whole width, and no word is split.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from tqsim.report import failure_block
from tqsim.report.lines import broken
from tqsim.scenario import Judgement, Outcome

__all__ = ["show_verdicts"]

_MET: Final = "met"
_NOT_MET: Final = "NOT MET"
_GAP: Final = "  "


def show_verdicts(console: Console, outcome: Outcome, reproduction: str) -> None:
    """Print every expectation with its verdict, what failed, and the line that repeats a failure."""
    judgements = outcome.judgements
    failed = [judgement for judgement in judgements if not judgement.is_met]
    if judgements:
        _show_expectations(console, judgements, len(_NOT_MET if failed else _MET))
    for judgement in failed:
        block = failure_block(f"{_title(judgement)}: {judgement.place}", judgement.details, console.width)
        console.print(block, soft_wrap=True)
        console.print()
    console.print(Text(_counted(len(judgements), len(failed)), style="bold red" if failed else "bold green"))
    for notice in outcome.notices:
        console.print(Text(f"Note: {notice}.", style="yellow"), soft_wrap=True)
    for trouble in outcome.troubles:
        console.print(Text(f"Not as told: {trouble}", style="bold red"), soft_wrap=True)
    if not outcome.is_met:
        console.print(Text(f"Reproduce: {reproduction}"), soft_wrap=True)


def _show_expectations(console: Console, judgements: Sequence[Judgement], verdict_length: int) -> None:
    margin = " " * verdict_length + _GAP
    room = console.width - len(margin)
    console.print(Text("Expectations", style="table.title"))
    for judgement in judgements:
        verdict, colour = (_MET, "green") if judgement.is_met else (_NOT_MET, "bold red")
        first, *rest = broken(_title(judgement), room)
        lines = Text.assemble((verdict.ljust(verdict_length), colour), _GAP, first)
        for line in rest:
            lines.append(f"\n{margin}{line}")
        for line in broken(judgement.words, room):
            lines.append(f"\n{margin}{line}", style="dim")
        console.print(lines, soft_wrap=True)
    console.print()


def _title(judgement: Judgement) -> str:
    name = judgement.name.replace("_", " ")
    return f"{name} ({judgement.variant})" if judgement.variant else name


def _counted(count: int, failed: int) -> str:
    """Say how many expectations are met."""
    if count == 0:
        return "Nothing was expected."
    if failed:
        verb = "is" if failed == 1 else "are"
        return f"{failed} of {count} expectations {verb} not met." if count > 1 else "The one expectation is not met."
    return "The one expectation is met." if count == 1 else f"All {count} expectations are met."
