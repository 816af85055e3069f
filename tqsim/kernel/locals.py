"""Thread-local values for fibers: each fiber sees its own, as a thread or a process would.

The main name is :class:`ThreadLocals`.  All greenlets of one operating-system thread share one
thread state, and with it the contents of every ``threading.local``, C-implemented or not: the
current Celery application, request stacks, database connections.  On CPython 3.11 and 3.12 they
lie in one dictionary of the thread state, whose contents are exchanged when another fiber runs.
From 3.13 on that dictionary is out of reach; there the objects themselves are found and the
``__dict__`` each shows to this thread is exchanged.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import threading
from typing import Any, Final, Protocol

from tqsim.kernel.fibers import Fiber

__all__ = ["ThreadLocals"]

_RUNNING_LOOP: Final = "tqsim.running_event_loop"


class _Store(Protocol):
    def exchange(self, kept: dict[Any, Any], given: dict[Any, Any]) -> None:
        """Move the present contents to ``kept`` and those of ``given`` to the present."""


class ThreadLocals:
    """Exchanges the thread-local values of the thread it was made in."""

    def __init__(self, main: Fiber) -> None:
        main.thread_state = {}
        self._present: dict[Any, Any] = main.thread_state
        self._store: _Store = _StateDict() if sys.version_info < (3, 13) else _LocalObjects()

    def switch_to(self, fiber: Fiber) -> None:
        """Give ``fiber`` its own values; costs a fraction of a microsecond."""
        given = fiber.thread_state
        kept = self._present
        if given is kept or given is None:
            return
        running = asyncio._get_running_loop()
        self._store.exchange(kept, given)
        if running is not None:
            kept[_RUNNING_LOOP] = running
        wanted = given.pop(_RUNNING_LOOP, None)
        if wanted is not running:
            asyncio._set_running_loop(wanted)
        self._present = given


class _StateDict:
    """The dictionary of the thread state (``PyThreadState_GetDict``)."""

    def __init__(self) -> None:
        get_dict = ctypes.pythonapi.PyThreadState_GetDict
        get_dict.restype = ctypes.py_object
        self._dict: dict[Any, Any] = get_dict()

    def exchange(self, kept: dict[Any, Any], given: dict[Any, Any]) -> None:
        present = self._dict
        kept.update(present)
        present.clear()
        present.update(given)
        given.clear()


class _LocalObjects:
    """Every ``threading.local`` that exists, found through the garbage collector."""

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._find()

    def _find(self) -> None:
        known = {id(item) for item in self._objects}
        for item in gc.get_objects():
            if isinstance(item, threading.local) and id(item) not in known:
                self._objects.append(item)

    def exchange(self, kept: dict[Any, Any], given: dict[Any, Any]) -> None:
        for item in self._objects:
            values = object.__getattribute__(item, "__dict__")
            kept[id(item)] = dict(values)
            values.clear()
            if id(item) in given:
                values.update(given[id(item)])
            elif type(item).__init__ is not object.__init__:
                # A thread that touches a subclass for the first time runs its __init__.
                type(item).__init__(item)
        given.clear()
