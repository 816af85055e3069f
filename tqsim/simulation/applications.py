"""The Celery applications of a simulation: what is required of them, and what is patched for them.

The main name is :class:`Applications`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from celery import Celery
from celery._state import get_current_task
from celery.app.amqp import AMQP

from tqsim.errors import UsageError
from tqsim.kernel import Kernel
from tqsim.worker import cells, pins, results

__all__ = ["Applications"]

_BUILT_IN: Final = "celery."
#: Where an application reaches for its connections and results.
_DOORS: Final = ((Celery, "pool"), (Celery, "_connection"), (Celery, "backend"), (AMQP, "producer_pool"))


class Applications:
    """The applications that share a broker; ``first`` is the one the simulation was made for.

    Others come in when they are named (:meth:`add`), or when they first reach for a connection.
    """

    def __init__(self, first: Any) -> None:
        self._apps: list[Any] = []
        self._known: set[int] = set()
        self._check(first)
        self._apps.append(first)

    def _check(self, app: Any) -> None:
        if not isinstance(app, Celery):
            # A Proxy such as celery.current_app gives its class as Celery's, so it passes.
            raise UsageError(f"app={app!r} is not a Celery application; expected an instance of celery.Celery.")
        results.require_supported(app)

    def known(self) -> list[Any]:
        """All of them, the first one first."""
        return self._apps

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
        kernel.describe_task = _describe_task
        for app in self._apps:
            self._install(kernel, app)
        self._adopt_on_first_use(kernel)

    def _adopt_on_first_use(self, kernel: Kernel) -> None:
        """Take in every other application of the interpreter when it first reaches for a connection.

        It may have been used for real before, and its pools and backends lead to real servers.
        """
        for kind, name in _DOORS:
            kernel.patches.set(kind, name, self._watched(kernel, kind.__dict__[name]))

    def _watched(self, kernel: Kernel, door: Any) -> Any:
        real: Any = door.fget if isinstance(door, property) else door

        @functools.wraps(real)
        def enter(owner: Any, *args: Any, **kwargs: Any) -> Any:
            app = owner if isinstance(owner, Celery) else owner.app
            if id(app) not in self._known and not kernel.loop.is_closed and kernel.loop.in_loop_thread():
                self._take_in(kernel, app)
                owner = app if owner is app else app.amqp  # the one of before has its old producers
            return real(owner, *args, **kwargs)

        return property(enter) if isinstance(door, property) else enter

    def _install(self, kernel: Kernel, app: Any) -> None:
        self._known.add(id(app))
        pins.pin_app(kernel, app)
        kernel.make_local(cells.app_cells(app) + results.app_cells(app))

    def add(self, kernel: Kernel, app: Any) -> None:
        """Take in another application, once.

        Raises :class:`~tqsim.UsageError` when it is none, and :class:`~tqsim.UnsupportedError`
        for a result backend that is not simulated.
        """
        self._check(app)
        if id(app) not in self._known:
            self._take_in(kernel, app)

    def _take_in(self, kernel: Kernel, app: Any) -> None:
        self._apps.append(app)
        self._install(kernel, app)
        kernel.take_in(list(_functions_of(app)))

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

    def name_of(self, task: Any) -> str:
        """Return the name of a task, given itself or its name.

        Raises :class:`~tqsim.UsageError` when no application has such a task.
        """
        name = getattr(task, "name", task)
        names = sorted({task for app in self._apps for task in app.tasks if not task.startswith(_BUILT_IN)})
        if name not in names:
            raise UsageError(f"task={name!r} is not registered; registered are: {', '.join(names) or 'none'}.")
        return str(name)

    def replace_function(self, kernel: Kernel, path: str, stand_in: Any) -> None:
        """Put ``stand_in`` in the place of a function of the application, wherever it is bound.

        ``path`` is ``"package.module:function"``.  Raises :class:`~tqsim.UsageError` when there
        is no such function.
        """
        module_name, colon, attribute = str(path).partition(":")
        if not (module_name and colon and attribute):
            raise UsageError(f'replaces={path!r} is no path of a function; expected "package.module:function".')
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            raise UsageError(f"replaces={path!r}: {error}; expected a module that can be imported.") from None
        original = getattr(module, attribute, None)
        if not callable(original):
            found = "has nothing of that name" if original is None else f"has {original!r} there"
            raise UsageError(f"replaces={path!r}: module {module_name!r} {found}; expected a function.")
        kernel.patches.replace_function(module, attribute, original, stand_in)


def _functions_of(app: Any) -> Iterator[Any]:
    for task in app.tasks.values():
        run = getattr(task, "run", None)
        yield getattr(run, "__func__", run)


def _describe_task() -> str:
    """The task that the running code belongs to, in words for an error."""
    task = get_current_task()
    return "" if task is None else f" in task {task.name}[{task.request.id}]"
