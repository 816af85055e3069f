"""Instants given as seconds since the start or as ISO text, in microseconds since the start.

The main name is :class:`Instants`.  A message's ``eta`` and ``expires`` are ISO text in its headers and
are compared with the virtual clock; a clock that jumps is not taken into account.
"""

from __future__ import annotations

import datetime

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.errors import UsageError
from tqsim.history.run_info import parse_instant
from tqsim.history.values import JsonValue


class Instants:
    """Reads instants of one run, which began at ``start`` (ISO text)."""

    def __init__(self, start: str) -> None:
        self._start = parse_instant(start, "start")

    def microseconds(self, value: JsonValue) -> int | None:
        """Return the instant since the start; None for None and for what is not an instant."""
        if isinstance(value, bool):
            return None
        if isinstance(value, (int, float)):
            return round(value * MICROSECONDS_PER_SECOND)
        if isinstance(value, str):
            try:
                since = parse_instant(value, "instant") - self._start
            except UsageError:
                return None
            return since // datetime.timedelta(microseconds=1)
        return None
