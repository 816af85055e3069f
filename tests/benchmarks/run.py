"""The benchmark: ``python -m tests.benchmarks.run`` prints one table (``make bench``).

Every row is measured in a fresh interpreter, and what is compared is compared within one, as
processor time of interleaved runs.  ``--quick`` does a small part of the work; names choose rows:
``python -m tests.benchmarks.run --quick per_task opening``.  The exit code is 1 if a target is missed,
except in a quick run, whose figures are too rough for a verdict; and if a part cannot be measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks import brokers, depth, judging, memory, opening, per_task, sizes, waiting
from tests.benchmarks.rows import Row, Size

__all__ = ["main"]

_PARTS: Final[dict[str, Callable[[Size], list[Row]]]] = {
    "per_task": per_task.measure,
    "brokers": brokers.measure,
    "opening": opening.measure,
    "waiting": waiting.measure,
    "memory": memory.measure,
    "depth": depth.measure,
    "sizes": sizes.measure,
    "judging": judging.measure,
}
_VERSIONS: Final = ("tqsim-celery", "celery", "kombu", "simpy", "greenlet", "freezegun")
_VERDICTS: Final = {True: "[green]yes[/]", False: "[bold red]NO[/]", None: ""}
_WIDTH_MIN: Final = 150
_BROKEN: Final = "failed"


def main() -> None:
    """Measure, print the table, and exit with the verdict."""
    parser = argparse.ArgumentParser(description="Measure tqsim next to bare Celery.")
    parser.add_argument("--quick", action="store_true", help="do a small part of the work")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(_PARTS)}; all unless given")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in _PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}; expected some of {', '.join(_PARTS)}")
    console = Console()
    if console.width < _WIDTH_MIN and not console.is_terminal:
        console = Console(width=_WIDTH_MIN)
    size = Size(is_quick=arguments.quick)
    rows: list[Row] = []
    begin = time.monotonic()
    for part in arguments.parts or _PARTS:
        print(f"measuring {part} ...", file=sys.stderr, flush=True)
        rows += _measured(part, size)
    console.print(f"tqsim benchmark{' (quick)' if size.is_quick else ''}")
    console.print(_machine())
    console.print(", ".join(f"{name} {_version(name)}" for name in _VERSIONS))
    console.print(_table(rows))
    for remark in dict.fromkeys(row.remark for row in rows if row.remark):
        console.print(remark)
    console.print(f"measured in {time.monotonic() - begin:.0f} s")
    sys.exit(_verdict(console, rows, size))


def _verdict(console: Console, rows: list[Row], size: Size) -> int:
    """Say how many targets are met, and which are not; return the exit code."""
    missed = [row for row in rows if row.is_met is False]
    judged = sum(row.is_met is not None for row in rows)
    console.print(f"{judged - len(missed)} of {judged} targets met")
    for row in missed:
        console.print(f"missed: {row.name}, {row.measured} (target {row.target})", highlight=False)
    if missed and size.is_quick:
        console.print("A quick run is no verdict.")
    return int(any(row.measured == _BROKEN for row in missed) if size.is_quick else bool(missed))


def _measured(part: str, size: Size) -> list[Row]:
    try:
        return _PARTS[part](size)
    except RuntimeError as error:
        # One broken part must not hide the others.
        print(error, file=sys.stderr)
        return [Row(part, _BROKEN, "a number", False, str(error).splitlines()[0])]


def _table(rows: list[Row]) -> Table:
    table = Table("row", "measured", "target", "met?", "note")
    for column in table.columns[1:3]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.name, row.measured, row.target, _VERDICTS[row.is_met], row.note)
    return table


def _machine() -> str:
    model = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [line.partition(":")[2].strip() for line in cpu_info.read_text(encoding="utf-8").splitlines()
                 if line.startswith("model name")]  # fmt: skip
        model = names[0] if names else model
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()} {platform.release()}, {os.cpu_count()} cores of {model}, load {load}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    main()
