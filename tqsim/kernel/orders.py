"""Orders and names in ``threading``, ``concurrent.futures`` and ``asyncio`` that are really chance, pinned.

The main name is :class:`Orders`.  A ``ThreadPoolExecutor`` joins its threads, ``as_completed`` gives
out what is finished, and asyncio cancels tasks, in the order of a set, which is that of memory
addresses.  Here futures and tasks are hashed by a number, so that a set of them has one order.  The
names ``Thread-7``, ``ThreadPoolExecutor-3_0`` and ``Task-12`` count anew in every process.  How many
threads an executor has by default, asyncio's too, does not depend on the machine.

Left out: what an application itself keeps in sets of other objects.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
from asyncio import tasks
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches
from tqsim.kernel.processes import Process

__all__ = ["Orders"]

_REAL_FUTURE: Final = concurrent.futures.Future.__init__
_REAL_EXECUTOR: Final = concurrent.futures.ThreadPoolExecutor.__init__
_REAL_LOOP: Final = asyncio.BaseEventLoop.__init__
_REAL_ASYNCIO_FUTURE: Final[Any] = asyncio.Future
_REAL_ASYNCIO_TASK: Final[Any] = asyncio.Task
_REAL_EAGER_FACTORY: Final[Any] = getattr(asyncio, "eager_task_factory", None)  # since Python 3.12
_NUMBER: Final = "_tqsim_number"
#: What ``ThreadPoolExecutor`` takes on a machine with one processor (concurrent/futures/thread.py).
_THREADS: Final = 5


class Orders:
    """Pins the orders of one simulation, and counts the names anew in each of its processes."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._numbers = itertools.count()
        self._hash = self._make_hash()

    def replacements(self) -> dict[Any, Any]:
        """The classes of asyncio, which are C code, with subclasses that are hashed by a number."""
        real: dict[type, type] = {}
        count, hash_of, is_inside = _count_in_processes(self._loop, 1), self._hash, self._is_inside

        class Kind(type):
            def __instancecheck__(cls, instance: Any) -> bool:
                return type.__instancecheck__(real.get(cls, cls), instance)  # what was made before is one too

        class Future(_REAL_ASYNCIO_FUTURE, metaclass=Kind):
            __hash__ = hash_of

        class Task(_REAL_ASYNCIO_TASK, metaclass=Kind):
            def __init__(self, coro: Any, *, name: Any = None, **options: Any) -> None:
                if name is None and is_inside():
                    name = f"Task-{count()}"
                super().__init__(coro, name=name, **options)

            __hash__ = hash_of

        real.update({Future: _REAL_ASYNCIO_FUTURE, Task: _REAL_ASYNCIO_TASK})
        for kind, original in real.items():
            kind.__module__, kind.__qualname__ = original.__module__, original.__qualname__
        stand_ins: dict[Any, Any] = {original: kind for kind, original in real.items()}
        if _REAL_EAGER_FACTORY is not None:
            stand_ins[_REAL_EAGER_FACTORY] = tasks.create_eager_task_factory(Task)  # type: ignore[attr-defined]
        return stand_ins

    def install(self, patches: Patches) -> None:
        """Pin what is Python code, until ``patches`` are undone."""
        numbers = self._numbers

        def init_future(future: Any) -> None:
            _REAL_FUTURE(future)
            setattr(future, _NUMBER, next(numbers))

        def init_executor(executor: Any, max_workers: int | None = None, *args: Any, **kwargs: Any) -> None:
            if max_workers is None and self._is_inside():
                max_workers = _THREADS
            _REAL_EXECUTOR(executor, max_workers, *args, **kwargs)
            executor._threads = _Members()

        def init_loop(event_loop: Any) -> None:
            _REAL_LOOP(event_loop)
            event_loop._asyncgens.data = _Members()

        executor = concurrent.futures.ThreadPoolExecutor
        patches.set(concurrent.futures.Future, "__init__", init_future)
        patches.set(concurrent.futures.Future, "__hash__", _hash)
        patches.set(executor, "__init__", init_executor)
        patches.set(executor, "_counter", staticmethod(_count_in_processes(self._loop, 0)))
        patches.set(threading, "_counter", _count_in_processes(self._loop, 1))
        patches.set(asyncio.BaseEventLoop, "__init__", init_loop)
        patches.set(tasks._GatheringFuture, "__hash__", self._hash)  # type: ignore[attr-defined]
        patches.set(tasks, "set", _set_in_asyncio)

    def _is_inside(self) -> bool:
        return self._loop.in_loop_thread() and not self._loop.is_closed

    def _make_hash(self) -> Callable[[Any], int]:
        numbers, is_inside = self._numbers, self._is_inside

        def hash_by_number(future: Any) -> int:  # it gets its number when it is first asked for
            number: int | None = getattr(future, _NUMBER, None)
            if number is None:
                number = next(numbers) if is_inside() else object.__hash__(future)
                setattr(future, _NUMBER, number)
            return number

        return hash_by_number


def _hash(future: Any) -> int:
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


def _set_in_asyncio(members: Iterable[Any] | None = None) -> Any:
    """The place of ``set`` in :mod:`asyncio.tasks`.

    ``wait`` and ``as_completed`` only walk through the set that they make of what they are given,
    and coroutines are hashed by their addresses.
    """
    return set() if members is None else dict.fromkeys(members)


class _Members(dict[Any, None]):
    """The part of a set that ``ThreadPoolExecutor`` and ``WeakSet`` use, in the order of addition."""

    def add(self, member: Any) -> None:
        """Add a member."""
        self[member] = None

    def discard(self, member: Any) -> None:
        """Remove a member if it is there."""
        self.pop(member, None)
