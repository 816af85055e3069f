"""What happened, in numbers and tables.

Start at :func:`summary`, which turns a history into plain data; ``figures`` rounds for people, ``tables`` and
``failure`` make rich tables and blocks of it.  Nothing here prints.
"""

from __future__ import annotations

from tqsim.report.failure import failure_block
from tqsim.report.summaries import FaultSummary, QueueSummary, Spread, Summary, TaskSummary, WorkerSummary, summary
from tqsim.report.tables import summary_tables

__all__ = [
    "FaultSummary",
    "QueueSummary",
    "Spread",
    "Summary",
    "TaskSummary",
    "WorkerSummary",
    "failure_block",
    "summary",
    "summary_tables",
]
