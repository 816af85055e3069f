"""What goes wrong, and when: plain descriptions that a simulation acts on.

A fault is a frozen description with steps at given times; :mod:`tqsim.simulation` knows how to
take them.  Of servers, workers and services (``timed``), and of the links between processes and
servers (``links``).  Pure: no Celery, no kernel.
"""

from __future__ import annotations

from tqsim.faults.conditions import SERVERS, Condition, Route
from tqsim.faults.links import connection_reset, half_open, latency, partition
from tqsim.faults.timed import REPAIRS, Fault, Step, broker_crash, broker_restart, memory_alarm, outage, worker_kill

__all__ = [
    "REPAIRS",
    "SERVERS",
    "Condition",
    "Fault",
    "Route",
    "Step",
    "broker_crash",
    "broker_restart",
    "connection_reset",
    "half_open",
    "latency",
    "memory_alarm",
    "outage",
    "partition",
    "worker_kill",
]
