"""Assembly: the only place that knows all parts.

The entry is :class:`~tqsim.simulation.simulation.Simulation`.
"""

from __future__ import annotations

from tqsim.simulation.handles import BeatHandle, ClientHandle, WorkerHandle
from tqsim.simulation.simulation import Simulation

__all__ = ["BeatHandle", "ClientHandle", "Simulation", "WorkerHandle"]
