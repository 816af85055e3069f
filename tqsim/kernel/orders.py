"""Orders and names in ``threading`` and ``concurrent.futures`` that are really chance, pinned.

The main name is :func:`pin`.  A ``ThreadPoolExecutor`` joins its threads, and ``as_completed`` gives
out what is finished, in the order of a set, which is that of memory addresses; the names
``Thread-7`` and ``ThreadPoolExecutor-3_0`` count on from simulation to simulation.

Left out: what an application itself keeps in sets of objects, and asyncio's sets of tasks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches
from tqsim.kernel.processes import Process

__all__ = ["pin"]

_REAL_FUTURE: Final = Future.__init__
_REAL_EXECUTOR: Final = ThreadPoolExecutor.__init__
_NUMBER: Final = "_tqsim_number"


def pin(patches: Patches, loop: Loop) -> None:
    """Pin the orders and count the names anew in every process, until ``patches`` are undone."""
    numbers = itertools.count()

    def init_future(self: Any) -> None:
        _REAL_FUTURE(self)
        setattr(self, _NUMBER, next(numbers))

    def init_executor(self: Any, *args: Any, **kwargs: Any) -> None:
        _REAL_EXECUTOR(self, *args, **kwargs)
        self._threads = _Threads()

    patches.set(Future, "__init__", init_future)
    patches.set(Future, "__hash__", _hash_of_future)
    patches.set(ThreadPoolExecutor, "__init__", init_executor)
    patches.set(ThreadPoolExecutor, "_counter", staticmethod(_count_in_processes(loop, 0)))
    patches.set(threading, "_counter", _count_in_processes(loop, 1))


def _hash_of_future(future: Any) -> int:
    # A set of small numbers is walked in their order; one that was made before goes by its address.
    number: int | None = getattr(future, _NUMBER, None)
    return object.__hash__(future) if number is None else number


def _count_in_processes(loop: Loop, first: int) -> Callable[[], int]:
    counts: dict[Process, Iterator[int]] = {}

    def count() -> int:
        process = loop.loaded
        if process not in counts:
            counts[process] = itertools.count(first)
        return next(counts[process])

    return count


class _Threads(dict[threading.Thread, None]):
    """The part of a set that ``ThreadPoolExecutor`` uses, in the order of addition."""

    def add(self, thread: threading.Thread) -> None:
        """Add a thread."""
        self[thread] = None
