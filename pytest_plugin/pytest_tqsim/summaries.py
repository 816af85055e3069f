"""What is said of one simulation in a report: seed, policy, end, digest, last moments.

The main name is :class:`Summary`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tqsim import Simulation
    from tqsim.history.record import Moment

__all__ = ["Summary", "summarise"]

_MOMENTS_SHOWN: Final = 10
_FIELD_LENGTH_MAX: Final = 60
_NO_HISTORY: Final = "none (history=False)"


@dataclass(frozen=True, slots=True)
class Summary:
    """One simulation as it stood; it keeps nothing of the simulation alive."""

    seed: str
    policy: str
    end: str
    digest: str
    moment_count: int
    last_moments: tuple[str, ...]

    def lines(self, title: str) -> list[str]:
        """Return the part of the failure section."""
        lines = [
            f"{title}: seed {self.seed}, policy {self.policy}, virtual time {self.end} at the end",
            f"  digest {self.digest}, {self.moment_count:,} moments",
        ]
        if self.last_moments:
            lines.append("  the last of them:" if len(self.last_moments) < self.moment_count else "  they are:")
        return [*lines, *(f"    {moment}" for moment in self.last_moments)]


def summarise(simulation: Simulation) -> Summary:
    """Return the summary of a simulation, open or closed."""
    from tqsim import durations

    history = simulation.history
    info = history.info
    end = durations.text(round(simulation.elapsed * durations.MICROSECONDS_PER_SECOND))
    if not history.is_enabled:
        return Summary(str(info.seed), info.policy, end, _NO_HISTORY, 0, ())
    moments = history.moments[-_MOMENTS_SHOWN:]
    times = [durations.text(moment.at_us) for moment in moments]
    shown = tuple(_line(moment, time, max(map(len, times))) for moment, time in zip(moments, times, strict=True))
    return Summary(str(info.seed), info.policy, end, history.digest, len(history), shown)


def _line(moment: Moment, time: str, width: int) -> str:
    words = [f"{time:>{width}}", f"{moment.name:<18}", moment.process, moment.task_id or ""]
    words += [f"{name}={_short(value)}" for name, value in moment.fields.items()]
    return "  ".join(word for word in words if word)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _FIELD_LENGTH_MAX else f"{text[: _FIELD_LENGTH_MAX - 1]}…"
