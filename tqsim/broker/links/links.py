"""The links of every process to one kind of server, and what ails them.

The main name is :class:`Links`.  A connection of a process whose links were always sound knows nothing of
this: it has no cable, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tqsim.broker.links.cables import Cable, End
from tqsim.broker.links.trips import pauses
from tqsim.faults import Condition, Route
from tqsim.kernel import Kernel
from tqsim.kernel.chance import Draws
from tqsim.kernel.locks import WaitQueue
from tqsim.kernel.processes import Process

__all__ = ["Links"]


class Links:
    """The links of one simulation to ``servers``, names of :data:`tqsim.faults.SERVERS`."""

    def __init__(self, kernel: Kernel, *servers: str) -> None:
        self.kernel = kernel
        self.loop = kernel.loop
        self._servers = servers
        self._ailing: list[tuple[Route, Condition]] = []
        self._ends: dict[End, None] = {}
        #: Of those whose links have ailed; also of some that the client has closed, and that hold something yet.
        self._cables: dict[End, Cable] = {}
        self._drawers: dict[str, Draws] = {}
        self._waiting = WaitQueue(kernel.loop)
        self._watchers: dict[Callable[[], None], None] = {}

    # -- faults -------------------------------------------------------------------------------

    def worsen(self, route: Route, condition: Condition) -> None:
        """Let links have a condition, beside those that they have."""
        if self._is_meant(route):
            self._ailing.append((route, condition))
            self._look_again()

    def mend(self, route: Route, condition: Condition) -> None:
        """Undo one :meth:`worsen`."""
        if self._is_meant(route):
            self._ailing.remove((route, condition))
            self._look_again()

    def strike(self, route: Route, how: str) -> None:
        """Do to the connections of now what ``how`` says: ``"reset"``, ``"lost_by_path"`` or ``"lost_by_server"``."""
        if not self._is_meant(route):
            return
        for end in list(self._ends):
            if _concerns(route, end.process):
                cable = self._cable(end)
                {"reset": cable.reset, "lost_by_path": cable.sever, "lost_by_server": cable.forget}[how]()

    # -- connections --------------------------------------------------------------------------

    def join(self, end: End) -> None:
        """Take in a new connection."""
        self._ends[end] = None
        if not self.is_clear(end.process):
            self._cable(end).look_again()

    def leave(self, end: End) -> None:
        """Forget a connection that the client has closed; its cable stays until the server knows."""
        self._ends.pop(end, None)
        cable = self._cables.get(end)
        if cable is not None:
            cable.leave_client()

    def drop(self, end: End) -> None:
        """Forget the cable of a connection of which both ends have let go."""
        self._cables.pop(end, None)

    def travel(self, process: Process, times: int, timeout_us: int | None) -> None:
        """Let the time pass in which something goes to the server and back, so many times.

        Raises ``TimeoutError`` when one of them takes longer than ``timeout_us``, or than TCP waits.
        """
        for pause in pauses(self, process, times, timeout_us):
            if pause.ends_with_change:
                self._waiting.wait(f"an answer from the {self._servers[0]}", pause.for_us)
            else:
                self.loop.sleep(pause.for_us)

    def watch(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` at the next change, once."""
        self._watchers[callback] = None

    def unwatch(self, callback: Callable[[], None]) -> None:
        """Forget it before."""
        self._watchers.pop(callback, None)

    # -- what cables ask ----------------------------------------------------------------------

    def is_clear(self, process: Process) -> bool:
        """Whether nothing ails the links of a process."""
        return not self._ailing or not self._conditions(process)

    def is_cut(self, process: Process) -> bool:
        """Whether nothing arrives at present."""
        return any(condition.is_cut for condition in self._conditions(process))

    def draw_delay_us(self, process: Process) -> int:
        """Return how long the next piece takes."""
        delay_us = 0
        for condition in self._conditions(process):
            delay_us += condition.latency_us
            if condition.jitter_us:
                delay_us += self._draws(process).generator.randint(0, condition.jitter_us)
        return delay_us

    @property
    def carries_work(self) -> bool:
        """Whether a task is on its way to the server."""
        return any(cable.carries_work for cable in self._cables.values())

    def _is_meant(self, route: Route) -> bool:
        return any(route.leads_to(server) for server in self._servers)

    def _conditions(self, process: Process) -> list[Condition]:
        return [condition for route, condition in self._ailing if _concerns(route, process)]

    def _draws(self, process: Process) -> Draws:
        draws = self._drawers.get(process.name)
        if draws is None:
            draws = self._drawers[process.name] = self.kernel.chance.draws("link", process.name, self._servers[0])
        return draws

    def _cable(self, end: End) -> Cable:
        cable = self._cables.get(end)
        if cable is None:
            cable = self._cables[end] = Cable(self, end)
            end.lengthen(cable)
        return cable

    def _look_again(self) -> None:
        for end in list(self._ends):
            if end not in self._cables and not self.is_clear(end.process):
                self._cable(end)
        for cable in list(self._cables.values()):
            cable.look_again()
        self._waiting.wake_all()
        watchers = list(self._watchers)
        self._watchers.clear()
        for callback in watchers:
            callback()


def _concerns(route: Route, process: Process) -> bool:
    host = process if process.parent is None else process.parent
    return route.process is None or route.process in (host.name, process.name)
