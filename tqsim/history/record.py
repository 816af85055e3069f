"""The record of a run: an append-only list of moments.

The main names are :class:`History` and :class:`Moment`.  A history knows no clock: whoever records gives
the time.  What the moments mean for a task is derived in :mod:`tqsim.history.derivation`, files are in
:mod:`tqsim.history.storage`, and judging is left to checks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.durations import text as duration_text
from tqsim.errors import ClosedError, InternalError, UsageError
from tqsim.history import storage
from tqsim.history.derivation import Derivation
from tqsim.history.instants import Instants
from tqsim.history.moments import MOMENTS
from tqsim.history.queues import QueueLife, derive_queues
from tqsim.history.rows import AT_US, NAME, PROCESS, TASK_ID, Row, canonical_line, fields_of
from tqsim.history.run_info import RunInfo
from tqsim.history.values import JsonValue, json_value

if TYPE_CHECKING:
    from tqsim.history.lives import TaskLife

_NAMES: Final = frozenset(MOMENTS)
# What json_value() leaves alone, tested by exact type: the fast path of record().
_PLAIN: Final = frozenset({str, int, bool, type(None)})
_DIGEST_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened.  ``at_us`` is microseconds since the simulation's start."""

    at_us: int
    name: str
    process: str = ""
    task_id: str | None = None
    fields: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)

    @property
    def at(self) -> float:
        """The time in seconds since the simulation's start."""
        return self.at_us / MICROSECONDS_PER_SECOND


class Moments(Sequence[Moment]):
    """A view of a history's moments in order; each is built when it is looked at."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Moment: ...
    @overload
    def __getitem__(self, index: slice) -> list[Moment]: ...
    def __getitem__(self, index: int | slice) -> Moment | list[Moment]:
        if isinstance(index, slice):
            return [_moment(row) for row in self._rows[index]]
        return _moment(self._rows[index])

    def __iter__(self) -> Iterator[Moment]:
        return map(_moment, self._rows)

    def __repr__(self) -> str:
        return f"<{len(self._rows)} moments>"


class History:
    """Everything that happened in one run, in order.

    With ``enabled=False`` nothing is kept, and every question raises :class:`~tqsim.UsageError`: a check
    must not pass because nobody was looking.
    """

    def __init__(self, info: RunInfo | None = None, *, enabled: bool = True) -> None:
        self.info: Final = info if info is not None else RunInfo()
        self._rows: list[Row] = []
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._enabled = enabled
        self._recording = enabled
        self._sealed_us: int | None = None
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._derivation = Derivation(Instants(self.info.start))
        self._queues: tuple[int, dict[str, QueueLife]] = (0, {})

    def record(
        self,
        name: str,
        /,
        *,
        at_us: int,
        process: str = "",
        task_id: str | None = None,
        **fields: object,
    ) -> None:
        """Append one moment.

        ``at_us`` is microseconds since the simulation's start.  Fields are converted by the rule of
        :func:`~tqsim.history.values.json_value`.  Raises :class:`~tqsim.InternalError` for a name that is not
        in :data:`~tqsim.history.moments.MOMENTS` and :class:`~tqsim.errors.ClosedError` after :meth:`seal`.
        """
        if not self._recording:
            self._refuse(name)
            return
        if name not in _NAMES:
            raise InternalError(f"{name!r} is not a moment; expected a name of tqsim.history.MOMENTS.")
        values = fields.values()
        for value in values:
            kind = type(value)
            # A finite float minus itself is zero; infinities and not-a-number are not JSON.
            if kind not in _PLAIN and (kind is not float or value - value != 0.0):  # type: ignore[operator]
                values = {key: json_value(item) for key, item in fields.items()}.values()
                break
        keys = tuple(fields)
        self._rows.append((at_us, name, process, task_id, self._shapes.setdefault(keys, keys), *values))

    def seal(self, *, at_us: int | None = None) -> None:
        """End the record: what is recorded later raises :class:`~tqsim.errors.ClosedError`.

        ``at_us`` is the end of the run, which may be after the last moment.
        """
        if self._sealed_us is None:
            last_us: int = self._rows[-1][AT_US] if self._rows else 0
            self._sealed_us = max(last_us, at_us or 0)
            self._recording = False

    @property
    def is_sealed(self) -> bool:
        """Whether the run has ended."""
        return self._sealed_us is not None

    @property
    def is_enabled(self) -> bool:
        """Whether moments are kept at all."""
        return self._enabled

    @property
    def start(self) -> str:
        """The ISO text of the simulation's first instant."""
        return self.info.start

    @property
    def end_us(self) -> int:
        """The end of the run so far in microseconds: of the last moment, or what :meth:`seal` was given."""
        rows = self._kept()
        if self._sealed_us is not None:
            return self._sealed_us
        last_us: int = rows[-1][AT_US] if rows else 0
        return last_us

    @property
    def end(self) -> float:
        """The end of the run so far in seconds since its start."""
        return self.end_us / MICROSECONDS_PER_SECOND

    @property
    def moments(self) -> Moments:
        """Every moment in order, as a view: it grows while the run goes on."""
        return Moments(self._kept())

    def moments_named(self, *names: str) -> list[Moment]:
        """Return the moments with one of these names, in order.

        Raises :class:`~tqsim.UsageError` for a name that is not in the vocabulary.
        """
        for name in names:
            if name not in _NAMES:
                raise UsageError(f"name={name!r} is not a moment; expected a name of tqsim.history.MOMENTS.")
        return [_moment(row) for row in self._kept() if row[NAME] in names]

    def moments_of(self, task_id: str) -> list[Moment]:
        """Return the moments of one task id, in order; none for an unknown id."""
        rows = self._kept()
        return [_moment(rows[index]) for index in self._derived().indexes(task_id)]

    def tasks(self, task: Any = None) -> list[TaskLife]:
        """Return the life of every task, or of those of one task, in the order of first publish.

        ``task`` is a task's name, or a task itself: anything whose ``name`` is one.
        """
        lives = self._derived().lives()
        name = getattr(task, "name", task)
        return lives if name is None else [life for life in lives if life.name == name]

    def task(self, task_id: str) -> TaskLife:
        """Return the life of one task.  Raises :class:`~tqsim.UsageError` for an unknown id."""
        life = self._derived().life(task_id)
        if life is None:
            raise UsageError(
                f"task_id={task_id!r} is not in this history; expected the id of a task of this run, "
                f"see history.tasks()."
            )
        return life

    def queues(self) -> list[str]:
        """Return the names of all queues, in the order in which they appeared."""
        return list(self._derived_queues())

    def queue(self, name: str) -> QueueLife:
        """Return the life of one queue.  Raises :class:`~tqsim.UsageError` for an unknown name."""
        life = self._derived_queues().get(name)
        if life is None:
            known = ", ".join(sorted(self._derived_queues())) or "none"
            raise UsageError(f"name={name!r} is not a queue of this history; expected one of: {known}.")
        return life

    def processes(self) -> list[str]:
        """Return the names of all processes, in the order in which they appeared."""
        return list(dict.fromkeys(row[PROCESS] for row in self._kept() if row[PROCESS]))

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over every moment of the run so far.

        Equal runs have equal digests, also in another interpreter and after saving and loading.
        """
        rows = self._kept()
        if self._hashed < len(rows):
            fresh = (canonical_line(rows[index]) for index in range(self._hashed, len(rows)))
            for line in fresh:
                self._hash.update(line.encode("ascii"))
                self._hash.update(b"\n")
            self._hashed = len(rows)
        return self._hash.hexdigest()[:_DIGEST_LENGTH]

    def save(self, path: str | Path) -> None:
        """Write the history as a file of JSON lines, replacing what was there."""
        rows = self._kept()
        storage.write(Path(path), storage.Header(self.info, len(rows), self.end_us, self.digest), rows)

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read a history that was saved; it is sealed and has the digest of the saved one.

        Raises :class:`~tqsim.UsageError` that names the file and the line if it is not such a file, is cut
        short or was changed.
        """
        header, rows = storage.read(Path(path))
        history = cls(header.info)
        history._rows = rows
        history.seal(at_us=header.end_us)
        if history.digest != header.digest:
            raise UsageError(
                f"{path}, line 1: the digest is {header.digest}, but the moments give {history.digest}; "
                f"expected a file that nobody has changed since history.save()."
            )
        return history

    def __len__(self) -> int:
        return len(self._kept())

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        state = "sealed" if self.is_sealed else "open"
        return f"<History of {len(self._rows)} moments, {state if self._enabled else 'switched off'}>"

    def _kept(self) -> list[Row]:
        if not self._enabled:
            raise UsageError(
                "This simulation keeps no history; open it with Simulation(..., history=True) to ask for "
                "moments, tasks, checks or a digest."
            )
        return self._rows

    def _derived(self) -> Derivation:
        self._derivation.feed(self._kept())
        return self._derivation

    def _derived_queues(self) -> dict[str, QueueLife]:
        rows = self._kept()
        if self._queues[0] != len(rows):
            self._queues = (len(rows), derive_queues(rows))
        return self._queues[1]

    def _refuse(self, name: str) -> None:
        if self._enabled:
            raise ClosedError(
                f"{name} cannot be recorded: the history was sealed at {duration_text(self._sealed_us or 0)} "
                f"of virtual time, when the simulation ended; record only while it is open."
            )


def _moment(row: Row) -> Moment:
    return Moment(row[AT_US], row[NAME], row[PROCESS], row[TASK_ID], fields_of(row))
