"""What goes wrong, and when: plain descriptions that a simulation acts on.

A fault is a frozen description with steps at given times; :mod:`tqsim.simulation` knows how to
take them.  Pure: no Celery, no kernel.
"""

from __future__ import annotations

from tqsim.faults.timed import Fault, Step, broker_restart, outage, worker_kill

__all__ = ["Fault", "Step", "broker_restart", "outage", "worker_kill"]
