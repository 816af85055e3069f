"""Checks: pure functions that judge a history, and the error that tells what was broken.

Start at :func:`run_checks` (:mod:`~tqsim.checks.runner`).  Bottom to top: ``verdict`` has the words,
``arguments`` validates options, ``selection`` chooses tasks and refuses to judge nothing, then one small
module per family of checks.  A check that is not here is any function from a history to a
:class:`Verdict`, with a name if it is wrapped in :class:`Check`.
"""

from __future__ import annotations

from tqsim.checks.delays import retry_delays
from tqsim.checks.depth import queue_depth
from tqsim.checks.expiry import no_start_after_expiry
from tqsim.checks.latencies import latency
from tqsim.checks.lost import nothing_lost
from tqsim.checks.once import at_most_runs, exactly_once
from tqsim.checks.order import in_order
from tqsim.checks.overlap import no_overlap
from tqsim.checks.rate import throughput
from tqsim.checks.runner import run_checks
from tqsim.checks.success import succeeded
from tqsim.checks.verdict import Check, Verdict, Violation

__all__ = [
    "Check",
    "Verdict",
    "Violation",
    "at_most_runs",
    "exactly_once",
    "in_order",
    "latency",
    "no_overlap",
    "no_start_after_expiry",
    "nothing_lost",
    "queue_depth",
    "retry_delays",
    "run_checks",
    "succeeded",
    "throughput",
]
