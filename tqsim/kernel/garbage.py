"""Garbage collection at fixed points of a run instead of wherever allocation counts say.

The main name is :class:`Garbage`.  A collection runs finalizers, and finalizers of Celery results
talk to the backend: they must come at the same moment in every run.  What existed before the
simulation is frozen, so that a collection only looks at what the simulation made.
"""

from __future__ import annotations

import functools
import gc
from typing import Final

from tqsim.kernel.fibers import Fiber
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches

__all__ = ["Garbage"]

#: Switches between two collections of the young generations, and how many of those make a full one.
_SWITCHES_PER_COLLECTION: Final = 4_000
_FULL_EVERY: Final = 25
#: After how many simulations, or switches in them, what they left in cycles is collected.
#: Python 3.12 itself begins with some hundred frozen objects.
_OWN_FROZEN_MAX: Final = 1_000
_SIMULATIONS_MAX: Final = 25
_SWITCHES_MAX: Final = 200_000


class Garbage:
    """Collects at every so-manieth switch of one loop, in a fiber of its own.

    In a fiber, because finalizers may have to wait for a lock; no virtual time passes otherwise.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._collections = 0
        self._fiber: Fiber | None = None

    def install(self, patches: Patches) -> None:
        """Take over from the automatic collector until ``patches`` are undone."""
        was_enabled = gc.isenabled()
        froze = gc.get_freeze_count() < _OWN_FROZEN_MAX
        leavings = _leavings()
        leavings.clear_away()
        gc.disable()
        if froze:
            gc.freeze()

        def restore() -> None:
            if froze:
                gc.unfreeze()
            if was_enabled:
                gc.enable()
            leavings.add(self._loop.switches)

        patches.on_undo(restore)
        self._loop.housekeep = self._order_collection
        self._loop.housekeep_at = self._loop.switches + _SWITCHES_PER_COLLECTION

    def _order_collection(self) -> None:
        loop = self._loop
        loop.housekeep_at = loop.switches + _SWITCHES_PER_COLLECTION
        if self._fiber is None:
            self._fiber = loop.spawn(self._collect_for_ever, "garbage collection", loop.main.process)
        else:
            loop.wake(self._fiber)

    def _collect_for_ever(self) -> None:
        while True:
            self._collections += 1
            gc.collect(2 if self._collections % _FULL_EVERY == 0 else 1)
            self._loop.park("the next collection")


class _Leavings:
    """How much closed simulations have left behind.

    A thawed object is an old one, and the automatic collector looks at old objects when many young
    ones have become old, which freezing prevents.  So a full collection is due now and then; it is
    done before a simulation opens, where it changes nothing in one.
    """

    def __init__(self) -> None:
        self._simulations = 0
        self._switches = 0

    def add(self, switches: int) -> None:
        """Account for a simulation that has closed."""
        self._simulations += 1
        self._switches += switches

    def clear_away(self) -> None:
        """Collect when enough has gathered."""
        if self._simulations >= _SIMULATIONS_MAX or self._switches >= _SWITCHES_MAX:
            self._simulations = self._switches = 0
            gc.collect()


@functools.cache
def _leavings() -> _Leavings:
    """The one account of this interpreter, whose heap all simulations share."""
    return _Leavings()
