"""Orders and identities in Celery that are really chance, pinned; and side effects, kept out.

The main name is :func:`pin`.  Celery keeps bootsteps in sets, orders timer and schedule entries by
memory address, puts ``id(app)`` into every message and the host's name into every node name.  A
worker program also sets process titles, configures logging and prints to the terminal, which
belongs to a real process and not to a simulated one.
"""

from __future__ import annotations

import itertools
import logging
import platform
import threading
from collections.abc import Iterator
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid3

import billiard.pool
import celery.app.trace
import celery.apps.worker
import celery.beat
import celery.bootsteps
import celery.platforms
import celery.utils.nodenames
import celery.utils.sysinfo
import celery.worker.components
import kombu.common
import kombu.messaging
from celery import signals
from celery.app.task import Task as BaseTask
from kombu.asynchronous.semaphore import DummyLock

from tqsim.kernel import Kernel
from tqsim.kernel.hosts import HOST_NAME
from tqsim.kernel.patches import Patches
from tqsim.worker.commands import keep_commands
from tqsim.worker.exits import mark_exits
from tqsim.worker.hub import hub_class, timer_class

__all__ = ["pin", "pin_app", "replacements"]

_REAL_GENERATE_OID: Final = kombu.common.generate_oid
_REAL_GETHOSTNAME: Final = celery.utils.nodenames.gethostname


def replacements(kernel: Kernel) -> dict[Any, Any]:
    """Functions that other modules bind by name, with their stand-ins."""
    seen: list[Any] = []

    def generate_oid(node_id: int, process_id: int, thread_id: int, instance: Any) -> str:
        index = next((i for i, item in enumerate(seen) if item is instance), None)
        if index is None:
            index = len(seen)
            seen.append(instance)
        fiber = kernel.loop.current or kernel.loop.main
        thread = 0 if fiber.thread is None else fiber.number
        return str(uuid3(NAMESPACE_OID, f"{fiber.process.name}-{process_id:x}-{thread if thread_id else 0}-{index}"))

    return {_REAL_GENERATE_OID: generate_oid, _REAL_GETHOSTNAME: lambda: HOST_NAME}


def pin(kernel: Kernel) -> None:
    """Pin Celery's own orders and keep its side effects inside, until the kernel closes."""
    patches = kernel.patches
    patches.set(kombu.common, "_node_id", 1)
    patches.set(celery.bootsteps.Blueprint, "claim_steps", _claim_steps)
    patches.set(celery.beat.ScheduleEntry, "__lt__", _entry_order)
    patches.set(celery.worker.components, "_Hub", hub_class(kernel))
    patches.set(celery.worker.components, "_Timer", timer_class())
    patches.set(billiard.pool, "Lock", DummyLock)
    for module, name in (
        (celery.apps.worker, "safe_say"),
        (celery.apps.worker, "check_privileges"),
        # SIGHUP would have the interpreter replaced at its exit (``os.execv``).
        (celery.apps.worker, "_reload_current_worker"),
        (celery.platforms, "set_mp_process_title"),
        (celery.platforms, "set_process_title"),
    ):
        patches.set(module, name, _do_nothing)
    patches.set_item(vars(celery.apps.worker), "print", _do_nothing)
    # ``inspect report`` would start the program ``file``.
    patches.set(platform, "architecture", lambda: ("64bit", "ELF"))
    # Heartbeats tell of it; a simulated machine has nothing to do.
    patches.set(celery.utils.sysinfo, "_load_average", lambda: (0.0, 0.0, 0.0))
    patches.set(billiard.pool, "job_counter", _CountOfProcess(kernel, 0))
    patches.set(kombu.messaging.Consumer, "_tags", _CountOfProcess(kernel, 1))
    mark_exits(patches)
    keep_commands(kernel)
    _keep_task_call(patches)


class _CountOfProcess:
    """A counter of which every simulated process has its own.

    Job numbers stand in error texts and consumer tags in every message; both go on from
    simulation to simulation otherwise.
    """

    def __init__(self, kernel: Kernel, first: int) -> None:
        self._loop = kernel.loop
        self._first = first
        self._counts: dict[int, Iterator[int]] = {}

    def __iter__(self) -> _CountOfProcess:
        return self

    def __next__(self) -> int:
        pid = self._loop.loaded.pid
        count = self._counts.get(pid)
        if count is None:
            count = self._counts[pid] = itertools.count(self._first)
        return next(count)


def _keep_task_call(patches: Patches) -> None:
    """Undo what ``trace._install_stack_protection`` leaves on the base class of all tasks."""
    call = BaseTask.__call__
    protected = BaseTask.__dict__.get("_stackprotected", False)
    patched = dict(celery.app.trace._patched)

    def restore() -> None:
        BaseTask.__call__ = call
        BaseTask._stackprotected = protected
        celery.app.trace._patched.clear()
        celery.app.trace._patched.update(patched)

    patches.on_undo(restore)


def pin_app(kernel: Kernel, app: Any) -> None:
    """Keep an application's own settings as they were, and its logging out of the interpreter."""
    patches = kernel.patches
    changes = app.conf.changes
    before = dict(changes)

    def restore_settings() -> None:
        changes.clear()
        changes.update(before)

    patches.on_undo(restore_settings)
    # Every process's own ``app.amqp`` observes the settings, and would for ever.
    observers = list(app.conf._observers)
    patches.on_undo(lambda: app.conf.__dict__.update(_observers=observers))
    patches.set_item(app.log.__dict__, "setup", _setup_logging)
    _give_fresh_parts(patches, app)
    patches.set_item(app.__dict__, "use_fast_trace_task", app.use_fast_trace_task)
    tracers = [(task, task.__trace__) for task in app.tasks.values()]

    def restore_tracers() -> None:
        for task, tracer in tracers:
            task.__trace__ = tracer

    patches.on_undo(restore_tracers)


def _give_fresh_parts(patches: Patches, app: Any) -> None:
    """Let the test's own process begin without connections, backends or queues of before."""
    namespace = app.__dict__
    patches.set_item(namespace, "_local", threading.local())
    patches.set_item(namespace, "_backend_cache", None)
    patches.set_item(namespace, "_pool", None)
    patches.set_item(namespace, "clock", type(app.clock)())
    for name in ("amqp", "control", "events"):
        patches.set_item(namespace, name, None)
        del namespace[name]
        getattr(app, name)


def _setup_logging(
    loglevel: Any = None,
    logfile: Any = None,
    redirect_stdouts: bool = False,
    redirect_level: str = "WARNING",
    colorize: Any = None,
    hostname: str | None = None,
) -> bool:
    """Send ``setup_logging`` and leave the interpreter's logging to the test."""
    signals.setup_logging.send(
        sender=None, loglevel=loglevel, logfile=logfile, format=None, colorize=colorize, hostname=hostname
    )
    if loglevel is not None:
        logging.getLogger("celery").debug("logging of %s is left to the test", hostname)
    return True


def _claim_steps(blueprint: Any) -> dict[str, Any]:
    steps = [blueprint.load_step(step) for step in blueprint.types]
    return dict(sorted(steps, key=lambda item: str(item[0])))


def _entry_order(entry: Any, other: Any) -> Any:
    if isinstance(other, celery.beat.ScheduleEntry):
        return entry.name < other.name
    return NotImplemented


def _do_nothing(*args: Any, **kwargs: Any) -> None:
    """In the place of something that only a real process should do."""
