"""Letting virtual time pass, on request of the test: for a while, until something holds, until idle.

The main name is :class:`Running`.  What counts as idle is :mod:`tqsim.simulation.idleness`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from functools import partial

from tqsim import durations
from tqsim.durations import Duration
from tqsim.errors import UsageError
from tqsim.kernel import Kernel
from tqsim.simulation.idleness import Idleness

__all__ = ["Running"]


class Running:
    """Runs one simulation; :class:`tqsim.Simulation` says what its methods promise."""

    def __init__(self, kernel: Kernel, idleness: Idleness) -> None:
        self._kernel = kernel
        self._idleness = idleness

    def run(
        self,
        *,
        for_: Duration | None,
        until: datetime.datetime | Callable[[], object] | None,
        limit: Duration,
    ) -> None:
        """See :meth:`tqsim.Simulation.run`."""
        __tracebackhide__ = True  # pytest then shows the line that let time pass
        self.require_test_fiber("run")
        if (for_ is None) == (until is None):
            raise UsageError('run() takes for_="10m" or until=<datetime or predicate>, and only one of them.')
        if for_ is not None:
            self._kernel.run_until(self._kernel.loop.now_us + durations.microseconds(for_, "for_"))
        elif callable(until):
            self._run_until_true(until, durations.microseconds(limit, "limit"))
        elif isinstance(until, datetime.datetime):
            self._run_until_moment(until)
        else:
            raise UsageError(f"run(until={until!r}): expected a datetime or a function without arguments.")

    def run_until_idle(self, *, limit: Duration, ignore_queues: Sequence[str]) -> None:
        """See :meth:`tqsim.Simulation.run_until_idle`."""
        __tracebackhide__ = True
        self.require_test_fiber("run_until_idle")
        limit_us = durations.microseconds(limit, "limit")
        ignored = _queue_names(ignore_queues)
        is_idle = partial(self._idleness.is_idle, ignored)
        if not self._kernel.run_until_quiet(is_idle, self._kernel.loop.now_us + limit_us):
            raise self._kernel.loop.no_progress(
                f"Not idle after {durations.text(limit_us)} of virtual time. Still there: "
                f"{self._idleness.describe(ignored)}.{self._idleness.advice(ignored)}"
            )

    def require_test_fiber(self, what: str) -> None:
        """Raise :class:`~tqsim.UsageError` for a call that only the test itself may make."""
        if not self._kernel.is_test():
            raise UsageError(f"sim.{what}() was called inside the simulation; only the test itself may run it.")

    def _run_until_moment(self, moment: datetime.datetime) -> None:
        clock = self._kernel.clock
        now = clock.now()
        # A naive moment is read as ``datetime.now()`` gives it in the simulated processes.
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=clock.zone)
        delta_us = (aware - now) // datetime.timedelta(microseconds=1)
        if delta_us < 0:
            here = now.astimezone(clock.zone).isoformat()
            raise UsageError(f"run(until={moment!r}) is in the past; it is {here} now.")
        self._kernel.run_until(self._kernel.loop.now_us + delta_us)

    def _run_until_true(self, predicate: Callable[[], object], limit_us: int) -> None:
        __tracebackhide__ = True
        until_us = self._kernel.loop.now_us + limit_us
        if not self._kernel.run_while(lambda: not predicate(), until_us):
            name = getattr(predicate, "__name__", repr(predicate))
            raise self._kernel.loop.no_progress(
                f"run(until={name}): not true within {durations.text(limit_us)} of virtual time, and nothing "
                f"more happens before. Still there: {self._idleness.describe()}."
            )


def _queue_names(given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise UsageError(f'ignore_queues={given!r}: expected names of queues in a list, such as ["commands.dead"].')
    return tuple(dict.fromkeys(given))
