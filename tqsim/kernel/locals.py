"""Thread-local values for fibers: each fiber sees its own, as a thread or a process would.

The main name is :class:`ThreadLocals`.  All greenlets of one operating-system thread share one
thread state, and with it the contents of every ``threading.local``, C-implemented or not: the
current Celery application, request stacks, database connections.  CPython finds them through a
dictionary of the thread state (3.11, 3.12) or through a key object in it (3.13).  Both are words
of a C structure, and every fiber gets its own: a switch costs the writing of a pointer.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from tqsim.errors import InternalError
from tqsim.kernel.fibers import Fiber

__all__ = ["ThreadLocals", "Values"]

#: Where asyncio keeps the running loop.  Its C code remembers the entry by a borrowed pointer.
_RUNNING_LOOP: Final = "__asyncio_running_event_loop__"
#: How far into the thread state a word is looked for; it is the 14th to 36th in 3.11 to 3.13.
_WORDS: Final = 48
_NO_HOOKS: Final = (None, None)
_HAS_KEYS: Final = sys.version_info >= (3, 13)


class Values:
    """The thread-local values of one fiber.

    ``dictionary`` stands in the thread state while the fiber runs; ``key`` and ``sentinel`` too,
    where CPython has them.  ``loop`` is its running asyncio loop, ``hooks`` and ``depth`` are what a
    running loop sets for its thread: the hooks of asynchronous generators, and how far the origin of
    coroutines is noted in debug mode.  ``known`` counts the entries of the dictionary whose owners
    are watched.
    """

    __slots__ = ("__weakref__", "depth", "dictionary", "hooks", "key", "known", "loop", "sentinel")

    def __init__(self, dictionary: dict[Any, Any], key: object = None, sentinel: object = None) -> None:
        self.dictionary = dictionary
        self.key = key
        self.sentinel = sentinel
        self.loop: Any = None
        self.hooks: tuple[Any, Any] = _NO_HOOKS
        self.depth = 0
        self.known = 0


class ThreadLocals:
    """Exchanges the thread-local values of the thread it was made in, for one simulation.

    At the end the values of ``main`` must be the present ones.
    """

    def __init__(self, main: Fiber) -> None:
        state = _ThreadState()
        self._words = state.words
        self._dictionary_at = state.dictionary_at
        self._keys_at = state.keys_at
        self._adopt = state.adopt
        self._owners: dict[Any, weakref.ref[Any]] = {}
        self._all: weakref.WeakSet[Values] = weakref.WeakSet()
        self._present = main.thread_state = state.present()
        # Those of the test where no loop of asyncio runs in it: then nothing is exchanged with others.
        self._hooks = sys.get_asyncgen_hooks() if asyncio._get_running_loop() is None else _NO_HOOKS
        self._present.hooks = self._hooks
        self._all.add(self._present)

    def switch_to(self, fiber: Fiber) -> None:
        """Give ``fiber`` its own values; costs a fraction of a microsecond."""
        given = fiber.thread_state
        kept = self._present
        if given is kept:
            return
        if given is None:
            given = fiber.thread_state = Values({})
            given.hooks = self._hooks
            self._all.add(given)
        words = self._words
        if self._keys_at is None:
            if len(kept.dictionary) != kept.known:
                self._watch_owners(kept)
        else:
            key_at, sentinel_at = self._keys_at
            kept.key = self._adopt(key_at, kept.key)
            kept.sentinel = self._adopt(sentinel_at, kept.sentinel)
            words[key_at] = _address(given.key)
            words[sentinel_at] = _address(given.sentinel)
        kept.loop = asyncio._get_running_loop()
        words[self._dictionary_at] = id(given.dictionary)
        self._present = given
        if _RUNNING_LOOP in kept.dictionary or kept.loop is not None or given.loop is not None:
            # Always, not only when it differs: the entry that asyncio points to may end with its fiber.
            asyncio._set_running_loop(given.loop)
            _exchange_settings(kept, given)

    def _watch_owners(self, values: Values) -> None:
        """Watch for the end of every ``threading.local`` that has an entry here.

        The entry of a local that has ended points to freed memory, and the next local at the
        same address would follow it.  CPython clears the entries of living thread states only,
        so those of the fibers that wait are cleared here.
        """
        for name, entry in values.dictionary.items():
            if name in self._owners or not _is_entry(entry):
                continue
            owner = _owner(entry)
            if owner is not None:
                self._owners[name] = weakref.ref(owner, self._forgetter(name))
        values.known = len(values.dictionary)

    def _forgetter(self, name: Any) -> Callable[[object], None]:
        def forget(reference: object) -> None:
            self._owners.pop(name, None)
            for values in list(self._all):
                values.dictionary.pop(name, None)
                values.known = -1

        return forget


def _exchange_settings(kept: Values, given: Values) -> None:
    """Exchange what an event loop sets while it runs."""
    kept.hooks, kept.depth = sys.get_asyncgen_hooks(), sys.get_coroutine_origin_tracking_depth()
    if kept.hooks != given.hooks:
        sys.set_asyncgen_hooks(*given.hooks)
    if kept.depth != given.depth:
        sys.set_coroutine_origin_tracking_depth(given.depth)


def _is_entry(value: object) -> bool:
    return type(value).__name__ == "_localdummy"


def _owner(entry: object) -> Any:
    """The ``threading.local`` of an entry.

    It holds the one weak reference to the entry, whose callback is bound to a weak reference to
    the local (CPython, Modules/_threadmodule.c).
    """
    for reference in weakref.getweakrefs(entry):
        bound = getattr(reference.__callback__, "__self__", None)
        if isinstance(bound, weakref.ref):
            return bound()
    return None


def _address(value: object) -> int | None:
    return None if value is None else id(value)


class _ThreadState:
    """The C structure of the calling thread (``PyThreadState``), as an array of words."""

    def __init__(self) -> None:
        get_dictionary = ctypes.pythonapi.PyThreadState_GetDict
        # As a pointer: the reference is borrowed, and ctypes would take an object for its own.
        get_dictionary.restype = ctypes.c_void_p
        get_state = ctypes.pythonapi.PyThreadState_Get
        get_state.restype = ctypes.c_void_p
        self.words: Any = (ctypes.c_void_p * _WORDS).from_address(get_state())
        self.dictionary_at = self._find(get_dictionary())
        self.keys_at: tuple[int, int] | None = None
        if _HAS_KEYS:
            key, sentinel = _probe()
            self.keys_at = self._find(id(key)), self._find(id(sentinel))

    def _find(self, address: int) -> int:
        for index in range(_WORDS):
            if self.words[index] == address:
                return index
        raise InternalError(f"The thread state of Python {sys.version.split()[0]} has an unknown form.")

    def present(self) -> Values:
        """The values that stand in the thread state now."""
        dictionary = cast(dict[Any, Any], _object_at(self.words[self.dictionary_at]))
        if self.keys_at is None:
            return Values(dictionary)
        key_at, sentinel_at = self.keys_at
        return Values(dictionary, _object_at(self.words[key_at]), _object_at(self.words[sentinel_at]))

    def adopt(self, index: int, known: object) -> object:
        """Take over the object at a word; the thread state's own reference becomes ours."""
        address = self.words[index]
        if address == _address(known):
            return known
        value = _object_at(address)
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(value))
        return value


def _object_at(address: int) -> object:
    return ctypes.cast(ctypes.c_void_p(address), ctypes.py_object).value


def _probe() -> tuple[object, object]:
    """Return the key and the sentinel of this thread, which a used ``threading.local`` refers to."""
    probe = threading.local()
    probe.used = True
    found: dict[bool, object] = {}
    for part in gc.get_referents(probe):
        if isinstance(part, (dict, set)):
            for item in cast(Iterable[Any], part):
                is_key = _is_entry(item)
                found[is_key] = item if is_key else item()
    return found[True], found[False]
