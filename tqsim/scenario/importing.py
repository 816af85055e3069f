"""Finding what a scenario names by path: ``"package.module:name"``.

The main names are :func:`find_object` and :func:`find_application`.
"""

from __future__ import annotations

import importlib
import traceback
from typing import Any, Final

from celery import Celery

from tqsim.errors import UsageError
from tqsim.scenario.places import nearest

__all__ = ["find_application", "find_object", "task_names"]

_BUILT_IN: Final = "celery."
_REMEDY: Final = "modules are looked for in the current directory and on PYTHONPATH"


def find_object(path: str, argument: str) -> Any:
    """Import a module and return one of its names.

    Raises :class:`~tqsim.UsageError` when there is no such module or name, or when the module
    cannot be imported.
    """
    module_name, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise UsageError(f"{argument}={path!r}: there is no module {error.name!r}; {_REMEDY}.") from None
        raise _broken(path, argument, module_name, error) from error
    except Exception as error:
        raise _broken(path, argument, module_name, error) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in vars(found) if not name.startswith("_")]
            raise UsageError(f"{argument}={path!r}: {module_name!r} has no {attribute!r}; {nearest(part, public)}")
        found = getattr(found, part)
    return found


def find_application(path: str, argument: str) -> Celery:
    """Return a Celery application with everything imported that it includes.

    Raises :class:`~tqsim.UsageError` when it is not there, is none, or has no tasks.
    """
    app = find_object(path, argument)
    if not isinstance(app, Celery):
        raise UsageError(f"{argument}={path!r} is of type {type(app).__name__!r}; expected a Celery application.")
    app.finalize(auto=True)
    try:
        app.loader.import_default_modules()
    except Exception as error:
        raise _broken(path, argument, "the modules that the application includes", error) from error
    if not task_names(app):
        raise UsageError(
            f"{argument}={path!r}: the application has no tasks. Name the modules that define them in "
            "Celery(include=[...]) or app.autodiscover_tasks()."
        )
    return app


def task_names(app: Celery) -> list[str]:
    """Return the names of the application's own tasks, sorted."""
    return sorted(name for name in app.tasks if not name.startswith(_BUILT_IN))


def _broken(path: str, argument: str, what: str, error: Exception) -> UsageError:
    return UsageError(
        f"{argument}={path!r}: importing {what} failed with {type(error).__name__}: {error}{_where(error)}."
    )


def _where(error: Exception) -> str:
    if isinstance(error, (ImportError, SyntaxError)):
        return ""  # both say it themselves
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f" ({last.filename}, line {last.lineno})"
