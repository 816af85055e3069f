"""What is said of one simulation in a report: seed, policy, end, digest, last moments.

The main name is :class:`Summary`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_tqsim.last_moments import last_moments

if TYPE_CHECKING:
    from tqsim import Simulation
    from tqsim.history.record import Moment

__all__ = ["Summary", "summarise"]

#: How far back the last moments, and the names of their tasks, are looked for.
_TAIL_LENGTH: Final = 300
_INDENT: Final = "    "
_NO_HISTORY: Final = "none (history=False)"


@dataclass(frozen=True, slots=True)
class Summary:
    """One simulation as it stood; it keeps nothing of the simulation alive but its last moments."""

    seed: str
    policy: str
    start: str
    end: str
    digest: str
    moment_count: int
    tail: tuple[Moment, ...]

    def lines(self, title: str, width: int) -> list[str]:
        """Return the part of the failure section, whose last moments are at most ``width`` wide."""
        count = f"{self.moment_count:,} moment{'' if self.moment_count == 1 else 's'}"
        lines = [
            f"{title}: seed {self.seed}, policy {self.policy}, virtual time {self.end} at the end",
            f"  digest {self.digest}, {count}",
        ]
        moments = last_moments(self.tail, self.start, width - len(_INDENT))
        if moments:
            lines.append("  the last, without connections, declarations and new children:")
        return [*lines, *(f"{_INDENT}{moment}" for moment in moments)]


def summarise(simulation: Simulation) -> Summary:
    """Return the summary of a simulation, open or closed."""
    from tqsim import durations

    history = simulation.history
    info = history.info
    end = durations.text(round(simulation.elapsed * durations.MICROSECONDS_PER_SECOND))
    known = (str(info.seed), info.policy, info.start, end)
    if not history.is_enabled:
        return Summary(*known, _NO_HISTORY, 0, ())
    return Summary(*known, history.digest, len(history), tuple(history.moments[-_TAIL_LENGTH:]))
