"""The last moments of a simulation as lines for a report: :func:`last_moments`.

They are for somebody who asks what became of a task.  What every run does anyway is left out, and a
line is as wide as the terminal at the most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tqsim.history.record import Moment

__all__ = ["last_moments"]

_SHOWN_MAX: Final = 12
_HOUSEKEEPING: Final = frozenset(
    {"connection.closed", "connection.opened", "child.started", "message.queued", "queue.declared"}
)  # fmt: skip
#: What only tells one delivery from another, and what was said when a message was published.
_NUMBERS: Final = ("child", "delivery")
_SAID_BEFORE: Final = {"message.acked": ("queue",), "message.delivered": ("queue",)}
_PROCESS_LENGTH_MAX: Final = 16
_TASK_LENGTH_MAX: Final = 28
_ID_LENGTH_MAX: Final = 20
_UUID: Final = re.compile(r"([0-9a-f]{8})(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def last_moments(moments: Sequence[Moment], start: str, width: int) -> list[str]:
    """Return a line for each of the last of ``moments`` that tell something, in aligned columns.

    ``start`` is the first instant of the run, as ISO text.
    """
    from tqsim import durations
    from tqsim.checks.details import details, shortened

    names = {moment.task_id: str(moment.fields["task"]) for moment in moments if moment.fields.get("task")}
    chosen = [moment for moment in moments if moment.name not in _HOUSEKEEPING][-_SHOWN_MAX:]
    times = _aligned(durations.column([moment.at_us for moment in chosen]), str.rjust)
    kinds = _aligned(moment.name for moment in chosen)
    places = _aligned(shortened(moment.process or "broker", _PROCESS_LENGTH_MAX) for moment in chosen)
    tasks = _aligned(_task(moment, names) for moment in chosen)
    said = [details(moment, start, without=(*_NUMBERS, *_SAID_BEFORE.get(moment.name, ()))) for moment in chosen]
    # What concerns no task is said in the place of the task.
    rest = [f"{task}  {words}" if task.strip() else words for task, words in zip(tasks, said, strict=True)]
    lines = ["  ".join(cells).rstrip() for cells in zip(times, kinds, places, rest, strict=True)]
    return [line if len(line) <= width else f"{line[: width - 3]}..." for line in lines]


def _aligned(cells: Iterable[str], align: Callable[[str, int], str] = str.ljust) -> list[str]:
    column = list(cells)
    width = max(map(len, column), default=0)
    return [align(cell, width) for cell in column]


def _task(moment: Moment, names: dict[str | None, str]) -> str:
    """Return the task's name, whose end tells most, and enough of its id to tell it from others."""
    if moment.task_id is None:
        return ""
    name = names.get(moment.task_id, "")
    if len(name) > _TASK_LENGTH_MAX:
        name = f"...{name[3 - _TASK_LENGTH_MAX :]}"
    uuid = _UUID.fullmatch(moment.task_id)
    return f"{name} {uuid[1] if uuid else moment.task_id[:_ID_LENGTH_MAX]}".lstrip()
