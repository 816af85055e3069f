"""The Celery applications of a simulation: what is required of them, and what is patched for them.

The main name is :class:`Applications`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from celery import Celery

from tqsim.errors import UsageError
from tqsim.kernel import Kernel
from tqsim.worker import cells, pins, results

__all__ = ["Applications"]

_BUILT_IN: Final = "celery."


class Applications:
    """One or more applications that share a broker; ``first`` is the one the simulation was made for."""

    def __init__(self, first: Any) -> None:
        self._apps: list[Any] = []
        self._check(first)
        self._apps.append(first)

    def _check(self, app: Any) -> None:
        if not isinstance(app, Celery):
            # A Proxy such as celery.current_app gives its class as Celery's, so it passes.
            raise UsageError(f"app={app!r} is not a Celery application; expected an instance of celery.Celery.")
        results.require_supported(app)

    @property
    def all(self) -> list[Any]:
        """The applications, in the order in which they were taken in."""
        return list(self._apps)

    def functions(self) -> Iterator[Any]:
        """The bodies of all tasks: Celery keeps them where no module binds them."""
        for app in self._apps:
            yield from _functions_of(app)

    def replacements(self, kernel: Kernel) -> Callable[[], dict[Any, Any]]:
        """Functions of Celery that other modules bind by name, with their stand-ins."""
        return lambda: pins.replacements(kernel)

    def install(self, kernel: Kernel) -> None:
        """Patch Celery, and every application, until the kernel closes."""
        pins.pin(kernel)
        cells.bind_late(kernel.patches)
        places = cells.celery_cells()
        for cell in places:
            # The test's own process begins anew too, and what it had is put back.
            kernel.patches.set_item(cell.namespace, cell.key, cell.fresh(kernel.main))
        kernel.make_local(places)
        results.install(kernel)
        for app in self._apps:
            self._install(kernel, app)

    def _install(self, kernel: Kernel, app: Any) -> None:
        pins.pin_app(kernel, app)
        kernel.make_local(cells.app_cells(app) + results.app_cells(app))

    def add(self, kernel: Kernel, app: Any) -> None:
        """Take in another application, once.

        Raises :class:`~tqsim.UsageError` when it is none, and :class:`~tqsim.UnsupportedError`
        for a result backend that is not simulated.
        """
        if any(known is app for known in self._apps):
            return
        self._check(app)
        self._apps.append(app)
        kernel.take_in(list(_functions_of(app)))
        self._install(kernel, app)

    def require_tasks(self, app: Any) -> None:
        """Raise :class:`~tqsim.UsageError` when a worker of ``app`` would have nothing to run."""
        app.finalize(auto=True)
        app.loader.import_default_modules()
        if not any(not name.startswith(_BUILT_IN) for name in app.tasks):
            raise UsageError(
                f"The application {app.main or 'celery'!r} has no tasks; a worker would have nothing to run. Import "
                "the modules that define them before opening the simulation, or name them in "
                "Celery(include=[...]) or app.autodiscover_tasks()."
            )

    def require_registered(self, name: Any) -> None:
        """Raise :class:`~tqsim.UsageError` when no application has a task of that name."""
        names = sorted({task for app in self._apps for task in app.tasks if not task.startswith(_BUILT_IN)})
        if name not in names:
            raise UsageError(f"task={name!r} is not registered; registered are: {', '.join(names) or 'none'}.")

    def replace_function(self, kernel: Kernel, path: str, stand_in: Any) -> None:
        """Put ``stand_in`` in the place of a function of the application, wherever it is bound.

        ``path`` is ``"package.module:function"``.  Raises :class:`~tqsim.UsageError` when there
        is no such function.
        """
        module_name, _, attribute = str(path).partition(":")
        try:
            module = importlib.import_module(module_name)
            original = getattr(module, attribute)
        except (ImportError, AttributeError, ValueError):
            raise UsageError(
                f'replaces={path!r}: there is no such function; expected "package.module:function".'
            ) from None
        kernel.patches.replace_function(module, attribute, original, stand_in)


def _functions_of(app: Any) -> Iterator[Any]:
    for task in app.tasks.values():
        run = getattr(task, "run", None)
        yield getattr(run, "__func__", run)
