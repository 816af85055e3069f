"""A Celery worker as a simulated process: ``celery.apps.worker.Worker`` in a fiber.

The main name is :class:`WorkerProgram`.  It is what ``celery worker`` starts, with the same
options; it can be stopped by signal, killed, and started again, and remembers across restarts
nothing but its options.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any, Final

from celery import concurrency
from celery.apps.worker import Worker
from celery.concurrency.base import BasePool
from celery.concurrency.prefork import TaskPool as CeleryPrefork
from celery.exceptions import ImproperlyConfigured, WorkerShutdown, WorkerTerminate

from tqsim.errors import UnsupportedError, UsageError
from tqsim.history import stable_text
from tqsim.kernel import Kernel, Process
from tqsim.kernel.hosts import HOST_NAME
from tqsim.worker.ends import WorkerEnd
from tqsim.worker.inline import inline_pool_class
from tqsim.worker.options import read_options
from tqsim.worker.pool import pool_class
from tqsim.worker.runtime import Note, WorkerRuntime

__all__ = ["WorkerProgram"]

_GREEN: Final = ("gevent", "eventlet")


class WorkerProgram:
    """One worker; ``name`` is the part of its node name before ``@sim``.

    ``options`` are those of ``celery worker`` (``concurrency``, ``queues``, ``prefetch_multiplier``,
    ``max_tasks_per_child``, ...).  Gossip, mingle and heartbeats are off unless asked for.
    """

    def __init__(
        self,
        kernel: Kernel,
        app: Any,
        name: str,
        options: dict[str, Any],
        note: Note | None,
        cost_us: Callable[[Any], int] | None,
    ) -> None:
        self.app = app
        self.name = name
        self.hostname = name if "@" in name else f"{name}@{HOST_NAME}"
        self.process: Process | None = None
        self.runtime: WorkerRuntime | None = None
        self.celery_worker: Any = None
        #: How its last life ended, if it did so by itself and with an error.
        self.end: WorkerEnd | None = None
        self.starts = 0
        self._kernel = kernel
        self._options = read_options(app, name, options)
        self._implementation = self._find_pool(self._options.get("pool") or app.conf.worker_pool)
        self._note = note
        self._cost_us = cost_us

    @property
    def is_alive(self) -> bool:
        """Whether the worker's main process lives."""
        return self.process is not None and self.process.is_alive

    @property
    def is_busy(self) -> bool:
        """Whether a task is running or waits for a child of this worker."""
        if not self.is_alive or self.runtime is None:
            return False
        pool = getattr(self.celery_worker, "pool", None)
        return bool(getattr(pool, "cache", None)) or self.runtime.is_busy

    def start(self) -> None:
        """Start the worker's process; it connects as soon as the simulation runs."""
        if self.is_alive:
            raise UsageError(f"Worker {self.name!r} is running already; kill() or stop() it first.")
        self.starts += 1
        self.celery_worker = None
        self.end = None
        process = self.process = self._kernel.new_process(self.name)
        self.runtime = WorkerRuntime(self._kernel, self.app, process, self.hostname, self._note, self._cost_us)
        self.runtime.note(
            "process.restarted" if self.starts > 1 else "process.started",
            kind="worker", pid=process.pid,
            concurrency=self._options.get("concurrency") or self.app.conf.worker_concurrency,
        )  # fmt: skip
        fiber = self._kernel.loop.spawn(self._run, self.name, process)
        fiber.background = True

    def _run(self) -> None:
        assert self.process is not None
        assert self.runtime is not None
        process, runtime = self.process, self.runtime
        error_text: str | None = None
        self.app.set_current()
        try:
            worker = self.celery_worker = Worker(
                app=self.app, hostname=self.hostname, **{**self._options, "pool": self._pool_class(runtime)}
            )
            error_text = _run_to_the_end(worker)
            exit_code = _code(worker.exitcode)
        except SystemExit as error:
            exit_code = _code(error.code)
            error_text = None if isinstance(error, WorkerShutdown | WorkerTerminate) else stable_text(error)
        except ImproperlyConfigured as error:
            self._kernel.end_process(process, 1)
            raise UsageError(f"worker {self.name!r} cannot start: {_one_line(error)}") from None
        except Exception:
            self._kernel.end_process(process, 1)
            raise
        why = {}
        if exit_code and error_text is not None:
            self.end = WorkerEnd(self.name, self._kernel.loop.now_us, exit_code, error_text)
            why = {"error": error_text}
        runtime.note("process.stopped", kind="worker", exit_code=exit_code, **why)
        self._kernel.end_process(process, exit_code)

    def _pool_class(self, runtime: WorkerRuntime) -> type:
        if self._implementation is CeleryPrefork:
            return pool_class(self._kernel, runtime)
        return inline_pool_class(self._implementation, runtime)

    def _find_pool(self, wanted: Any) -> type:
        """Return the class of pool that is meant, by name or class."""
        if wanted in _GREEN:
            raise UnsupportedError(
                f"worker {self.name!r}: pool={wanted!r} is not simulated yet; expected 'prefork', 'solo' or 'threads'."
            )
        try:
            implementation = concurrency.get_implementation(wanted)
        except (ImportError, AttributeError, KeyError, ValueError):
            implementation = None
        if not isinstance(implementation, type) or not issubclass(implementation, BasePool):
            raise UsageError(
                f"worker {self.name!r}: pool={wanted!r} is not a pool; expected 'prefork', 'solo' or 'threads'."
            )
        return implementation

    # -- ends ---------------------------------------------------------------------------------

    def send(self, number: int, verb: str = "send_signal") -> None:
        """Send a signal to the worker's main process; ``verb`` is what the caller asked for."""
        self._require_alive(verb)
        assert self.process is not None
        if number not in signal.valid_signals():
            raise UsageError(
                f"worker {self.name!r}: {verb}({number!r}): expected the number of a signal, such as signal.SIGTERM."
            )
        self._kernel.system.deliver(self.process, number)
        hub = getattr(self.celery_worker, "hub", None)
        if hub is not None:
            hub.wake()

    def stop(self) -> None:
        """Ask for a warm shutdown, as SIGTERM does."""
        self.send(signal.SIGTERM, "stop")

    def kill(self) -> None:
        """End the worker and its children at once, as SIGKILL does."""
        self._require_alive("kill")
        assert self.process is not None
        if self.runtime is not None:
            for process, task_id, number in list(self.runtime.active.values()):
                if process.is_alive:
                    self.runtime.note("task.lost", task_id, child=process.pid, delivery=number)
            self.runtime.note("process.killed", kind="worker", signal="SIGKILL")
        self._kernel.end_process(self.process, -signal.SIGKILL)

    def kill_child(self, index: int = 0) -> None:
        """End one child of the pool at once; ``index`` counts from 0."""
        self._require_alive("kill_child")
        pool = getattr(self.celery_worker, "pool", None)
        children = [child for child in getattr(pool, "children", ()) if child.process.is_alive]
        if not children:
            raise UsageError(
                f"worker {self.name!r}: kill_child({index}): it has no living children; let it start with "
                "sim.run(...), and use a prefork pool."
            )
        if not isinstance(index, int) or not 0 <= index < len(children):
            raise UsageError(
                f"worker {self.name!r}: kill_child({index!r}): it has {len(children)} living children; "
                f"expected an index from 0 to {len(children) - 1}."
            )
        self._kernel.end_process(children[index].process, -signal.SIGKILL)

    def _require_alive(self, what: str) -> None:
        if not self.is_alive:
            raise UsageError(
                f"Worker {self.name!r} cannot {what}: it has ended already. Start it again with restart()."
            )


def _run_to_the_end(worker: Any) -> str | None:
    """Run Celery's worker; return the error that ended it, in words, or ``None`` where it was asked to end.

    Celery itself only logs the error (celery/worker/worker.py, ``WorkController.start``).
    """
    errors: list[str] = []
    start = worker.blueprint.start

    def start_and_remember(parent: Any) -> None:
        try:
            start(parent)
        except (WorkerShutdown, WorkerTerminate):
            raise  # on request
        except (Exception, SystemExit) as error:
            errors.append(stable_text(error))
            raise

    worker.blueprint.start = start_and_remember
    worker.start()
    return errors[0] if errors else None


def _code(value: Any) -> int:
    """The exit code of a process that ends by ``sys.exit(value)``."""
    if value is None:
        return 0
    return value if isinstance(value, int) else 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
