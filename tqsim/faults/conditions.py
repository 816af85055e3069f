"""What ails a link between a process and a server, and which links are meant.

The main names are :class:`Condition` and :class:`Route`.  Pure: :mod:`tqsim.broker.links` acts on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tqsim.errors import UsageError

__all__ = ["SERVERS", "Condition", "Route"]

#: The broker, whatever it is; and every Redis server, also where one of them is the broker.
SERVERS: Final = ("broker", "redis")


@dataclass(frozen=True, slots=True)
class Condition:
    """How a link is while something ails it: slow (one way, in microseconds), or cut."""

    latency_us: int = 0
    jitter_us: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """The links between ``process``, with its pool children, and ``server``; ``None`` stands for every one.

    Raises :class:`~tqsim.UsageError` for a server that cannot be.
    """

    process: str | None = None
    server: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.process is not None and (not isinstance(self.process, str) or not self.process):
            raise UsageError(
                f"process={self.process!r} is not a name; expected that of a worker, beat or client, or None for all."
            )
        if self.server is not None and self.server not in SERVERS:
            raise UsageError(f'server={self.server!r}; expected "broker", "redis" or None for both.')

    def leads_to(self, server: str) -> bool:
        """Whether ``server`` is at its end."""
        return self.server is None or self.server == server

    def __str__(self) -> str:
        return f"{self.process or 'everybody'} to {self.server or 'every server'}"
