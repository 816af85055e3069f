"""Locks whose waiting is virtual, for whatever is created while a simulation is open.

The main names are :class:`VirtualLock` and :class:`VirtualRLock`.  ``threading.Condition``,
``Event``, ``Semaphore``, ``Barrier`` and ``queue.Queue`` are Python code over these two, so they
wait in virtual time without further ado.  After the simulation, and in foreign threads, a
virtual lock still excludes: whoever finds it taken then polls in real time.
"""

from __future__ import annotations

import _thread
import time
from collections import deque
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.fibers import Fiber
from tqsim.kernel.loop import TIMED_OUT, Loop

__all__ = ["VirtualLock", "VirtualRLock", "WaitQueue"]

_FOREVER: Final = -1
_POLL_S: Final = 0.001
_REAL_SLEEP: Final = time.sleep
_REAL_MONOTONIC: Final = time.monotonic


class WaitQueue:
    """Fibers that wait for one thing, in the order in which they came."""

    __slots__ = ("_fibers", "_loop")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._fibers: deque[Fiber] = deque()

    def wait(self, reason: str, timeout_us: int | None = None) -> Any:
        """Park the running fiber here; return the waker's value or ``TIMED_OUT``."""
        fiber = self._loop.require_current()
        self._fibers.append(fiber)
        try:
            return self._loop.park(reason, timeout_us)
        finally:
            self.discard(fiber)

    def discard(self, fiber: Fiber) -> None:
        """Forget a fiber that does not wait any more, if it is here."""
        if fiber in self._fibers:
            self._fibers.remove(fiber)

    def wake_one(self, value: object = True) -> Fiber | None:
        """Wake the fiber that has waited longest and return it; ``None`` when nobody waits."""
        while self._fibers:
            fiber = self._fibers.popleft()
            if self._loop.wake(fiber, value):
                return fiber
        return None

    def wake_all(self, value: object = True) -> None:
        """Wake everybody."""
        while self.wake_one(value):
            pass

    def __len__(self) -> int:
        return len(self._fibers)


class VirtualLock:
    """A ``threading.Lock`` between fibers.

    An unlocked lock costs no switch.  ``release`` hands the lock to the fiber that waited
    longest (its *heir*), so nobody starves; an heir that is killed or interrupted before it runs
    again passes the lock on.
    """

    __slots__ = ("__weakref__", "_heir", "_locked", "_loop", "_waiting")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._locked = False
        self._heir: Fiber | None = None
        self._waiting: WaitQueue | None = None

    def acquire(self, blocking: bool = True, timeout: float = _FOREVER) -> bool:
        """As ``threading.Lock.acquire``; ``timeout`` counts virtual seconds."""
        if not blocking and timeout != _FOREVER:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != _FOREVER:
            raise ValueError("timeout value must be a non-negative number")
        if not self._locked or self._has_dead_heir():
            self._locked = True
            self._heir = None
            return True
        if not blocking:
            return False
        loop = self._loop
        if loop.is_closed or not loop.in_loop_thread():
            return self._poll(timeout)
        return self._wait(loop, None if timeout < 0 else round(timeout * MICROSECONDS_PER_SECOND))

    def _has_dead_heir(self) -> bool:
        heir = self._heir
        return heir is not None and (heir.is_done or not heir.process.is_alive)

    def _wait(self, loop: Loop, timeout_us: int | None) -> bool:
        if self._waiting is None:
            self._waiting = WaitQueue(loop)
        fiber = loop.require_current()
        try:
            is_ours = self._waiting.wait("a lock", timeout_us) is not TIMED_OUT
        except BaseException:
            if self._heir is fiber:
                self.release()
            raise
        if is_ours:
            self._heir = None
        return is_ours

    def _poll(self, timeout: float) -> bool:
        """Wait in real time: a foreign thread, or anybody after the end of the simulation."""
        deadline = None if timeout < 0 else _REAL_MONOTONIC() + timeout
        while self._locked:
            if deadline is not None and _REAL_MONOTONIC() >= deadline:
                return False
            _REAL_SLEEP(_POLL_S)
        self._locked = True
        return True

    def release(self) -> None:
        """As ``threading.Lock.release``."""
        if not self._locked:
            raise RuntimeError("release unlocked lock")
        self._heir = None if self._waiting is None else self._waiting.wake_one()
        self._locked = self._heir is not None  # handed over: it stays locked

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self._locked

    def _at_fork_reinit(self) -> None:
        self._locked = False
        self._heir = None
        self._waiting = None

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{'locked' if self._locked else 'unlocked'} simulated lock>"


class VirtualRLock:
    """A ``threading.RLock`` that belongs to a fiber instead of a thread."""

    __slots__ = ("__weakref__", "_count", "_lock", "_loop", "_owner")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lock = VirtualLock(loop)
        self._owner: object = None
        self._count = 0

    def _me(self) -> object:
        loop = self._loop
        if loop.is_closed or loop.current is None or not loop.in_loop_thread():
            return _thread.get_ident()
        return loop.current

    def acquire(self, blocking: bool = True, timeout: float = _FOREVER) -> bool:
        """As ``threading.RLock.acquire``; ``timeout`` counts virtual seconds."""
        me = self._me()
        if self._owner is me or self._owner == me:
            self._count += 1
            return True
        if not self._lock.acquire(blocking, timeout):
            return False
        self._owner = me
        self._count = 1
        return True

    def release(self) -> None:
        """As ``threading.RLock.release``."""
        if self._owner is None or self._owner != self._me():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None
            self._lock.release()

    def _is_owned(self) -> bool:
        return self._owner is not None and self._owner == self._me()

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _release_save(self) -> tuple[int, object]:
        state = self._count, self._owner
        self._count = 0
        self._owner = None
        self._lock.release()
        return state

    def _acquire_restore(self, state: tuple[int, object]) -> None:
        self._lock.acquire()
        self._count, self._owner = state

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()
        self._owner = None
        self._count = 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<simulated RLock owner={self._owner!r} count={self._count}>"
