"""What a moment says beyond its time, its name, its place and its task: :func:`details`.

This is for messages and reports.  What is empty or only technical is left out, and an instant is given like
the times beside it, as the time since the start.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tqsim.durations import instant
from tqsim.history import JsonValue, Moment
from tqsim.history.instants import Instants

LENGTH_MAX: Final = 60
_TECHNICAL: Final = frozenset(
    {"exchange", "group_id", "index", "message", "parent_id", "pid", "root_id", "routing_key"}
)  # fmt: skip
_INSTANTS: Final = ("eta", "expires")
_EMPTY: Final = (None, False, "", "None", "()", "{}")


def details(moment: Moment, start: str, *, without: Collection[str] = ()) -> str:
    """Return the fields of a moment that tell something, such as ``"retries=1 redelivered"``.

    ``start`` is the first instant of the run (ISO text), and ``without`` lists fields to leave out.  A
    task's name is left out where the moment has a task id.
    """
    return " ".join(
        key if value is True else f"{key}={shortened(_shown(key, value, start))}"
        for key, value in moment.fields.items()
        if key not in _TECHNICAL and key not in without and value not in _EMPTY
        if key != "task" or moment.task_id is None
    )


def shortened(words: str, length: int = LENGTH_MAX) -> str:
    """Return text on one line of at most ``length`` characters."""
    line = " ".join(words.split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def _shown(key: str, value: JsonValue, start: str) -> str:
    if key in _INSTANTS:
        since_us = Instants(start).microseconds(value)
        if since_us is not None:
            return instant(since_us)
    return f"{value:g}" if isinstance(value, float) else str(value)
