"""From moments to lives, one pass, continued where it stopped.

The main name is :class:`Derivation`: it is fed rows in the order of the history and answers with
:class:`~tqsim.history.lives.TaskLife`.  Asking again after more moments costs only those moments.
The module decides what the moments mean; it holds no moments itself, only their indexes.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Final

from tqsim.history.instants import Instants
from tqsim.history.life_builder import LifeBuilder
from tqsim.history.lives import TaskLife
from tqsim.history.rows import AT_US, NAME, PROCESS, TASK_ID, Row, fields_of
from tqsim.history.values import JsonValue

_PROCESS_ENDS: Final = frozenset({"process.killed", "process.crashed", "process.stopped"})


class Derivation:
    """The lives of all tasks of a history, as far as it was fed."""

    def __init__(self, instants: Instants) -> None:
        self._instants = instants
        self._fed = 0
        self._builders: dict[str, LifeBuilder] = {}
        self._indexes: dict[str, array[int]] = {}
        self._lives: dict[str, TaskLife] = {}
        # What a process holds, so that its death ends it: process -> task id -> builder.
        self._held: dict[str, dict[str, LifeBuilder]] = {}

    def feed(self, rows: Sequence[Row]) -> None:
        """Take in every row beyond the last one seen."""
        for index in range(self._fed, len(rows)):
            row = rows[index]
            if row[TASK_ID] is not None:
                self._take(index, row)
            elif row[NAME] in _PROCESS_ENDS:
                self._end_held(index, row, child=None)
            elif row[NAME] == "child.ended":
                fields = fields_of(row)
                child = fields.get("child", fields.get("pid"))
                if isinstance(child, int):
                    self._end_held(index, row, child=child)
        self._fed = len(rows)

    def lives(self) -> list[TaskLife]:
        """Return every task's life, in the order in which the ids appeared."""
        return [self._life(task_id) for task_id, builder in self._builders.items() if builder.is_task]

    def life(self, task_id: str) -> TaskLife | None:
        """Return one task's life, or None for an id that is not in the history."""
        builder = self._builders.get(task_id)
        return self._life(task_id) if builder is not None and builder.is_task else None

    def indexes(self, task_id: str) -> Sequence[int]:
        """Return the indexes of the rows with this task id."""
        return self._indexes.get(task_id, ())

    def _life(self, task_id: str) -> TaskLife:
        life = self._lives.get(task_id)
        if life is None:
            life = self._lives[task_id] = self._builders[task_id].life()
        return life

    def _take(self, index: int, row: Row) -> None:
        task_id: str = row[TASK_ID]
        builder = self._builders.get(task_id)
        if builder is None:
            builder = self._builders[task_id] = LifeBuilder(task_id, index, row[AT_US], self._instants)
            self._indexes[task_id] = array("Q")
        self._indexes[task_id].append(index)
        name: str = row[NAME]
        fields: Mapping[str, JsonValue] = fields_of(row)
        if name.startswith("task."):
            builder.take_task(name, index, row[AT_US], row[PROCESS], fields)
            held = self._held.setdefault(row[PROCESS], {})
            if builder.is_held_by(row[PROCESS]):
                held[task_id] = builder
            else:
                held.pop(task_id, None)
        elif name.startswith("message."):
            builder.take_message(name, index, fields)
        self._lives.pop(task_id, None)

    def _end_held(self, index: int, row: Row, *, child: int | None) -> None:
        held = self._held.get(row[PROCESS], {})
        for task_id, builder in list(held.items()):
            if builder.cut(index, row[AT_US], row[PROCESS], child):
                self._lives.pop(task_id, None)
            if not builder.is_held_by(row[PROCESS]):
                del held[task_id]
