"""tqsim runs a Celery application, unmodified, in virtual time on a simulated broker, from a seed.

Start with :class:`Simulation`.  The sub-packages, bottom to top:

- ``errors``, ``durations``: exceptions, and time as users write it
- ``kernel``: virtual time, fibers, processes, chance; ``history``: the record of a run
- ``checks``: what must hold of a history; ``faults``: what goes wrong
- ``broker``: simulated RabbitMQ and Redis under kombu; ``worker``: real Celery workers and beat as
  simulated processes; ``load``: arrivals, services and how long things take
- ``simulation``: the assembly; ``report``: what happened, in tables
- ``scenario``: one story in a file; ``cli``: the command line
"""

from __future__ import annotations

from tqsim import checks, faults, load
from tqsim.broker.profile import RabbitMQ, Redis
from tqsim.errors import (
    CheckFailed,
    ClosedError,
    InternalError,
    NetworkRefused,
    NoProgress,
    TqsimError,
    UnsupportedError,
    UsageError,
)
from tqsim.history import History
from tqsim.simulation import BeatHandle, ClientHandle, Simulation, WorkerHandle

__all__ = [
    "BeatHandle",
    "CheckFailed",
    "ClientHandle",
    "ClosedError",
    "History",
    "InternalError",
    "NetworkRefused",
    "NoProgress",
    "RabbitMQ",
    "Redis",
    "Simulation",
    "TqsimError",
    "UnsupportedError",
    "UsageError",
    "WorkerHandle",
    "checks",
    "faults",
    "load",
]
