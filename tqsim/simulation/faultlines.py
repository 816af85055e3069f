"""Faults in a running simulation: adding them, taking their steps, removing them.

The main name is :class:`FaultLines`, which is ``sim.faults``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tqsim.errors import UsageError
from tqsim.faults import Fault, Step
from tqsim.kernel import Kernel

__all__ = ["FaultLines"]


class FaultLines:
    """Adds faults to one simulation.  ``act(verb, target)`` takes one step of a fault."""

    def __init__(
        self, kernel: Kernel, act: Callable[[str, str], None], note: Callable[..., None] | None
    ) -> None:
        self._kernel = kernel
        self._act = act
        self._note = note

    def add(self, fault: Fault) -> AbstractContextManager[Fault]:
        """Add a fault now; its times count from here.

        In a ``with`` statement the fault is removed at the end of the block: steps that have not
        been taken are not taken any more.  Raises :class:`~tqsim.UsageError` for anything else
        than a fault.
        """
        if not isinstance(fault, Fault):
            raise UsageError(
                f"faults.add({fault!r}): expected a fault such as tqsim.faults.outage('payments', at='5m', for_='1m')."
            )
        self._tell("fault.installed", fault)
        timers = [self._kernel.loop.call_later(step.at_us, self._step(fault, step)) for step in fault.steps]
        return self._until_removed(fault, timers)

    @contextmanager
    def _until_removed(self, fault: Fault, timers: list[Any]) -> Iterator[Fault]:
        try:
            yield fault
        finally:
            for timer in timers:
                timer.cancel()
            self._tell("fault.removed", fault)

    def _step(self, fault: Fault, step: Step) -> Callable[[], None]:
        def take() -> None:
            # In a fiber of its own: what it does may have to wait, and the loop must not.
            self._kernel.loop.spawn(lambda: self._take(fault, step), fault.name, self._kernel.main)

        return take

    def _take(self, fault: Fault, step: Step) -> None:
        self._tell("fault.struck", fault, verb=step.verb, target=step.target)
        self._act(step.verb, step.target)

    def _tell(self, moment: str, fault: Fault, **fields: Any) -> None:
        if self._note is not None:
            self._note(moment, "faults", None, fault=fault.name, **fields)
