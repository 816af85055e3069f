"""Faults in a running simulation: adding them, taking their steps, removing them.

The main name is :class:`FaultLines`, which is ``sim.faults``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tqsim.broker.links import Links
from tqsim.broker.views import Broker
from tqsim.errors import UsageError
from tqsim.faults import Fault, Step
from tqsim.kernel import Kernel
from tqsim.kernel.agenda import Timer
from tqsim.load import Service
from tqsim.worker.program import WorkerProgram

__all__ = ["FaultLines"]


class FaultLines:
    """Adds faults to one simulation; the mappings are the simulation's own.

    ``links`` are those to every kind of server, and ``processes()`` the names of whoever uses them.
    """

    def __init__(
        self,
        kernel: Kernel,
        broker: Broker,
        workers: Mapping[str, WorkerProgram],
        services: Mapping[str, Service],
        links: Sequence[Links],
        processes: Callable[[], list[str]],
        note: Callable[..., None] | None,
        require_open: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._broker = broker
        self._workers = workers
        self._services = services
        self._links = links
        self._processes = processes
        self._note = note
        self._require_open = require_open

    def add(self, fault: Fault) -> AbstractContextManager[Fault]:
        """Add a fault now; its times count from here.  What it strikes must exist already.

        In a ``with`` statement the fault is removed at the end of the block: what it broke is repaired
        at once, and what it has not broken yet stays whole.  A task whose process is killed within such a block
        leaves its fault as it is, because no code of it runs any more.  Raises :class:`~tqsim.UsageError` for
        anything else than a fault.
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
        elif noun == "link":
            self._act_on_links(step, verb)
        else:
            act: dict[str, Callable[[], None]] = {
                "stop": self._broker.stop,
                "crash": self._broker.crash,
                "start": self._broker.start,
                "alarm": lambda: self._broker.alarm(True),
                "calm": lambda: self._broker.alarm(False),
            }
            act[verb]()

    def _act_on_links(self, step: Step, verb: str) -> None:
        assert step.route is not None
        for links in self._links:
            if verb not in ("worsen", "mend"):
                links.strike(step.route, verb)
                continue
            assert step.condition is not None
            change = links.worsen if verb == "worsen" else links.mend
            change(step.route, step.condition)

    def _act_on_worker(self, program: WorkerProgram, verb: str) -> None:
        # A worker that has ended already, or was started again, is left as it is.
        if verb == "kill" and program.is_alive:
            program.kill()
        elif verb == "restart" and not program.is_alive:
            program.start()

    def _require_target(self, step: Step) -> None:
        noun = step.verb.partition(".")[0]
        known: Iterable[str] | None = {"service": self._services, "worker": self._workers}.get(noun)
        target: str | None = step.target
        if step.route is not None:
            noun, known, target = "process", self._processes(), step.route.process
        if known is not None and target is not None and target not in known:
            names = ", ".join(sorted(known)) or "none"
            raise UsageError(f"There is no {noun} called {target!r} in this simulation; there are: {names}.")
        if step.verb in ("broker.alarm", "broker.crash"):
            self._broker.require(step.verb)

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
        self._timers: list[tuple[Step, Timer | None]] = []
        for step in fault.steps:
            if step.at_us == 0:
                self._taken.append(step)
                take(fault, step)
            else:
                timer = None if step.at_us is None else kernel.loop.call_later(step.at_us, self._taking(step))
                self._timers.append((step, timer))

    def end(self) -> None:
        """Take no further step, but those that repair what was broken."""
        for step, timer in self._timers:
            if timer is not None and not timer.is_pending:
                continue
            if timer is not None:
                timer.cancel()
            if step.repairs and any(broken.target == step.target for broken in self._taken):
                self._taken.append(step)
                self._take(self._fault, step)

    def _taking(self, step: Step) -> Callable[[], None]:
        return lambda: self._begin(step)

    def _begin(self, step: Step) -> None:
        # In a fiber of its own: what it does may have to wait, and the loop must not.
        self._taken.append(step)
        self._kernel.loop.spawn(lambda: self._take(self._fault, step), self._fault.name, self._kernel.main)
