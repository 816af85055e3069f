"""The numbers by which threads know themselves and each other.

The main name is :class:`Identities`.  All fibers share one operating-system thread, whose ident is
an address that differs from run to run.  What a fiber sees instead follows from the pid of its
process and its number among the threads of that process: ``threading.get_ident``,
``get_native_id``, ``current_thread``, ``main_thread``, ``enumerate`` and the frames by ident.

Left out: ``_thread.get_ident()`` called through the module, as the import system does, and C code.
The test itself, test tools and foreign threads see what is real.
"""

from __future__ import annotations

import _thread
import sys
import threading
import types
from collections.abc import Callable
from typing import Any, Final

from tqsim.kernel.fibers import Fiber
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches, asking_module, is_tool, named
from tqsim.kernel.processes import Process, is_simulated_thread

__all__ = ["Identities"]

_REAL_GET_IDENT: Final = _thread.get_ident
_REAL_GET_NATIVE_ID: Final = _thread.get_native_id
_REAL_CURRENT_THREAD: Final = threading.current_thread
_REAL_ENUMERATE: Final = threading.enumerate
_REAL_ACTIVE_COUNT: Final = threading.active_count
_REAL_CURRENT_FRAMES: Final = sys._current_frames
_ACTIVE: Final[dict[int, threading.Thread]] = threading._active  # type: ignore[attr-defined]


class Identities:
    """Gives the fibers of one loop idents that follow from their processes."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def replacements(self) -> dict[Any, Any]:
        """The functions that name threads, with their stand-ins."""
        loop, main, os_thread = self._loop, self._loop.main, self._loop.os_thread

        def get_ident() -> int:  # the hottest of them, so it asks nobody else
            fiber, real = loop.current, _REAL_GET_IDENT()
            if fiber is None or fiber is main or real != os_thread:
                return real
            return real if is_tool(sys._getframe(1).f_globals.get("__name__") or "") else fiber.thread_ident

        def get_native_id() -> int:
            fiber = self._fiber()
            return _REAL_GET_NATIVE_ID() if fiber is None else fiber.native_id

        def current_thread() -> threading.Thread:
            fiber = self._fiber()
            if fiber is not None:
                return _thread_of(fiber)
            # Not by the original where a tool asks in a fiber: that looks for the fiber's ident.
            thread = _ACTIVE.get(_REAL_GET_IDENT())
            return _REAL_CURRENT_THREAD() if thread is None else thread

        def enumerate_threads() -> list[threading.Thread]:
            fiber = self._fiber()
            if fiber is None:
                return list(dict.fromkeys(_REAL_ENUMERATE()))  # the main thread has an entry for each process
            return list(dict.fromkeys([threading.main_thread(), *map(_thread_of, fiber.process.fibers)]))

        def active_count() -> int:
            return len(enumerate_threads())

        def current_frames() -> dict[int, types.FrameType]:
            fiber = self._fiber()
            if fiber is None:
                return _REAL_CURRENT_FRAMES()
            frames = {item.thread_ident: item.greenlet.gr_frame for item in fiber.process.fibers}
            frames[fiber.thread_ident] = sys._getframe(1)
            # A thread that has not run yet has no frame.
            return {ident: frame for ident, frame in frames.items() if frame is not None}

        stand_ins: dict[Callable[..., Any], Callable[..., Any]] = {
            _REAL_GET_IDENT: get_ident,
            _REAL_GET_NATIVE_ID: get_native_id,
            _REAL_CURRENT_THREAD: current_thread,
            _REAL_ENUMERATE: enumerate_threads,
            _REAL_ACTIVE_COUNT: active_count,
            _REAL_CURRENT_FRAMES: current_frames,
        }
        return {real: named(stand_in, real) for real, stand_in in stand_ins.items()}

    def install(self, patches: Patches) -> None:
        """Let the one object for the main thread stand for that of each process."""
        kind = type(threading.main_thread())
        patches.set(kind, "_ident", self._of_main_thread("_ident", lambda process: process.thread_ident(0)))
        patches.set(kind, "_native_id", self._of_main_thread("_native_id", lambda process: process.native_id(0)))
        patches.on_undo(_forget_all)

    def enter(self, process: Process) -> None:
        """Enter a new process in the register that ``threading`` keeps of threads by ident."""
        _ACTIVE[process.thread_ident(0)] = threading.main_thread()

    def leave(self, process: Process) -> None:
        """Take the threads of a process that has ended out of the register."""
        _ACTIVE.pop(process.thread_ident(0), None)
        for fiber in process.fibers:
            _ACTIVE.pop(fiber.thread_ident, None)

    def _fiber(self) -> Fiber | None:
        """The running fiber, or ``None`` when the test itself, a tool or a foreign thread asks."""
        loop = self._loop
        fiber = loop.current
        if fiber is None or fiber is loop.main or not loop.in_loop_thread():
            return None
        return None if is_tool(asking_module("threading", __name__)) else fiber

    def _of_main_thread(self, name: str, of_process: Callable[[Process], int]) -> property:
        def get(thread: Any) -> Any:
            fiber = self._fiber()
            if fiber is None or thread is not threading.main_thread():
                return vars(thread)[name]
            if fiber.thread is None:  # it is a main thread itself
                return fiber.thread_ident if name == "_ident" else fiber.native_id
            return of_process(fiber.process)

        def put(thread: Any, value: Any) -> None:
            vars(thread)[name] = value

        return property(get, put)


def _thread_of(fiber: Fiber) -> threading.Thread:
    thread: threading.Thread | None = fiber.thread
    return threading.main_thread() if thread is None else thread


def _forget_all() -> None:
    """Take every simulated thread out of the register; foreign threads may come and go meanwhile."""
    for ident in list(_ACTIVE):
        if is_simulated_thread(ident):
            _ACTIVE.pop(ident, None)
