"""How a prefork pool ends: what its children hold is read and acknowledged, then they go.

The main name is :class:`Shutdown`.  It follows ``TaskPool.on_stop`` (celery/concurrency/prefork.py),
``ResultHandler.on_stop_not_started`` (celery/concurrency/asynpool.py) and ``Pool.join``
(billiard/pool.py), whose half seconds make the end of an idle worker take 1.5 s; so does that of a real
one (tests/simulation/test_workers_shutdown.py has the measurements).
"""

from __future__ import annotations

import threading
from typing import Any, Final, Protocol

from celery.concurrency import prefork

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.loop import Loop
from tqsim.worker.children import Child
from tqsim.worker.jobs import Job
from tqsim.worker.roster import Roster

__all__ = ["EndingPool", "Shutdown"]

#: How often a silent pipe is read, and timers and acknowledgements are looked after.
_INTERVAL_US: Final = 500_000
#: How long ``TaskPool.on_stop`` waits for its thread.
_THREAD_END_US: Final = 1_000_000


class EndingPool(Protocol):
    """What the shutdown needs of the pool: everything happens in the worker's main process."""

    cache: dict[int, Job]
    children: Roster
    hub: Any

    def act(self) -> None:
        """Do what time limits and revokes have ordered."""

    def read_report(self, child: Child) -> bool:
        """Act on the next report of a child; ``False`` when there is none."""

    def join_exited(self) -> list[Child]:
        """Settle the jobs of children that have ended."""


class Shutdown:
    """The end of one pool; :meth:`run` blocks until it is over."""

    def __init__(self, loop: Loop, pool: EndingPool) -> None:
        self._loop = loop
        self._pool = pool
        self._joined_us: int | None = None

    def run(self, *, is_warm: bool) -> None:
        """Wait for the children; a warm shutdown fires timers and acknowledges meanwhile, in a thread."""
        if not is_warm:
            self._join()
            self._send_acks()
            return
        self._pool.act()
        timers = threading.Thread(target=self._fire_timers, daemon=True, name="prefork-timer-shutdown")
        timers.start()
        # A child that a cold shutdown has told to end does so before the worker gets here.
        self._loop.sleep(0)
        try:
            for child in self._pool.children:
                child.dismiss()
            self._join()
        finally:
            self._joined_us = self._loop.now_us
            due_us = self._joined_us + _THREAD_END_US
            while timers.is_alive() and self._loop.now_us < due_us:
                timers.join((due_us - self._loop.now_us) / MICROSECONDS_PER_SECOND)
        self._send_acks()

    def _join(self) -> None:
        """Read what the children still report while there are jobs, then wait until they have ended.

        Once no job is left nobody reads any more, so that a leaving child is not cut short but takes
        its second.
        """
        pool = self._pool
        watched = list(pool.children)
        while pool.cache and watched and len(pool.children):
            pool.act()
            for child in list(watched):
                if child not in pool.children:
                    watched.remove(child)
                    continue
                if not pool.read_report(child):
                    self._pause()
                pool.join_exited()
        for child in pool.children:
            child.wait_for_end()

    def _fire_timers(self) -> None:
        # What ends at the very instant of a turn ends after it: the thread was there first.
        while self._joined_us is None or self._joined_us == self._loop.now_us:
            self._pool.hub.fire_timers()
            self._pool.act()
            self._send_acks()
            self._pause()

    def _pause(self) -> None:
        # In a signal handler the worker's event loop can be woken too, which would cut a sleep short.
        due_us = self._loop.now_us + _INTERVAL_US
        while self._loop.now_us < due_us:
            self._loop.sleep(due_us - self._loop.now_us)

    def _send_acks(self) -> None:
        # Celery 5.7; before it, they go out when the hub closes.
        run_ready_callbacks = getattr(prefork, "_run_ready_callbacks", None)
        if run_ready_callbacks is not None:
            run_ready_callbacks(self._pool.hub)
