"""A loop that is run by hand, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from tqsim.kernel.agenda import Agenda

__all__ = ["World"]


class _Loop:
    """The part of a loop that ways use."""

    is_closed = False

    def __init__(self) -> None:
        self.agenda = Agenda()

    @property
    def now_us(self) -> int:
        return self.agenda.now_us


class World:
    """A loop, and what was noted when, in milliseconds."""

    def __init__(self) -> None:
        self.loop: Any = _Loop()
        self.notes: list[tuple[int, str]] = []

    def note(self, text: str) -> None:
        """Remember that something happened now."""
        self.notes.append((self.loop.now_us // 1_000, text))

    def run(self, until_ms: int) -> None:
        """Let everything happen that is due up to then, and stand there."""
        agenda = self.loop.agenda
        agenda.call_at(until_ms * 1_000, lambda: None)
        while (due_us := agenda.next_due_us()) is not None and due_us <= until_ms * 1_000:
            agenda.step()
