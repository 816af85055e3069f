"""Result backends in a simulation: which run, and how waiting for a result passes virtual time.

The main names are :func:`require_supported` and :func:`install`.  Backends run as they are.  Those
that are told of results (Redis, rpc) wait for the message itself, and those that poll do so in
virtual time; the in-memory cache is one per simulation.  After the end every backend of the
simulation refuses to be asked.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

import celery.backends.asynchronous
import celery.backends.cache
import celery.backends.redis
import celery.result
from celery.app.backends import by_url
from celery.backends.asynchronous import Drainer
from celery.backends.base import Backend, BaseKeyValueStoreBackend, DisabledBackend, SyncBackendMixin
from celery.backends.filesystem import FilesystemBackend
from celery.backends.rpc import RPCBackend
from celery.utils.functional import LRUCache
from kombu.utils.url import maybe_sanitize_url
from vine import promise

from tqsim import durations
from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.errors import ClosedError, UnsupportedError
from tqsim.kernel import TIMED_OUT, Cell, Kernel
from tqsim.kernel.steady import SteadySet
from tqsim.worker import stores

__all__ = ["app_cells", "install", "require_supported"]

_CACHE_LIMIT: Final = 5_000
_MEMORY: Final = "memory"
#: What Celery names ``scheme://``, and needs no server, or one that is simulated.
_SUPPORTED: Final = ("cache", "redis", "rediss", "sentinel", "rpc", "db", "database", "file", "disabled")
_SUPPORTED_CLASSES: Final = (
    celery.backends.redis.RedisBackend, RPCBackend, FilesystemBackend, DisabledBackend,
)  # fmt: skip
_UNKNOWN_CLASS: Final = "is a class of its own that tqsim does not know"
#: Longer than any simulation, in seconds; a simulated socket sets no timer for it.
_FOREVER_S: Final = 1e9
#: What asks a backend, and may not after the end.
_QUESTIONS: Final = (
    "add_pending_result", "add_pending_results", "delete_group", "forget", "get_many", "get_result",
    "get_state", "get_task_meta", "get_traceback", "iter_native", "reload_group_result",
    "reload_task_result", "restore_group", "save_group", "store_result", "wait_for", "wait_for_pending",
)  # fmt: skip


# -- which backends run -----------------------------------------------------------------------


def require_supported(app: Any) -> None:
    """Raise :class:`~tqsim.UnsupportedError` for a result backend that needs a server of its own."""
    setting = app.backend_cls or app.conf.result_backend
    if setting is None:
        return
    if not isinstance(setting, str):
        if not _is_supported_class(setting):
            raise _unsupported(getattr(setting, "__name__", repr(setting)), _UNKNOWN_CLASS)
        return
    name, _, _ = setting.partition("://")
    scheme = name.partition("+")[0]
    if scheme == "cache":
        _require_memory(app, setting)
    elif scheme in ("db", "database"):
        _require_file(app, setting)
    elif scheme not in _SUPPORTED:
        _require_class(app, setting)


def _require_memory(app: Any, setting: str) -> None:
    url = setting.partition("+")[2] if "://" in setting else app.conf.cache_backend or ""
    if url.partition("://")[0] != _MEMORY:
        raise _unsupported(setting, "needs a memcached server")


def _require_file(app: Any, setting: str) -> None:
    url = setting.partition("+")[2] if "://" in setting else app.conf.database_url or ""
    dialect, _, path = url.partition("://")
    if not dialect.startswith("sqlite"):
        raise _unsupported(setting, "needs a database server")
    if path.strip("/").partition("?")[0] in ("", ":memory:"):
        raise _unsupported(
            setting, "keeps an SQLite database in the memory of each connection, so no process finds results"
        )


def _require_class(app: Any, setting: str) -> None:
    """Refuse what a name, or the path of a class, stands for, unless it is made from a known backend."""
    try:
        backend, _ = by_url(setting, app.loader)
    except Exception:  # noqa: BLE001 - whatever its import raises, it cannot be run here
        backend = None
    if backend is None or not _is_supported_class(backend):
        is_path = "://" not in setting and ("." in setting or ":" in setting)
        what = _UNKNOWN_CLASS if is_path else "needs a server of its own"
        raise _unsupported(setting, what)


def _is_supported_class(backend: Any) -> bool:
    return isinstance(backend, type) and issubclass(backend, _SUPPORTED_CLASSES)


def _unsupported(setting: str, why: str) -> UnsupportedError:
    name = maybe_sanitize_url(setting) if "@" in setting else setting
    return UnsupportedError(
        f"result_backend={name!r} {why}; it is not simulated, and a simulation has no network. Set "
        'app.conf.result_backend for the test to "redis://", "rpc://", "cache+memory://", '
        '"db+sqlite:///results.sqlite", "file:///tmp/results" or "disabled://".'
    )


# -- while a simulation is open ---------------------------------------------------------------


def app_cells(app: Any) -> list[Cell]:
    """The process-local place of an application's backend; a thread's own lies in ``app._local``."""
    return [Cell(app.__dict__, "_backend_cache", lambda process: None)]


def install(kernel: Kernel) -> None:
    """Make waiting for results virtual, and end the backends with the simulation."""
    patches = kernel.patches
    patches.set(celery.backends.cache, "_DUMMY_CLIENT_CACHE", LRUCache(limit=_CACHE_LIMIT))
    patches.set_item(celery.backends.asynchronous.drainers, "default", _drainer_class(kernel))
    # Keys of results are kept in sets, whose order decides in which order they are asked for again.
    patches.set(celery.backends.redis, "set", SteadySet)
    consumer = celery.backends.redis.ResultConsumer
    if hasattr(consumer, "_wait_for_pubsub"):
        patches.set(consumer, "_wait_for_pubsub", _waiting_for_pubsub(kernel, consumer._wait_for_pubsub))
    for owner, name in ((SyncBackendMixin, "wait_for"), (BaseKeyValueStoreBackend, "get_many")):
        patches.set(owner, name, _polling(kernel, owner.__dict__[name]))
    _Ended().install(kernel)
    stores.install(kernel)


def _drainer_class(kernel: Kernel) -> type:
    loop = kernel.loop

    class VirtualDrainer(Drainer):
        """Celery's default drainer, which looks every second; this one waits for the message.

        A timeout is kept to the microsecond, where Celery's is kept to the second.
        """

        def drain_events_until(
            self,
            p: Any,
            timeout: float | None = None,
            interval: float = 1,
            on_interval: Callable[[], None] | None = None,
            wait: Callable[..., None] | None = None,
        ) -> Iterator[None]:
            wait = wait or self.result_consumer.drain_events
            if _does_nothing(on_interval):
                on_interval = None
            deadline_us = None if timeout is None else loop.now_us + round(timeout * MICROSECONDS_PER_SECOND)
            while not p.ready:
                left_s = self._patience_s()
                if deadline_us is not None:
                    if loop.now_us >= deadline_us:
                        raise TimeoutError
                    left_s = (deadline_us - loop.now_us) / MICROSECONDS_PER_SECOND
                if on_interval is not None:
                    left_s = interval if left_s is None else min(interval, left_s)
                try:
                    yield self.wait_for(p, wait, timeout=left_s)
                except TimeoutError:
                    pass
                except OSError:
                    # As Celery's: the connection is made anew by the next call.
                    loop.sleep(round(interval * MICROSECONDS_PER_SECOND))
                if on_interval is not None:
                    on_interval()

        def _patience_s(self) -> float | None:
            if isinstance(self.result_consumer, celery.backends.redis.ResultConsumer):
                # redis-py takes no timeout for the connection's own.
                return _FOREVER_S
            return None

    return VirtualDrainer


def _does_nothing(on_interval: Any) -> bool:
    """Whether it is the empty promise that ``AsyncResult.get`` passes when nobody asked for one."""
    if not isinstance(on_interval, promise):
        return False
    return on_interval.fun is None and not on_interval._svpending and not on_interval._lvpending


def _waiting_for_pubsub(kernel: Kernel, real: Callable[..., Any]) -> Callable[..., Any]:
    """``poll(2)`` on a simulated socket; without Celery's limit of a second, as closing wakes it."""

    def wait_for_pubsub(consumer: Any, pubsub: Any, timeout: float | None) -> Any:
        sock = getattr(pubsub.connection, "_sock", None)
        wire = None if sock is None else kernel.wires.get(sock.fileno())
        if wire is None or not pubsub.subscribed:
            return real(consumer, pubsub, timeout)
        if wire.is_readable():
            return True
        timeout_us = None
        if timeout is not None and timeout < _FOREVER_S:
            timeout_us = round(timeout * MICROSECONDS_PER_SECOND)
        return wire.wait("a result from Redis", timeout_us) is not TIMED_OUT

    return wait_for_pubsub


def _polling(kernel: Kernel, real: Callable[..., Any]) -> Callable[..., Any]:
    """Let a backend that asks again and again notice that nothing can happen any more."""
    loop = kernel.loop

    def poll(backend: Any, asked: Any, timeout: float | None = None, *args: Any, **kwargs: Any) -> Any:
        on_interval = kwargs.pop("on_interval", None)

        def look() -> None:
            if timeout is None and not loop.policy.ready and loop.agenda.next_due_us() is None:
                fiber = loop.require_current()
                raise loop.no_progress(
                    f"Nothing is left to happen at {durations.text(loop.now_us)}, and {fiber.name} waits for "
                    f"the result of {_names(asked)}. Is a worker running that consumes the queue?"
                )
            if on_interval is not None:
                on_interval()

        return real(backend, asked, timeout, *args, on_interval=look, **kwargs)

    return poll


def _names(asked: Any) -> str:
    return asked if isinstance(asked, str) else ", ".join(sorted(str(item) for item in asked))


class _Ended:
    """Remembers the backends and groups of results of one simulation, to end them with it."""

    def __init__(self) -> None:
        # An application without results makes a backend for every task: none may leave anything behind.
        self._backends: dict[int, weakref.ref[Any]] = {}
        self._groups: dict[int, weakref.ref[Any]] = {}

    def install(self, kernel: Kernel) -> None:
        patches = kernel.patches
        patches.on_undo(self._end)
        init_backend, init_group = Backend.__init__, celery.result.ResultSet.__init__
        backends, groups = self._backends, self._groups

        def new_backend(backend: Any, *args: Any, **kwargs: Any) -> None:
            key = id(backend)
            backends[key] = weakref.ref(backend, lambda reference: backends.pop(key, None))
            init_backend(backend, *args, **kwargs)

        def new_group(group: Any, *args: Any, **kwargs: Any) -> None:
            key = id(group)
            groups[key] = weakref.ref(group, lambda reference: groups.pop(key, None))
            init_group(group, *args, **kwargs)

        patches.set(Backend, "__init__", new_backend)
        patches.set(celery.result.ResultSet, "__init__", new_group)

    def _end(self) -> None:
        for reference in list(self._backends.values()):
            backend = reference()
            if backend is not None:
                backend.__dict__.update(dict.fromkeys(_QUESTIONS, _refuse))
                backend.__dict__["remove_pending_result"] = _let_go
        for reference in list(self._groups.values()):
            group = reference()
            if group is not None:
                group.app = _EndedApp()  # a group asks the backend of its application
        self._backends.clear()
        self._groups.clear()


class _EndedApp:
    """The application of a group of results whose simulation has ended."""

    @property
    def backend(self) -> Any:
        return _refuse()


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise ClosedError(
        "The simulation has ended; its results went with it. Ask for a result inside the with-block of the "
        "simulation: get(), state and join() read the simulated backend."
    )


def _let_go(result: Any) -> Any:
    """``remove_pending_result``, which the finalizer of a result calls: there is nothing to remove."""
    return result
