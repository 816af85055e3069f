"""A simulated operating-system process: its fibers, its own state, its life and death.

The main name is :class:`Process`.  Several real workers share one interpreter, but state such as
``celery.worker.state`` belongs to one process.  A :class:`Cell` names such a place; while a
process runs, its own values stand there, and they are exchanged when another one runs.
Which cells there are is decided by :mod:`tqsim.worker`.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tqsim.kernel.chance import Draws

if TYPE_CHECKING:
    from tqsim.kernel.fibers import Fiber

__all__ = ["Cell", "Process", "SpaceMap", "is_simulated_thread", "pid_of_thread"]

#: The ident of a thread is the pid of its process followed by its number in so many bits.
_NUMBER_BITS: Final = 32
#: A real ident is an address (``pthread_t``), and those of a user have 47 bits on x86-64, 48 on ARM.
_ADDRESS_BITS: Final = 48
#: Native ids must also be distinct from the pids, which fill this many bits and no more.
_PID_BITS: Final = 24


def is_simulated_thread(ident: int) -> bool:
    """Whether an ident is that of a thread of a simulated process, and of no real thread."""
    return ident.bit_length() > _ADDRESS_BITS


def pid_of_thread(ident: int) -> int:
    """The process to which a simulated thread with that ident belongs."""
    return ident >> _NUMBER_BITS


class Cell:
    """One place whose value belongs to a process: a key of a namespace.

    ``fresh(process)`` gives the value a new process starts with.  ``is_rebound=False`` says that a
    process only ever changes its value in place, so that it need not be read back.
    """

    __slots__ = ("fresh", "is_rebound", "key", "namespace")

    def __init__(
        self,
        namespace: MutableMapping[str, Any],
        key: str,
        fresh: Callable[[Process], Any],
        *,
        is_rebound: bool = True,
    ) -> None:
        self.namespace = namespace
        self.key = key
        self.fresh = fresh
        self.is_rebound = is_rebound


class _Values:
    """What a process has in the cells of one namespace."""

    __slots__ = ("by_key", "namespace", "rebound")

    def __init__(self, namespace: MutableMapping[str, Any], cells: Sequence[Cell], by_key: dict[str, Any]) -> None:
        self.namespace = namespace
        self.by_key = by_key
        self.rebound = tuple(cell.key for cell in cells if cell.is_rebound and cell.key in by_key)


class SpaceMap:
    """The cells of a simulation, grouped by namespace so that an exchange is cheap."""

    def __init__(self) -> None:
        self.groups: list[tuple[MutableMapping[str, Any], tuple[Cell, ...]]] = []
        self.processes: list[Process] = []

    def add(self, cells: Sequence[Cell], loaded: Process) -> None:
        """Make ``cells`` process-local.

        ``loaded``, the process that runs now, keeps the values that stand in the places; every
        other process begins with fresh ones.
        """
        by_namespace: dict[int, tuple[MutableMapping[str, Any], list[Cell]]] = {}
        for cell in cells:
            by_namespace.setdefault(id(cell.namespace), (cell.namespace, []))[1].append(cell)
        for namespace, members in by_namespace.values():
            self.groups.append((namespace, tuple(members)))
            for process in self.processes:
                if process is loaded:
                    values = {cell.key: namespace[cell.key] for cell in members if cell.key in namespace}
                else:
                    values = {cell.key: cell.fresh(process) for cell in members}
                process.values.append(_Values(namespace, members, values))

    def enter(self, process: Process) -> None:
        """Give a new process fresh values for every cell."""
        self.processes.append(process)
        for namespace, cells in self.groups:
            process.values.append(_Values(namespace, cells, {cell.key: cell.fresh(process) for cell in cells}))


class Process:
    """A simulated operating-system process.

    ``name`` is unique in a simulation; ``pid`` lies above the kernel's maximum, so that a signal
    sent to it by mistake can never reach a real process.  ``parent`` is set for a pool child.
    ``started_us`` is the virtual time of its start.
    """

    def __init__(self, name: str, pid: int, draws: Draws, parent: Process | None = None, started_us: int = 0) -> None:
        self.name = name
        self.pid = pid
        self.parent = parent
        self.draws = draws
        self.started_us = started_us
        self.threads_started = 0
        self.is_alive = True
        self.fibers: list[Fiber] = []
        self.handlers: dict[int, Any] = {}
        self.on_death: list[Callable[[], None]] = []
        self.exit_code: int | None = None
        self.thread_state: dict[Any, Any] = {}
        self.values: list[_Values] = []

    def number_thread(self) -> int:
        """Return the number of one more thread; that of the main thread is 0."""
        number = self.threads_started
        self.threads_started += 1
        return number

    def thread_ident(self, number: int) -> int:
        """The ident of one of its threads."""
        return self.pid << _NUMBER_BITS | number

    def native_id(self, number: int) -> int:
        """The id of one of its threads for the operating system; that of the main thread is the pid."""
        return number << _PID_BITS | self.pid

    def unload(self) -> None:
        """Keep the values that stand in the process-local places; another process comes."""
        for values in self.values:
            namespace, by_key = values.namespace, values.by_key
            for key in values.rebound:
                by_key[key] = namespace[key]

    def load(self) -> None:
        """Put the process's own values in their places."""
        for values in self.values:
            values.namespace.update(values.by_key)

    def die(self, exit_code: int) -> bool:
        """End the process at once: none of its fibers is ever resumed.

        Returns ``False`` when it was dead already.  ``on_death`` callbacks run in the order in
        which they were added.
        """
        if not self.is_alive:
            return False
        self.is_alive = False
        self.exit_code = exit_code
        for fiber in self.fibers:
            if fiber.timer is not None:
                fiber.timer.cancel()
                fiber.timer = None
        for callback in self.on_death:
            callback()
        return True

    def __repr__(self) -> str:
        return f"<Process {self.name!r} pid={self.pid} {'alive' if self.is_alive else 'dead'}>"
