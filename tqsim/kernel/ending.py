"""How leftover fibers end when a simulation closes.

The main names are :func:`end_fibers` and :func:`refuse_to_wait`.  A fiber that is still suspended
gets ``FiberExit`` where it stands, and again whenever it wants to wait, so that no ``finally``
block can hold up the end.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import greenlet

from tqsim.kernel.fibers import Fiber, FiberExit

__all__ = ["end_fibers", "refuse_to_wait"]

#: How often one fiber is ended anew before it is left alone.
_REFUSALS_MAX: Final = 100


def end_fibers(fibers: Iterable[Fiber], enter: Callable[[Fiber], None]) -> None:
    """End suspended fibers one after another; ``enter`` makes one the running fiber."""
    here = greenlet.getcurrent()
    with _nothing_logged():
        for fiber in fibers:
            if fiber.greenlet is None or fiber.greenlet.dead:
                continue
            fiber.greenlet.parent = here
            enter(fiber)
            fiber.greenlet.throw(FiberExit)


@contextmanager
def _nothing_logged() -> Iterator[None]:
    """Drop what is logged meanwhile: it is after the end, and mostly about ``FiberExit``.

    The threads of a ``ThreadPoolExecutor`` for example log whatever ends them.
    """
    before = logging.root.manager.disable
    logging.disable(sys.maxsize)
    try:
        yield
    finally:
        logging.disable(before)


def refuse_to_wait(fiber: Fiber | None) -> NoReturn:
    """End a leftover fiber that wants to wait; leave one that never gives up where it stands."""
    if fiber is not None:
        fiber.refusals += 1
        if fiber.refusals > _REFUSALS_MAX:
            # Never freed: the interpreter would try to end it then, and hang.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(fiber.greenlet))
            fiber.greenlet.parent.switch()
    # Not an Exception: the cleanup of a leftover fiber must not swallow it and go on.
    raise FiberExit
