"""The application's module globals: shared by all simulated processes, or one copy for each.

The main name is :class:`ModuleGlobals`.  In production every child has its own; in one interpreter
they are one, so that a ``set()`` that remembers what was done deduplicates more than it would in
production.  What task code changes is noticed, and ``isolate_globals=True`` gives every process
its own copy from the values at opening.
"""

from __future__ import annotations

import copy
import logging
import sys
import types
from collections.abc import Iterable, Sized
from typing import Any, Final

from celery import Celery, signals
from celery.app.task import Task
from celery.local import Proxy

from tqsim.kernel import Cell, Kernel

__all__ = ["ModuleGlobals"]

_logger: Final = logging.getLogger("tqsim")
_NOT_DATA: Final = (
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    type,
    Celery,
    Task,
    Proxy,
)


class ModuleGlobals:
    """The data that the modules of some applications hold."""

    def __init__(self, apps: Iterable[Any]) -> None:
        self._places = [
            (module, name) for module in _modules(apps) for name, value in vars(module).items() if _is_data(name, value)
        ]
        #: The names of the globals that task code has changed, in the order in which it was noticed.
        self.changed: dict[str, None] = {}

    def isolate(self, kernel: Kernel) -> None:
        """Give every process that begins from now on its own copy; the test keeps the originals.

        A value that cannot be copied stays shared.
        """
        cells = []
        for module, name in self._places:
            value = vars(module)[name]
            try:
                kept = copy.deepcopy(value)
            except Exception:  # noqa: BLE001 - any class may refuse to be copied, in its own way
                _logger.info("%s.%s cannot be copied; it stays shared", module.__name__, name)
                continue
            cells.append(Cell(vars(module), name, lambda process, kept=kept: copy.deepcopy(kept)))  # type: ignore[misc]
        kernel.make_local(cells)

    def watch(self, kernel: Kernel) -> None:
        """Notice what task code changes, until the kernel closes."""
        if not self._places:
            return

        places = [(vars(module), name) for module, name in self._places]
        # By type: this runs twice for every task, and the check of an abstract class is slow.
        growing = {
            list,
            dict,
            set,
            *(type(vars(module)[name]) for module, name in self._places if _grows(module, name)),
        }
        marks: dict[Any, list[tuple[Any, int]]] = {}

        def look() -> list[tuple[Any, int]]:
            values: list[Any] = [namespace.get(name) for namespace, name in places]
            return [(value, len(value) if type(value) in growing else 0) for value in values]

        def before(task_id: Any = None, **kwargs: Any) -> None:
            marks[task_id] = look()

        def after(task_id: Any = None, **kwargs: Any) -> None:
            now = look()
            for place, mark, (value, length) in zip(self._places, marks.pop(task_id, now), now, strict=True):
                if value is not mark[0] or length != mark[1]:
                    self._notice(f"{place[0].__name__}.{place[1]}")

        for signal, receiver in ((signals.task_prerun, before), (signals.task_postrun, after)):
            signal.connect(receiver, weak=False)
            kernel.patches.on_undo(lambda signal=signal, receiver=receiver: signal.disconnect(receiver))  # type: ignore[misc]

    def _notice(self, name: str) -> None:
        if name in self.changed:
            return
        self.changed[name] = None
        _logger.warning(
            "Task code changed the module global %s. Simulated processes share it, processes in production do not; "
            "give each its own with isolate_globals=True, or isolate_globals = true in a scenario's file.",
            name,
        )


def _modules(apps: Iterable[Any]) -> list[types.ModuleType]:
    """The modules that define tasks, and the other modules of their packages, by name."""
    names: dict[str, None] = {}
    for app in apps:
        for task in app.tasks.values():
            if not task.name.startswith("celery."):
                names[task.__module__] = None
    found: dict[str, types.ModuleType] = {}
    for name in names:
        package = name.rpartition(".")[0]
        for other, module in sorted(sys.modules.items()):
            is_sibling = bool(package) and (other == package or other.startswith(package + "."))
            if isinstance(module, types.ModuleType) and (other == name or is_sibling):
                found[other] = module
    return list(found.values())


def _is_data(name: str, value: Any) -> bool:
    return not name.startswith("__") and not isinstance(value, _NOT_DATA) and not callable(value)


def _grows(module: types.ModuleType, name: str) -> bool:
    value = vars(module)[name]
    return isinstance(value, Sized) and not isinstance(value, (str, bytes, tuple, frozenset))
