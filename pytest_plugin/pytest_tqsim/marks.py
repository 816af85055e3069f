"""The marker ``@pytest.mark.tqsim(seeds=..., seed=..., policy=...)``.

The main name is :func:`read_marks`.  Options of the simulation are known here by name, because
looking at ``tqsim.Simulation`` would import tqsim in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

__all__ = ["MARKER", "SIMULATION_OPTIONS", "MarkerError", "Marks", "read_marks"]

MARKER: Final = (
    "tqsim(seeds=N, seed=S, **options): run the test's simulations with the N seeds from S on; options such as "
    'policy="random" are those of tqsim.Simulation'
)

#: The keyword arguments of ``tqsim.Simulation`` that a marker may give.
SIMULATION_OPTIONS: Final = (
    "allow_network", "broker", "history", "isolate_globals", "policy", "preemption", "stall", "start",
    "still_events_max", "timezone",
)  # fmt: skip


class MarkerError(Exception):
    """A marker was written wrongly; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What the markers of one test say together; ``seed`` and ``seeds`` are None if they do not."""

    seed: int | None
    seeds: int | None
    options: Mapping[str, Any]


def read_marks(node: pytest.Item) -> Marks:
    """Return what the markers of a test, its class and its module say; the closest wins.

    Raises :class:`MarkerError`, which names the argument, for what a simulation does not know.
    """
    merged: dict[str, Any] = {}
    for mark in node.iter_markers("tqsim"):
        if mark.args:
            raise MarkerError(
                f"@pytest.mark.tqsim({mark.args[0]!r}): expected keyword arguments only, such as seeds=10."
            )
        merged = {**mark.kwargs, **merged}
    for name in merged:
        if name not in ("seed", "seeds", *SIMULATION_OPTIONS):
            raise MarkerError(
                f"@pytest.mark.tqsim({name}=...): there is no such argument; expected seeds, seed or an option "
                f"of tqsim.Simulation: {', '.join(SIMULATION_OPTIONS)}."
            )
    seed, seeds = merged.pop("seed", None), merged.pop("seeds", None)
    if seed is not None and not _is_whole(seed):
        raise MarkerError(f"@pytest.mark.tqsim(seed={seed!r}) is not a seed; expected a whole number.")
    if seeds is not None and not (_is_whole(seeds) and seeds >= 1):
        raise MarkerError(f"@pytest.mark.tqsim(seeds={seeds!r}) is not a number of seeds; expected 1 or more.")
    return Marks(seed, seeds, merged)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
