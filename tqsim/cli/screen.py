"""What a run looks like on a terminal of 80 columns: :func:`show`.

The tables of one history are :mod:`tqsim.report`'s; here is that of services, in which all variants stand
side by side.  Expectations and verdicts are in :mod:`tqsim.cli.verdicts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from tqsim.cli.gallery import Entry
from tqsim.cli.verdicts import show_verdicts
from tqsim.report import summary, summary_tables
from tqsim.report.figures import brief
from tqsim.scenario import Outcome, Scenario, ServiceFigures, Story, service_figures

__all__ = ["show", "show_entries"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_PLAIN_BARS: Final = ".:-=+*#@"
_BLANK: Final = " "
_ENDLESS: Final = 10_000


def show(console: Console, name: str, story: Story, outcome: Outcome, reproduction: str) -> None:
    """Print the story, the tables of each variant, the services and the expectations."""
    _head(console, name, story.first)
    for variant in outcome.variants:
        if variant.name:
            _print_rule(console, variant.name)
        for table in summary_tables(summary(variant.history)):
            _print_table(console, table)
    if len(outcome.variants) > 1:
        _print_rule(console, "side by side")
    for table in _services(outcome, console):
        _print_table(console, table)
    show_verdicts(console, outcome, reproduction)


def show_entries(console: Console, entries: Iterable[Entry]) -> None:
    """Print the gallery: one line for each scenario."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for entry in entries:
        table.add_row(Text(entry.name), Text(entry.title))
    console.print(table)
    console.print("\nRun one with: tqsim run NAME", highlight=False)


def _print_rule(console: Console, words: str) -> None:
    console.print(Rule(Text(words, style="bold"), align="left"))
    console.print()


def _print_table(console: Console, table: Table) -> None:
    table.show_edge = False  # its title stands right above, and nothing to the left
    if not console.is_terminal:
        # A file and a pipe have no width, and whoever searches there looks for whole names.
        endless = console.options.update(width=_ENDLESS)
        table.width = Measurement.get(console, endless, table).maximum
    console.print(table, crop=console.is_terminal)
    console.print()


def _head(console: Console, name: str, scenario: Scenario) -> None:
    console.print(Text(f"{name}: {scenario.title}", style="bold"))
    if scenario.description:
        console.print(Text(f"\n{scenario.description.strip()}"))
    start = f"{scenario.start:%Y-%m-%d %H:%M %Z}"
    console.print(f"\nseed {scenario.seed}, policy {escape(scenario.policy)}, from {start}\n", highlight=False)


def _services(outcome: Outcome, console: Console) -> list[Table]:
    """Return a table for each service, with a row for each variant and one scale for all of them."""
    end_us = max(variant.history.end_us for variant in outcome.variants)
    rows: dict[str, list[tuple[str, ServiceFigures]]] = {}
    for variant in outcome.variants:
        for found in service_figures(variant.history, end_us):
            rows.setdefault(found.name, []).append((variant.name, found))
    if not rows:
        return []
    several = len(outcome.variants) > 1
    bars = _PLAIN_BARS if console.options.ascii_only else _BARS
    table = Table(title="Services", title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("service", overflow="fold")
    if several:
        table.add_column("variant", no_wrap=True)
    for heading in ("calls", "failed", "peak/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(f"calls from 0s to {brief(end_us)}", no_wrap=True)
    for name, lines in rows.items():
        scale = max(max(figures.time_line) for _, figures in lines)
        for number, (variant_name, figures) in enumerate(lines):
            label = Text(name if number == 0 else "")
            counts = (f"{figures.calls:,}", f"{figures.failed:,}", f"{figures.peak:,}")
            time_line = "".join(_bar(count, scale, bars) for count in figures.time_line)
            table.add_row(label, *([Text(variant_name)] if several else []), *counts, time_line)
    return [table]


def _bar(count: int, scale: int, bars: str) -> str:
    if not count:
        return _BLANK
    return bars[min(len(bars) - 1, count * len(bars) // (scale + 1))]
