"""The loop: runs fibers on virtual time, one at a time, and decides nothing else.

The main name is :class:`Loop`.  A fiber that blocks *parks*: it leaves a reason, perhaps a
timeout, and switches to the loop's own greenlet, which runs other ready fibers and, when there
are none, lets time jump to the next timer.  The greenlet that opened the simulation is a fiber
too: while it waits, everybody else runs.

Left out: what a process is, what locks and sockets are, and what time it is outside.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from typing import Any, NoReturn

import greenlet

from tqsim import durations
from tqsim.errors import ClosedError, InternalError, NoProgress
from tqsim.kernel.agenda import Agenda, Timer
from tqsim.kernel.chance import Draws
from tqsim.kernel.ending import end_fibers, refuse_to_wait
from tqsim.kernel.fibers import TIMED_OUT, Fiber, FiberExit
from tqsim.kernel.policy import SchedulingPolicy
from tqsim.kernel.processes import Process

__all__ = ["TIMED_OUT", "Loop"]


class Loop:
    """Runs the fibers of one simulation.

    ``still_events_max`` bounds how many things may happen without time moving (a livelock);
    the error names the fiber that ran last.
    """

    def __init__(self, policy: SchedulingPolicy, main: Process, draws: Draws, still_events_max: int) -> None:
        self.agenda = Agenda()
        self.policy = policy
        self.os_thread = _thread.get_ident()
        self.switches = 0
        self.is_closed = False
        self.is_closing = False
        self.loaded = main
        self.on_fiber_error: Callable[[Fiber], None] = _ignore
        self.on_quiet: Callable[[], None] | None = None
        self._still_events = 0
        self._still_events_max = still_events_max
        self._stepping = False
        self._enough: Callable[[], bool] | None = None
        #: Called in the loop's greenlet every so many switches.
        self.housekeep: Callable[[], None] = _nothing
        self.housekeep_at = 0
        #: What the stall watchdog found or a real signal raised, until whoever runs the simulation is told.
        self.verdict: BaseException | None = None
        #: The line that ends every verdict of no progress.
        self.reproduction = ""
        self.main = Fiber("main", main, draws)
        self.main.greenlet = greenlet.getcurrent()
        main.fibers.append(self.main)
        self.current: Fiber | None = self.main
        self._hub = greenlet.greenlet(self._drive, parent=self.main.greenlet)

    @property
    def now_us(self) -> int:
        """Virtual microseconds since the start."""
        return self.agenda.now_us

    def in_loop_thread(self) -> bool:
        """Whether the caller runs in the operating-system thread of this simulation."""
        return _thread.get_ident() == self.os_thread

    # -- fibers -------------------------------------------------------------------------------

    def spawn(self, body: Callable[[], object], name: str, process: Process, draws: Draws | None = None) -> Fiber:
        """Start ``body()`` as a fiber of ``process``; it becomes ready at once."""
        if self.is_closed:
            raise ClosedError(f"The simulation has ended; {name!r} cannot start in it.")
        fiber = Fiber(name, process, draws or process.draws, self.agenda.now_us)
        fiber.greenlet = greenlet.greenlet(lambda: self._run_body(fiber, body), parent=self._hub)
        process.fibers.append(fiber)
        self._make_ready(fiber)
        return fiber

    def _run_body(self, fiber: Fiber, body: Callable[[], object]) -> None:
        try:
            _raise_thrown(fiber)
            body()
        except FiberExit:
            pass
        except BaseException as error:  # noqa: BLE001 - whoever looks after the fiber is told
            fiber.error = error
        finally:
            fiber.is_done = True
            fiber.parked_reason = None
            if fiber in fiber.process.fibers:
                fiber.process.fibers.remove(fiber)
            for waiter in fiber.waiters:
                self.wake(waiter, None)
            fiber.waiters.clear()
        if fiber.error is not None and not self.is_closing:
            if isinstance(fiber.error, KeyboardInterrupt):
                raise fiber.error  # for whoever sits at the terminal, or from the stall watchdog
            self.on_fiber_error(fiber)

    def join(self, fiber: Fiber, timeout_us: int | None = None) -> bool:
        """Wait until ``fiber`` has ended; ``False`` when the timeout passed first."""
        if not fiber.is_done:
            current = self.require_current()
            fiber.waiters.append(current)
            try:
                self.park(f"the end of {fiber.name}", timeout_us)
            finally:
                if current in fiber.waiters:
                    fiber.waiters.remove(current)
        return fiber.is_done

    # -- parking ------------------------------------------------------------------------------

    def require_current(self) -> Fiber:
        """Return the running fiber.

        Raises :class:`~tqsim.ClosedError` after the end and :class:`~tqsim.InternalError` in
        the loop's own greenlet, where nothing may block.
        """
        if self.is_closing:
            if self.is_closed:
                raise ClosedError("The simulation has ended; nothing can wait in it any more.")
            refuse_to_wait(None if self.current is self.main else self.current)
        if self.current is not None:
            return self.current
        raise InternalError("Something tried to block inside the loop itself.")

    def park(self, reason: str | Callable[[], str], timeout_us: int | None = None) -> Any:
        """Block the running fiber until it is woken; return the waker's value or ``TIMED_OUT``.

        Signal handlers run in between; what they raise is raised here, as by a system call.
        """
        fiber = self.require_current()
        fiber.reads = 0
        deadline_us = None if timeout_us is None else self.agenda.now_us + timeout_us
        while True:
            if fiber.interrupts:
                self._run_interrupts(fiber)
            fiber.is_woken = False
            fiber.parked_reason = reason
            if deadline_us is not None:
                fiber.timer = self.agenda.call_at(deadline_us, lambda: self._time_out(fiber))
            self.switches += 1
            self._hub.switch()
            if fiber.timer is not None:
                fiber.timer.cancel()
                fiber.timer = None
            _raise_thrown(fiber)
            if fiber.is_woken:
                value, fiber.wake_value = fiber.wake_value, None
                if fiber.interrupts:
                    self._run_interrupts(fiber)
                return value
            if self.is_closing:
                raise FiberExit

    def interrupt(self, fiber: Fiber, handler: Callable[[], None]) -> None:
        """Run ``handler()`` in ``fiber`` as soon as it runs again; a waiting fiber runs at once."""
        if fiber.is_done or not fiber.process.is_alive:
            return
        if fiber is self.current:
            handler()
            return
        fiber.interrupts.append(handler)
        if fiber.parked_reason is not None and not fiber.is_ready:
            self._make_ready(fiber)

    def _run_interrupts(self, fiber: Fiber) -> None:
        while fiber.interrupts:
            fiber.interrupts.pop(0)()

    def sleep(self, delay_us: int) -> None:
        """Block the running fiber for ``delay_us``; 0 lets the other ready fibers run."""
        fiber = self.require_current()
        if delay_us <= 0:
            fiber.parked_reason = "its turn"
            fiber.is_woken = True
            fiber.reads = 0
            self._make_ready(fiber)
            self.switches += 1
            self._hub.switch()
            _raise_thrown(fiber)
            if fiber.interrupts:
                self._run_interrupts(fiber)
            return
        due_us = self.agenda.now_us + delay_us
        self.park(lambda: f"its sleep until {durations.text(due_us)}", delay_us)

    def wake(self, fiber: Fiber, value: object = None) -> bool:
        """Make a parked fiber ready; ``False`` when it is not parked (any more)."""
        if fiber.parked_reason is None or fiber.is_woken or fiber.is_done or not fiber.process.is_alive:
            return False
        fiber.wake_value = value
        fiber.is_woken = True
        if not fiber.is_ready:
            self._make_ready(fiber)
        return True

    def throw(self, fiber: Fiber, error: BaseException) -> bool:
        """Raise ``error`` in a fiber where it waits; ``False`` when the fiber is not waiting."""
        if fiber is self.current:
            raise error
        if fiber.is_done or not fiber.process.is_alive:
            return False
        fiber.throwing = error
        if not fiber.is_ready:
            self._make_ready(fiber)
        return True

    def call_later(self, delay_us: int, action: Callable[[], None]) -> Timer:
        """Call ``action()`` in the loop's greenlet after ``delay_us``; it must not block."""
        return self.agenda.call_at(self.agenda.now_us + delay_us, action)

    def _time_out(self, fiber: Fiber) -> None:
        fiber.timer = None
        self.wake(fiber, TIMED_OUT)

    def _make_ready(self, fiber: Fiber) -> None:
        fiber.is_ready = True
        if fiber is not self.main:
            delay_us = self.policy.hold_back_us()
            if delay_us:
                self.call_later(delay_us, lambda: self.policy.add(fiber))
                return
        self.policy.add(fiber)

    # -- running ------------------------------------------------------------------------------

    def pass_one_event(self) -> None:
        """Let exactly one thing happen: one fiber runs until it parks, or one timer fires.

        Only for the fiber that opened the simulation.
        """
        main = self.main
        main.parked_reason = "the next event"
        main.is_woken = True
        self._stepping = True
        self.switches += 1
        self._hub.switch()
        _raise_thrown(main)

    def park_until_quiet(self, is_enough: Callable[[], bool], until_us: int) -> bool:
        """Block until nothing is ready and ``is_enough()``; ``False`` when ``until_us`` came first.

        Only for the fiber that opened the simulation; ``is_enough`` must not block.
        """
        self._enough = is_enough
        try:
            return self.park("the simulation to be idle", max(0, until_us - self.now_us)) is not TIMED_OUT
        finally:
            self._enough = None

    def _drive(self) -> None:
        """The loop's own greenlet; left only by switching to a fiber."""
        while True:
            try:
                self._drive_until_failure()
            except BaseException as error:  # noqa: BLE001 - whoever runs the simulation is told
                if self.is_closing:
                    return
                self._fail(error)

    def _drive_until_failure(self) -> None:
        policy, agenda = self.policy, self.agenda
        self.current = None
        while True:
            if self._stepping:
                self._stepping = False
                self._happen(policy, agenda)
                self._resume(self.main)
            else:
                self._happen(policy, agenda)

    def _happen(self, policy: SchedulingPolicy, agenda: Agenda) -> None:
        if self.switches >= self.housekeep_at:
            if self.verdict is not None:
                raise self.verdict
            self.housekeep()
        if policy.ready:
            fiber = policy.pick()
            if fiber.process.is_alive and not fiber.is_done:
                self._resume(fiber)
            self._still_events += 1
            if self._still_events > self._still_events_max:
                self._fail_livelocked(fiber)
            return
        if self.on_quiet is not None:
            self.on_quiet()
            if policy.ready:
                return  # somebody was woken, for whom time must not move
        due_us = agenda.next_due_us()
        is_over = due_us is None or due_us > agenda.now_us  # nothing more is due at this instant
        if is_over and self._enough is not None and self._enough():
            self._enough = None
            self.wake(self.main, True)
            return
        if due_us is None:
            raise self.no_progress(self._nothing_left())
        if due_us > agenda.now_us:
            self._still_events = 0
        agenda.step()

    def _fail_livelocked(self, fiber: Fiber) -> NoReturn:
        self._still_events = 0
        raise self.no_progress(
            f"Livelock at {durations.text(self.now_us)}: {self._still_events_max:,} events happened "
            f"without time moving. Last to run: {fiber.name} of {fiber.process.name}, waiting for "
            f"{fiber.doing}. A task that publishes itself without a countdown does this; give it "
            "a cost (sim.cost) or raise still_events_max."
        )

    def _resume(self, fiber: Fiber) -> None:
        """Run ``fiber`` until it parks or ends; called in the loop's greenlet."""
        fiber.is_ready = False
        fiber.parked_reason = None
        self._enter(fiber)
        fiber.greenlet.switch()
        self.current = None

    def _enter(self, fiber: Fiber) -> None:
        """Make ``fiber`` the running one, with the state of its process and its own thread-locals."""
        process = fiber.process
        if process is not self.loaded:
            self.loaded.unload()
            process.load()
            self.loaded = process
        self.current = fiber
        self.exchange_thread_state(fiber)

    def exchange_thread_state(self, fiber: Fiber) -> None:
        """Give the fiber its own thread-local values; set by the kernel when it opens."""

    def vanish(self) -> None:
        """Leave the running fiber, whose process is dead, where it stands for ever."""
        self.switches += 1
        self._hub.switch()
        raise FiberExit  # only reached when the simulation closes

    def close(self, processes: list[Process]) -> None:
        """End every leftover fiber of ``processes`` with ``FiberExit``, and time itself.

        What their ``finally`` blocks still do is after the end: everything that would block
        raises at once.
        """
        self.is_closing = True
        self.agenda.clear()
        for process in processes:
            end_fibers([fiber for fiber in process.fibers if fiber is not self.main], self._enter)
            process.fibers.clear()
        self._enter(self.main)
        self._hub.throw(FiberExit)
        self.is_closed = True
        # Locks that were made meanwhile may live on in modules, and they know the loop: it must know nothing.
        self.on_fiber_error, self.on_quiet, self.housekeep = _ignore, None, _nothing
        self.exchange_thread_state = _ignore  # type: ignore[method-assign]

    def _fail(self, error: BaseException) -> None:
        if self.verdict is not None and isinstance(error, KeyboardInterrupt):
            error = self.verdict
        self.verdict = None
        self.main.throwing = error
        self.main.is_ready = False
        self._stepping = False
        self._resume(self.main)

    def no_progress(self, text: str) -> NoProgress:
        """Return the verdict ``text``, ended by the line that reproduces it."""
        return NoProgress(f"{text}\n{self.reproduction}" if self.reproduction else text)

    def _nothing_left(self) -> str:
        return (
            f"Nothing is left to happen at {durations.text(self.now_us)}, and {self.main.name} waits "
            f"for {self.main.doing}. Is a worker running that consumes the queue?"
        )


def _raise_thrown(fiber: Fiber) -> None:
    if fiber.throwing is not None:
        error, fiber.throwing = fiber.throwing, None
        raise error


def _nothing() -> None:
    """The default housekeeping."""


def _ignore(fiber: Fiber) -> None:
    """The default for a fiber that ended with an error: nobody asked."""
