"""Faults in a running simulation: adding them, taking their steps, removing them.

The main name is :class:`FaultLines`, which is ``sim.faults``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tqsim.broker.views import Broker
from tqsim.errors import UsageError
from tqsim.faults import Fault, Step
from tqsim.kernel import Kernel
from tqsim.load import Service
from tqsim.worker.program import WorkerProgram

__all__ = ["FaultLines"]


class FaultLines:
    """Adds faults to one simulation; the mappings are the simulation's own."""

    def __init__(
        self,
        kernel: Kernel,
        broker: Broker,
        workers: Mapping[str, WorkerProgram],
        services: Mapping[str, Service],
        note: Callable[..., None] | None,
        require_open: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._broker = broker
        self._workers = workers
        self._services = services
        self._note = note
        self._require_open = require_open

    def add(self, fault: Fault) -> AbstractContextManager[Fault]:
        """Add a fault now; its times count from here.  What it strikes must exist already.

        In a ``with`` statement the fault is removed at the end of the block: what it broke is repaired
        at once, and what it has not broken yet stays whole.  Raises :class:`~tqsim.UsageError` for anything else
        than a fault.
        """
        self._require_open()
        if not isinstance(fault, Fault):
            raise UsageError(
                f"faults.add({fault!r}): expected a fault such as tqsim.faults.outage('payments', at='5m', for_='1m')."
            )
        for step in fault.steps:
            self._require_target(step)
        self._tell("fault.installed", fault)
        course = _Course(self._kernel, fault, self._take)
        return self._until_removed(fault, course)

    @contextmanager
    def _until_removed(self, fault: Fault, course: _Course) -> Iterator[Fault]:
        try:
            yield fault
        finally:
            course.end()
            self._tell("fault.removed", fault)

    def _take(self, fault: Fault, step: Step) -> None:
        self._tell("fault.struck", fault, verb=step.verb, target=step.target)
        noun, _, verb = step.verb.partition(".")
        if noun == "service":
            service = self._services[step.target]
            service.fail() if verb == "fail" else service.recover()
        elif noun == "worker":
            self._act_on_worker(self._workers[step.target], verb)
        elif verb == "stop":
            self._broker.stop()
        else:
            self._broker.start()

    def _act_on_worker(self, program: WorkerProgram, verb: str) -> None:
        # A worker that has ended already, or was started again, is left as it is.
        if verb == "kill" and program.is_alive:
            program.kill()
        elif verb == "restart" and not program.is_alive:
            program.start()

    def _require_target(self, step: Step) -> None:
        noun = step.verb.partition(".")[0]
        known = {"service": self._services, "worker": self._workers}.get(noun)
        if known is not None and step.target not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(f"There is no {noun} called {step.target!r} in this simulation; there are: {names}.")

    def _tell(self, moment: str, fault: Fault, **fields: Any) -> None:
        if self._note is not None:
            self._note(moment, "faults", None, fault=fault.name, **fields)


class _Course:
    """The steps of one fault, each at its time."""

    def __init__(self, kernel: Kernel, fault: Fault, take: Callable[[Fault, Step], None]) -> None:
        self._kernel = kernel
        self._fault = fault
        self._take = take
        self._taken: list[Step] = []
        self._timers = [(step, kernel.loop.call_later(step.at_us, self._taking(step))) for step in fault.steps]

    def end(self) -> None:
        """Take no further step, but those that repair what was broken."""
        for step, timer in self._timers:
            if timer.is_pending:
                timer.cancel()
                if step.repairs and any(broken.target == step.target for broken in self._taken):
                    self._begin(step)

    def _taking(self, step: Step) -> Callable[[], None]:
        return lambda: self._begin(step)

    def _begin(self, step: Step) -> None:
        # In a fiber of its own: what it does may have to wait, and the loop must not.
        self._taken.append(step)
        self._kernel.loop.spawn(lambda: self._take(self._fault, step), self._fault.name, self._kernel.main)
