"""How far a run has got, on a terminal: :class:`Progress`.

While a simulation is open its thread lives in virtual time, so a thread of its own, made before, watches
from outside: it reads the virtual clock and changes nothing, and the history is the same with and without.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from tqsim import durations
from tqsim.simulation import Simulation

__all__ = ["Progress"]

_PATIENCE_S: Final = 2.0
_STEP_S: Final = 0.2
# The names in `threading` stand for virtual things while a simulation is open.
_RealEvent: Final = threading.Event
_RealThread: Final = threading.Thread
_REAL_START: Final = threading.Thread.start
_REAL_JOIN: Final = threading.Thread.join


class Progress:
    """Shows a bar on ``console`` while its block lasts, if that is a terminal and takes two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._watched: tuple[str, Simulation, int | None] | None = None
        self._is_over = _RealEvent()
        self._thread: threading.Thread | None = None

    def watch(self, variant: str, simulation: Simulation, length_us: int | None) -> None:
        """Show the clock of this simulation from now on."""
        self._watched = (variant, simulation, length_us)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._thread = _RealThread(target=self._show, name="tqsim-progress", daemon=True)
            _REAL_START(self._thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._thread is not None:
            _REAL_JOIN(self._thread)

    def _show(self) -> None:
        if self._is_over.wait(_PATIENCE_S):
            return
        bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        with bar:
            row = bar.add_task("", total=None)
            while not self._is_over.wait(_STEP_S):
                if self._watched is not None:
                    variant, simulation, length_us = self._watched
                    now_us = round(simulation.elapsed * durations.MICROSECONDS_PER_SECOND)
                    total = None if length_us is None else max(length_us, now_us)
                    bar.update(row, total=total, completed=now_us, description=_words(variant, now_us))
                    bar.refresh()


def _words(variant: str, now_us: int) -> str:
    whole_us = now_us // durations.MICROSECONDS_PER_SECOND * durations.MICROSECONDS_PER_SECOND
    return f"{variant + ': ' if variant else ''}{durations.text(whole_us)} of virtual time"
