"""Which of the fibers that are ready at one instant runs next.

The entry is :func:`parse_policy`.  A policy holds the ready fibers, picks one, and says by how
much a fiber that becomes ready is held back first (*preemption*): with continuous arrival times
two fibers are rarely ready at the same microsecond, so reordering alone would explore little.
Policies know nothing about time or processes.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Collection
from typing import Final, Protocol

from tqsim.errors import UsageError
from tqsim.kernel.fibers import Fiber

__all__ = ["Fifo", "PriorityChange", "RandomOrder", "SchedulingPolicy", "parse_policy"]

_PCT: Final = re.compile(r"pct\((\d+)\)")
_EXPECTED: Final = '"fifo", "random" or "pct(depth)", for example "pct(3)"'
# One wake-up in eight is delayed: often enough to show races within a few hundred tasks,
# seldom enough to leave throughput recognisable.
_PREEMPTION_ODDS: Final = 8
# Where the priority changes of PCT may fall; Burckhardt et al. (ASPLOS 2010) use the length of
# the run, which is not known in advance here.
_PCT_HORIZON: Final = 10_000


class SchedulingPolicy(Protocol):
    """Holds the ready fibers and decides among them."""

    name: str

    @property
    def ready(self) -> Collection[Fiber]:
        """The fibers that are ready, in no particular order."""

    def add(self, fiber: Fiber) -> None:
        """Take a fiber that became ready."""

    def pick(self) -> Fiber:
        """Remove and return the fiber that runs next; called only when there is one."""

    def hold_back_us(self) -> int:
        """By how many microseconds the fiber that becomes ready now is delayed; usually 0."""


class Fifo:
    """First ready, first run; never delays.  The default."""

    name = "fifo"

    def __init__(self) -> None:
        self.ready: deque[Fiber] = deque()
        self.add = self.ready.append
        self.pick = self.ready.popleft

    def hold_back_us(self) -> int:
        """No delay, ever."""
        return 0


class RandomOrder:
    """Any ready fiber may run next, each with the same chance."""

    name = "random"

    def __init__(self, draws: random.Random, preemption_us: int) -> None:
        self.ready: list[Fiber] = []
        self._draws = draws
        self._preemption_us = preemption_us
        self.add = self.ready.append

    def pick(self) -> Fiber:
        """Remove and return one of the ready fibers at random."""
        ready = self.ready
        return ready.pop(self._draws.randrange(len(ready)) if len(ready) > 1 else 0)

    def hold_back_us(self) -> int:
        """A delay of up to the preemption for one wake-up in eight."""
        return _preempt(self._draws, self._preemption_us)


class PriorityChange:
    """PCT: strict random priorities, changed at ``depth - 1`` random points of the run.

    A bug that needs ``depth`` ordering constraints is found with a known minimum probability
    (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees", ASPLOS 2010).
    """

    def __init__(self, depth: int, draws: random.Random, preemption_us: int) -> None:
        self.name = f"pct({depth})"
        self.ready: list[Fiber] = []
        self._draws = draws
        self._preemption_us = preemption_us
        self._changes = sorted(draws.randrange(1, _PCT_HORIZON) for _ in range(depth - 1))
        self._picks = 0
        self._lowest = 0.0
        self.add = self.ready.append

    def pick(self) -> Fiber:
        """Remove and return the ready fiber of the highest priority."""
        self._picks += 1
        best = max(range(len(self.ready)), key=lambda index: self._priority(self.ready[index]))
        fiber = self.ready.pop(best)
        if self._changes and self._picks >= self._changes[0]:
            self._changes.pop(0)
            self._lowest -= 1.0
            fiber.priority = self._lowest
        return fiber

    def hold_back_us(self) -> int:
        """A delay of up to the preemption for one wake-up in eight."""
        return _preempt(self._draws, self._preemption_us)

    def _priority(self, fiber: Fiber) -> float:
        if fiber.priority is None:
            fiber.priority = self._draws.random()
        return fiber.priority


def parse_policy(text: str, draws: random.Random, preemption_us: int) -> SchedulingPolicy:
    """Return the policy called ``text``; ``draws`` makes its choices.

    Raises :class:`~tqsim.UsageError` for any other text.
    """
    if text == "fifo":
        return Fifo()
    if text == "random":
        return RandomOrder(draws, preemption_us)
    match = _PCT.fullmatch(text) if isinstance(text, str) else None
    if match is not None and int(match[1]) >= 1:
        return PriorityChange(int(match[1]), draws, preemption_us)
    raise UsageError(f"policy={text!r} is not a scheduling policy; expected {_EXPECTED}.")


def _preempt(draws: random.Random, preemption_us: int) -> int:
    if not preemption_us or draws.randrange(_PREEMPTION_ODDS):
        return 0
    return draws.randrange(1, preemption_us + 1)
