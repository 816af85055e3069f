"""The kernel of one simulation: loop, clock, chance, processes, and what they patch.

The main name is :class:`Kernel`; :class:`KernelOptions` are its settings.  It knows Python and the
operating system, and neither brokers nor Celery.
"""

from __future__ import annotations

import _thread
import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import greenlet

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.errors import UsageError
from tqsim.kernel import sleeping
from tqsim.kernel.captured_clocks import CapturedClocks
from tqsim.kernel.chance import Chance
from tqsim.kernel.clock import Clock
from tqsim.kernel.eventloops import EventLoops
from tqsim.kernel.garbage import Garbage
from tqsim.kernel.identities import Identities
from tqsim.kernel.interrupts import Interrupts
from tqsim.kernel.locals import ThreadLocals
from tqsim.kernel.loop import Loop
from tqsim.kernel.module_locks import ModuleLocks
from tqsim.kernel.network import Network
from tqsim.kernel.orders import Orders
from tqsim.kernel.patches import Patches
from tqsim.kernel.policy import parse_policy
from tqsim.kernel.pollers import Pollers
from tqsim.kernel.processes import Cell, Process, SpaceMap
from tqsim.kernel.processor_time import ProcessorTime
from tqsim.kernel.randomness import Randomness
from tqsim.kernel.readiness import Readiness
from tqsim.kernel.sqlite import Sqlite
from tqsim.kernel.system import System, first_pid
from tqsim.kernel.temporary_names import TemporaryNames
from tqsim.kernel.threads import Threading
from tqsim.kernel.time_functions import TimeFunctions
from tqsim.kernel.watchdog import Watchdog
from tqsim.kernel.wires import Wires

__all__ = ["Kernel", "KernelOptions"]

_MAIN_NAME: Final = "test"
#: Dead processes are looked for when there are so many more than were alive last time.
_FORGET_MIN: Final = 256
_OPEN_MARK: Final = "_tqsim_open_kernel"
_OPENING: Final = _thread.allocate_lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelOptions:
    """Settings of a kernel.

    ``preemption_us`` is the longest delay of a scheduling point under ``random`` and ``pct``;
    ``stall_s`` real seconds without a switch end the run (0: never); ``still_events_max`` bounds
    what may happen without time moving.
    """

    seed: int
    policy: str
    start: datetime.datetime
    time_zone: str
    preemption_us: int
    still_events_max: int
    stall_s: float
    allow_network: Sequence[str]


class Kernel:
    """Virtual time, chance and processes; a context manager that leaves nothing behind."""

    def __init__(self, options: KernelOptions) -> None:
        self.options = options
        self.chance = Chance(options.seed)
        self.patches = Patches()
        self.spaces = SpaceMap()
        self.processes: list[Process] = []
        self._forget_at = _FORGET_MIN
        self._names: Counter[str] = Counter()
        self.main = Process(_MAIN_NAME, first_pid() + 1, self.chance.draws(_MAIN_NAME))
        policy = parse_policy(options.policy, self.chance.stream("schedule"), options.preemption_us)
        self.loop = Loop(policy, self.main, self.main.draws, options.still_events_max)
        self.clock = Clock(self.loop, options.start, options.time_zone)
        self.system = System(self.loop, self.end_process)
        self.system.new_pid()
        self._processor_time = ProcessorTime(self.loop, self.clock.read_us, self.system.thread)
        self._time_functions = TimeFunctions(self.clock, self.loop, self._processor_time)
        self.random = Randomness(self.loop, lambda: self.clock.epoch_us)
        self.sqlite = Sqlite(self.loop, self.clock.now)
        #: What the running code is working on, in words for an error.
        self.describe_task: Callable[[], str] = self._describe_process
        self.network = Network(self.loop, options.allow_network, lambda: self.describe_task())  # noqa: PLW0108 - set later
        self.on_process_end: list[Callable[[Process], None]] = []
        self.wires = Wires(self.loop)
        self._readiness = Readiness(self.loop, self.network.is_awaited)
        self._pollers = Pollers(self.loop, self._readiness, self.wires, self.clock.read_us)
        self._event_loops = EventLoops(self.loop, self._pollers, self.wires)
        self.system.on_handled_signal = self._event_loops.wake_for_signal
        self._orders = Orders(self.loop)
        self._garbage = Garbage(self.loop)
        self._watchdog = Watchdog(self.loop, options.stall_s)
        self._threading = Threading(self.loop)
        self._identities = Identities(self.loop)
        self._is_open = False
        self._asking: Process | None = None
        #: Called whenever nothing is ready any more and time is about to move.
        self.before_time_moves: list[Callable[[], None]] = []
        self.extra_replacements: Callable[[], dict[Any, Any]] = dict

    # -- opening and closing ------------------------------------------------------------------

    def open(self, extra_functions: Iterable[Any] = ()) -> Self:
        """Patch the interpreter; ``extra_functions`` may hold captured defaults, such as tasks.

        Raises :class:`~tqsim.UsageError` when a simulation is open already.
        """
        with _OPENING:  # threads may race
            if getattr(greenlet, _OPEN_MARK, None) is not None:
                raise UsageError(
                    "A simulation is open already; two cannot share one interpreter's clock. Leave the first "
                    "with-block before opening the next, or give the first one another worker: "
                    "sim.worker(..., app=other_app)."
                )
            self.patches.set(greenlet, _OPEN_MARK, self)
        self._watchdog.start()
        try:
            self._install(list(extra_functions))
        except BaseException:
            self._leave()
            raise
        self._is_open = True
        return self

    def _install(self, extra_functions: list[Any]) -> None:
        patches = self.patches
        self.spaces.enter(self.main)
        self._identities.install(patches)
        self._remember(self.main)
        self.loop.exchange_thread_state = ThreadLocals(self.loop.main).switch_to  # type: ignore[method-assign]
        replacements = {**self.clock.replacements(), **self.extra_replacements()}
        for part in (
            *(self._time_functions, self._processor_time, self._threading, self._identities),
            *(self.random, self.system, self.sqlite, sleeping.Sleeping(self.loop)),
            *(self._pollers, self._orders, self.network.hosts),
        ):
            replacements.update(part.replacements())
        self.clock.install(patches, replacements)
        CapturedClocks(replacements).install(patches)
        patches.replace_everywhere(replacements, extra_functions)
        self._threading.install(patches)
        self._orders.install(patches)
        self._pollers.install(patches)
        patches.on_undo(self._readiness.close)
        self._event_loops.install(patches)
        self._replacements = replacements
        self._module_locks = ModuleLocks(patches, self.loop, replacements)
        self._module_locks.replace(extra_functions)
        self.random.install(patches, self.options.seed)
        TemporaryNames(self.random.draws).install(patches)
        self.system.install(patches)
        Interrupts(self.loop).install(patches)
        self.network.install(patches)
        self.sqlite.install(patches)
        self._garbage.install(patches)
        self.loop.on_quiet = self._on_quiet

    def take_in(self, functions: list[Any]) -> None:
        """Treat functions that were found after opening, and their modules, as those of before."""
        self.patches.replace_in(functions, self._replacements)
        self._module_locks.replace(functions)

    def _on_quiet(self) -> None:
        for action in self.before_time_moves:
            action()
        if self._readiness.watched:
            self._readiness.look()

    def close(self) -> None:
        """End every fiber and put the interpreter back; a second call does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._event_loops.hang_up()
            self.loop.close(self.processes)
        finally:
            self._leave()

    def _leave(self) -> None:
        self.loop.is_closed = True
        self.patches.undo()
        self._watchdog.stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- processes ----------------------------------------------------------------------------

    def new_process(self, name: str, parent: Process | None = None) -> Process:
        """Return a new simulated process; it lives until it is ended.

        One that takes the name of an earlier one, after a restart, has chances of its own: the
        ids that it draws must not be those of its predecessor.
        """
        again = self._names[name]
        self._names[name] += 1
        draws = self.chance.draws(name, again) if again else self.chance.draws(name)
        process = Process(name, self.system.new_pid(), draws, parent, self.loop.now_us)
        self.spaces.enter(process)
        self._remember(process)
        if len(self.processes) > self._forget_at:
            self._forget_the_dead()
        return process

    def _forget_the_dead(self) -> None:
        """Drop processes that have ended and have no fiber left to end at the close."""
        self.processes[:] = [item for item in self.processes if item.is_alive or item.fibers]
        self.spaces.processes[:] = self.processes
        self._forget_at = 2 * len(self.processes) + _FORGET_MIN

    def _remember(self, process: Process) -> None:
        self.processes.append(process)
        self.system.add(process)
        self._identities.enter(process)

    def end_process(self, process: Process, exit_code: int) -> None:
        """End a process at once, as SIGKILL does; its children end too (PR_SET_PDEATHSIG)."""
        if not process.die(exit_code):
            return
        self.sqlite.abandon(process)
        self._readiness.abandon(process)
        self._event_loops.hang_up(process)
        self._identities.leave(process)
        for child in [item for item in self.processes if item.parent is process]:
            self.end_process(child, exit_code)
        for callback in self.on_process_end:
            callback(process)

    def make_local(self, cells: Sequence[Cell]) -> None:
        """Make places process-local, from now on."""
        self.spaces.add(cells, self.loop.loaded)

    # -- running ------------------------------------------------------------------------------

    def _describe_process(self) -> str:
        fiber = self.loop.current
        return "" if fiber is None or fiber is self.loop.main else f" in {fiber.process.name}"

    @contextmanager
    def in_the_name_of(self, process: Process) -> Iterator[None]:
        """What happens in the block is what ``process`` has asked for before."""
        before, self._asking = self._asking, process
        try:
            yield
        finally:
            self._asking = before

    @property
    def speaker(self) -> Process:
        """The process that asks for what happens now."""
        return self._asking or self.loop.loaded

    def speaks_test(self) -> bool:
        """Whether the test itself asks for what happens now."""
        return self.is_test() if self._asking is None else self._asking is self.main

    def is_test(self) -> bool:
        """Whether the fiber that opened the simulation is running: the test itself."""
        return self.loop.current is self.loop.main

    def run_until(self, due_us: int) -> None:
        """Let everything happen that is due up to ``due_us``, then stand at that moment."""
        if due_us > self.loop.now_us:
            self.loop.sleep(due_us - self.loop.now_us)
        # What is due at the same instant happens too, whoever asked for it first.
        self.loop.park_until_quiet(lambda: True, due_us + 1)

    def run_until_quiet(self, is_enough: Callable[[], bool], until_us: int) -> bool:
        """Run until nothing is ready and ``is_enough()``; ``False`` when ``until_us`` came first.

        ``is_enough`` is called often and in the loop itself, so it must be cheap and never block.
        """
        return self.loop.park_until_quiet(is_enough, until_us)

    def run_while(self, is_wanted: Callable[[], bool], until_us: int) -> bool:
        """Let one event after another happen while ``is_wanted()``; ``False`` at the limit."""
        while is_wanted():
            if not self.loop.policy.ready:
                self._on_quiet()  # what it wakes goes on now, whenever the next timer is due
            due_us = self.loop.agenda.next_due_us()
            if not self.loop.policy.ready and (due_us is None or due_us > until_us):
                return False
            self.loop.pass_one_event()
        return True

    @property
    def now_s(self) -> float:
        """Virtual seconds since the start."""
        return self.loop.now_us / MICROSECONDS_PER_SECOND
