"""Rows: how a history keeps a moment in memory.

The main name is :data:`Row`, one flat tuple per moment: time in microseconds, name, process, task
id, the tuple of field names (shared between rows of the same shape), then the fields' values.
Measured: about half the memory of a dictionary per moment.  :class:`~tqsim.history.record.Moment`
is what users see; this module only translates.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

from tqsim.history.values import JsonValue

Row: TypeAlias = tuple[Any, ...]

AT_US: Final = 0
NAME: Final = 1
PROCESS: Final = 2
TASK_ID: Final = 3
KEYS: Final = 4
VALUES: Final = 5

_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def fields_of(row: Row) -> dict[str, JsonValue]:
    """Return the row's fields as a new dictionary."""
    return dict(zip(row[KEYS], row[VALUES:], strict=True))


def canonical_line(row: Row) -> str:
    """Return the row as one line of JSON, without the line's end.

    The line is an array ``[at_us, name, process, task_id, fields]`` with sorted keys, no spaces and
    ASCII only: equal moments have equal lines, whatever the order in which fields were given.
    """
    return _ENCODE((row[AT_US], row[NAME], row[PROCESS], row[TASK_ID], fields_of(row)))
