"""The record of a run and what can be read from it, in plain Python.

Start at :class:`History` (:mod:`~tqsim.history.record`).  Bottom to top: ``moments`` is the vocabulary,
``values`` and ``rows`` say how a moment is kept, ``run_info`` and ``storage`` are about runs and files,
``lives``, ``life_builder`` and ``derivation`` turn moments into lives of tasks, ``queues`` into lives of
queues, and ``percentiles`` is the one definition of a percentile.  Nothing here knows Celery, a broker
or a clock, so a saved history is judged like a fresh one.
"""

from __future__ import annotations

from tqsim.history.lives import TERMINAL_STATES, Attempt, Publish, TaskLife
from tqsim.history.moments import MOMENTS
from tqsim.history.percentiles import percentile
from tqsim.history.queues import QueueLife
from tqsim.history.record import History, Moment, Moments
from tqsim.history.run_info import RunInfo
from tqsim.history.values import JsonValue, json_value, stable_text

__all__ = [
    "MOMENTS",
    "TERMINAL_STATES",
    "Attempt",
    "History",
    "JsonValue",
    "Moment",
    "Moments",
    "Publish",
    "QueueLife",
    "RunInfo",
    "TaskLife",
    "json_value",
    "percentile",
    "stable_text",
]
