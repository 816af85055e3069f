"""redis-py's connection pools in a simulation: each simulated process has its own connections.

The main name is :class:`Pools`.  redis-py notices a fork by comparing process ids
(``ConnectionPool._checkpid``) and then begins with an empty pool.  Simulated processes live in one
interpreter, so here every process keeps its own part of a pool that several of them use, such as
that of a client made at import.  What a pool held before the simulation is put back at the end.
"""

from __future__ import annotations

import _thread
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final

from redis.connection import BlockingConnectionPool, ConnectionPool

from tqsim.kernel import Cell, Kernel, Process

__all__ = ["Pools"]

#: The attributes of a pool that a fork makes worthless (``reset``, and the locks of ``__init__``).
_STATE: Final = (
    "_available_connections", "_connections", "_created_connections", "_fork_lock", "_in_use_connections",
    "_lock", "_locked", "pid", "pool",
)  # fmt: skip
_LOCKS: Final = ("_fork_lock", "_lock")
_RealRLock: Final = _thread.RLock


class Pools:
    """The pools that were used while one kernel is open."""

    def __init__(self, kernel: Kernel, is_inside: Callable[[], bool]) -> None:
        self._kernel = kernel
        self._is_inside = is_inside
        self._is_resetting = False
        self._owners: weakref.WeakKeyDictionary[Any, Process | None] = weakref.WeakKeyDictionary()
        self._before: list[tuple[weakref.ref[Any], dict[str, Any]]] = []

    def install(self) -> None:
        """Watch every pool until the kernel closes."""
        patches = self._kernel.patches
        patches.on_undo(self._leave)
        patches.set(ConnectionPool, "_checkpid", self._checking(ConnectionPool._checkpid))
        for kind in (ConnectionPool, BlockingConnectionPool):
            patches.set(kind, "reset", self._resetting(kind.__dict__["reset"]))

    def _checking(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        def checkpid(pool: Any) -> None:
            if self._is_inside():
                self._enter(pool)
            else:
                real(pool)

        return checkpid

    def _resetting(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        def reset(pool: Any) -> None:
            if self._is_inside() and not self._is_resetting:
                self._enter(pool)
            real(pool)

        return reset

    def _enter(self, pool: Any) -> None:
        """Let the running process find its own connections in ``pool``."""
        process = self._kernel.loop.loaded
        if pool not in self._owners:
            self._owners[pool] = process
            if "pid" in pool.__dict__:  # not just being made: it is from before the simulation
                self._before.append((weakref.ref(pool), _state(pool)))
                pool.__dict__.update(self._fresh(pool, process))
            return
        owner = self._owners[pool]
        if owner is not None and owner is not process:
            self._share(pool, owner)

    def _share(self, pool: Any, owner: Process) -> None:
        """Make a pool that a second process uses local to each of them."""
        made = {id(owner): _state(pool)}

        def of_process(process: Process, key: str) -> Any:
            if id(process) not in made:
                made[id(process)] = self._fresh(pool, process)
            return made[id(process)][key]

        def cell(key: str) -> Cell:
            return Cell(pool.__dict__, key, lambda process: of_process(process, key))

        running = self._kernel.loop.loaded
        keys = list(made[id(owner)])
        pool.__dict__.update({key: of_process(running, key) for key in keys})
        self._kernel.make_local([cell(key) for key in keys])
        self._owners[pool] = None

    def _fresh(self, pool: Any, process: Process) -> dict[str, Any]:
        """What ``pool`` holds in a process that has not used it yet."""
        kept = _state(pool)
        self._is_resetting = True
        try:
            pool.__dict__.update({key: threading.RLock() for key in _LOCKS if key in kept})
            pool.reset()
            return {**_state(pool), "pid": process.pid}
        finally:
            self._is_resetting = False
            pool.__dict__.update(kept)

    def _leave(self) -> None:
        """Give each pool back what it held before, or nothing."""
        before = {id(reference()): state for reference, state in self._before}
        for pool in list(self._owners):
            state = before.get(id(pool))
            if state is None:
                pool.__dict__.update({key: _RealRLock() for key in _LOCKS if key in pool.__dict__})
                pool.reset()
            else:
                pool.__dict__.update(state)
        self._owners.clear()
        self._before.clear()


def _state(pool: Any) -> dict[str, Any]:
    namespace = pool.__dict__
    return {key: namespace[key] for key in _STATE if key in namespace}
