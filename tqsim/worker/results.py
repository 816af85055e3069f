"""Result backends in a simulation: which run, and how waiting for a result passes virtual time.

The main names are :func:`require_supported` and :func:`install`.  Backends run as they are; the
in-memory cache is one per simulation, and a wait asks its backend again in virtual time.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import celery.backends.asynchronous
import celery.backends.cache
from celery.backends.asynchronous import Drainer
from celery.utils.functional import LRUCache

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.errors import UnsupportedError
from tqsim.kernel import TIMED_OUT, Kernel, WaitQueue

__all__ = ["install", "require_supported"]

_SUPPORTED: Final = ("cache", "redis", "rediss", "rpc", "db", "file", "disabled")
_CACHE_LIMIT: Final = 5_000
_MEMORY: Final = "memory"


def require_supported(app: Any) -> None:
    """Raise :class:`~tqsim.UnsupportedError` for a result backend that needs a server of its own."""
    url = app.conf.result_backend
    if url is None:
        return
    if not isinstance(url, str):
        return
    scheme, _, rest = url.partition("://")
    scheme = scheme.partition("+")[0]
    if scheme == "cache" or (scheme == "memcached"):
        kind = url.partition("://")[0].partition("+")[2] or scheme
        if kind == _MEMORY or rest.startswith(_MEMORY):
            return
        raise _unsupported(url, "a memcached server")
    if scheme == "db":
        if "sqlite" in url.partition("://")[0]:
            return
        raise _unsupported(url, "a database server")
    if scheme not in _SUPPORTED:
        raise _unsupported(url, "a server of its own")


def _unsupported(url: str, needs: str) -> UnsupportedError:
    return UnsupportedError(
        f"result_backend={url!r} needs {needs}, which is not simulated; a simulation has no network. Set "
        'app.conf.result_backend for the test to "cache+memory://", "redis://", "rpc://", '
        '"db+sqlite:///..." or "disabled://".'
    )


class _Arrivals:
    """Told whenever a result may have arrived; whoever waits for one looks again."""

    def __init__(self, kernel: Kernel) -> None:
        self.queue = WaitQueue(kernel.loop)

    def notify(self) -> None:
        """Wake everybody who waits."""
        if len(self.queue):
            self.queue.wake_all()


def install(kernel: Kernel) -> Callable[[], None]:
    """Make waiting virtual; return the function to call whenever a result may have arrived."""
    arrivals = _Arrivals(kernel)
    patches = kernel.patches
    patches.set(celery.backends.cache, "_DUMMY_CLIENT_CACHE", LRUCache(limit=_CACHE_LIMIT))
    patches.set_item(celery.backends.asynchronous.drainers, "default", _drainer_class(kernel, arrivals))
    return arrivals.notify


def _drainer_class(kernel: Kernel, arrivals: _Arrivals) -> type:
    class VirtualDrainer(Drainer):  # type: ignore[misc]
        """Celery's default drainer, for consumers that cannot block in virtual time."""

        def drain_events_until(
            self,
            p: Any,
            timeout: float | None = None,
            interval: float = 1,
            on_interval: Callable[[], None] | None = None,
            wait: Callable[..., None] | None = None,
        ) -> Iterator[None]:
            if getattr(self.result_consumer, "_connection", None) is not None:
                # rpc://: its connection is the broker's, whose waiting is virtual already.
                yield from super().drain_events_until(p, timeout, interval, on_interval, wait)
                return
            wait = wait or self.result_consumer.drain_events
            deadline_us = None if timeout is None else kernel.loop.now_us + round(timeout * MICROSECONDS_PER_SECOND)
            while True:
                _drain(wait)
                if p.ready:
                    return
                left_us = None if deadline_us is None else deadline_us - kernel.loop.now_us
                if left_us is not None and left_us <= 0:
                    raise socket.timeout
                step_us = round(interval * MICROSECONDS_PER_SECOND)
                waited = arrivals.queue.wait("a result", step_us if left_us is None else min(step_us, left_us))
                yield
                if waited is TIMED_OUT and on_interval is not None:
                    on_interval()

    return VirtualDrainer


def _drain(wait: Callable[..., None]) -> None:
    """Take everything that has arrived, without waiting."""
    try:
        wait(timeout=0)
    except socket.timeout:
        pass
