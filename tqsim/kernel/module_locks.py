"""Locks that the application made before the simulation opened, replaced while it is open.

The main name is :class:`ModuleLocks`.  A native lock belongs to an operating-system thread, and all
fibers share one: two of them would both enter a native ``RLock``, and a native ``Lock`` that a
waiting fiber holds would hang the interpreter.  What can be reached from the application's modules
is replaced at opening and put back at the end: globals, class attributes, attributes of instances,
items of lists and dictionaries, and closures.  So are asyncio's event loops.

A lock made at import exists once *per process* in production, as the worker's children are forked.
So does a :class:`ModuleLock`: it does not keep two processes apart.
"""

from __future__ import annotations

import _queue
import _thread
import asyncio
import concurrent.futures
import queue
import sys
import threading
import types
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tqsim.kernel.locks import VirtualLock, VirtualRLock
from tqsim.kernel.loop import Loop
from tqsim.kernel.module_event_loops import ModuleEventLoop
from tqsim.kernel.patches import Patches, is_exempt
from tqsim.kernel.processes import Process

__all__ = ["ModuleLock", "ModuleLocks", "ModuleRLock"]

_SIMPLE_QUEUE: Final = _queue.SimpleQueue
#: How deep attributes of instances are followed; a client and its connection pool are two.
_DEPTH_MAX: Final = 2
#: Standard objects over locks; they are part of whoever holds them and count no step.
_COMPOSITES: Final = (
    threading.Condition,
    threading.Event,
    threading.Semaphore,
    threading.Barrier,
    queue.Queue,
    concurrent.futures.ThreadPoolExecutor,
)
#: Libraries that are no part of the application, although some define tasks.
_LIBRARIES: Final = ("amqp", "billiard", "celery", "kombu", "vine")


class ModuleLock:
    """A ``threading.Lock`` of each process."""

    __slots__ = ("__weakref__", "_locks", "_loop")
    _kind: type[VirtualLock | VirtualRLock] = VirtualLock

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._locks: dict[Process, Any] = {}

    def _own(self) -> Any:
        process = self._loop.loaded
        lock = self._locks.get(process)
        if lock is None:
            lock = self._locks[process] = self._kind(self._loop)
        return lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As ``threading.Lock.acquire``; ``timeout`` counts virtual seconds."""
        return bool(self._own().acquire(blocking, timeout))

    def release(self) -> None:
        """As ``threading.Lock.release``."""
        self._own().release()

    def locked(self) -> bool:
        """Whether somebody in this process holds the lock."""
        return bool(self._own().locked())

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<of each process: {self._own()!r}>"


class ModuleRLock(ModuleLock):
    """A ``threading.RLock`` of each process."""

    __slots__ = ()
    _kind = VirtualRLock

    def _is_owned(self) -> bool:
        return bool(self._own()._is_owned())

    def _release_save(self) -> Any:
        return self._own()._release_save()

    def _acquire_restore(self, state: Any) -> None:
        self._own()._acquire_restore(state)

    def _recursion_count(self) -> int:
        return int(self._own()._recursion_count())


class ModuleLocks:
    """Replaces the locks of an application's modules until ``patches`` are undone.

    ``originals`` maps functions and factories to their stand-ins, for the places that
    :class:`~tqsim.kernel.patches.Patches` does not search: class attributes and closures.
    """

    def __init__(self, patches: Patches, loop: Loop, originals: Mapping[Any, Any]) -> None:
        self._patches = patches
        self._loop = loop
        self._originals = {id(original): stand_in for original, stand_in in originals.items()}
        self._made: dict[int, tuple[Any, Any]] = {}
        self._seen: dict[int, Any] = {}
        self._packages: set[str] = set()

    def replace(self, functions: Iterable[Any]) -> None:
        """Replace what can be reached from the packages that define ``functions``, and from these."""
        functions = list(functions)
        packages = {str(getattr(function, "__module__", "")).split(".", 1)[0] for function in functions}
        new = {name for name in packages - self._packages if name not in _LIBRARIES and not is_exempt(name)}
        self._packages |= new
        for name, module in list(sys.modules.items()):
            if name.split(".", 1)[0] in new and isinstance(module, types.ModuleType) and not is_exempt(name):
                self._search_names(module.__dict__, 0)
        for function in functions:
            if str(getattr(function, "__module__", "")).split(".", 1)[0] in self._packages:
                self._look_into(function, 0)

    def _stand_in(self, value: Any) -> Any:
        """What stands in for ``value``, or ``None``; the same each time."""
        known = self._originals.get(id(value)) or self._made.get(id(value), (None, None))[1]
        if known is not None:
            return known
        kind = type(value)
        made: Any = None
        if kind is _thread.LockType or (kind is VirtualLock and value._loop.is_closed):
            made = ModuleLock(self._loop)
        elif kind is _thread.RLock or (kind is VirtualRLock and value._loop.is_closed):
            made = ModuleRLock(self._loop)
        elif kind is _SIMPLE_QUEUE:
            made = queue._PySimpleQueue()  # type: ignore[attr-defined]
        elif issubclass(kind, asyncio.BaseEventLoop):
            made = ModuleEventLoop(self._loop, value)
        elif kind is types.BuiltinMethodType:
            owner = self._stand_in(value.__self__) if type(value.__self__) in _NATIVE else None
            made = getattr(owner, value.__name__, None)
        elif kind is staticmethod:
            inner = self._originals.get(id(value.__func__))
            made = None if inner is None else staticmethod(inner)
        if made is not None:
            self._made[id(value)] = value, made
        return made

    def _search_names(self, namespace: dict[Any, Any], depth: int) -> None:
        for key, value in list(namespace.items()):
            stand_in = self._stand_in(value)
            if stand_in is None:
                self._look_into(value, depth)
            else:
                self._patches.set_item(namespace, key, stand_in)

    def _look_into(self, value: Any, depth: int) -> None:
        # By type(), as isinstance() would evaluate the proxies that Celery's decorator returns.
        kind = type(value)
        if kind in _PLAIN or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if kind is types.FunctionType:
            self._search_closure(value, depth)
        elif kind in (staticmethod, classmethod):
            self._look_into(value.__func__, depth)
        elif issubclass(kind, type):
            self._search_class(value, depth)
        elif kind is list:
            self._search_list(value, depth)
        elif issubclass(kind, dict):
            self._search_dictionary(value, depth)
        elif kind is not types.ModuleType:
            self._search_instance(value, kind, depth)

    def _search_closure(self, function: Any, depth: int) -> None:
        if function.__module__ is None or function.__module__.split(".", 1)[0] not in self._packages:
            return
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                continue  # not bound yet
            stand_in = self._stand_in(content)
            if stand_in is None:
                self._look_into(content, depth + 1)
            else:
                self._patches.set(cell, "cell_contents", stand_in)

    def _search_class(self, owner: Any, depth: int) -> None:
        if owner.__module__.split(".", 1)[0] not in self._packages:
            return
        for name, value in list(owner.__dict__.items()):
            stand_in = self._stand_in(value)
            if stand_in is not None:
                self._patches.set(owner, name, stand_in)
            elif name not in ("__dict__", "__weakref__"):
                self._look_into(value, depth + 1)

    def _search_list(self, items: list[Any], depth: int) -> None:
        for index, value in enumerate(items):
            stand_in = self._stand_in(value)
            if stand_in is None:
                if depth < _DEPTH_MAX:
                    self._look_into(value, depth + 1)
            else:
                self._patches.set_element(items, index, stand_in)

    def _search_dictionary(self, items: dict[Any, Any], depth: int) -> None:
        if isinstance(items, defaultdict):
            factory = self._originals.get(id(items.default_factory))
            if factory is not None:
                self._patches.set(items, "default_factory", factory)
        if depth < _DEPTH_MAX:
            self._search_names(items, depth + 1)

    def _search_instance(self, value: Any, kind: type, depth: int) -> None:
        is_composite = issubclass(kind, _COMPOSITES)
        if depth >= _DEPTH_MAX and not is_composite:
            return
        try:
            namespace = object.__getattribute__(value, "__dict__")
        except AttributeError:
            return
        if issubclass(kind, concurrent.futures.ThreadPoolExecutor):
            # Its idle threads are real ones, which cannot run anything here.
            self._patches.set_item(namespace, "_threads", set())
            self._patches.set_item(namespace, "_idle_semaphore", threading.Semaphore(0))
        self._search_names(namespace, depth if is_composite else depth + 1)


_NATIVE: Final = (_thread.LockType, _thread.RLock, VirtualLock, VirtualRLock)
#: What holds no lock and is met often.
_PLAIN: Final = (str, int, float, bool, bytes, tuple, frozenset, type(None), types.ModuleType, types.CodeType)
