"""Results that Celery keeps in files: each simulation has files of its own.

The main name is :func:`install`.  Task ids come from the seed, so a second run would find the results
of the first under the very same ids.  ``file://`` directories and SQLite databases of results are
therefore replaced by empty ones, which are removed when the simulation closes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from celery.backends.filesystem import FilesystemBackend

from tqsim.kernel import Kernel

__all__ = ["install"]

_DATABASE_MODULE: Final = "celery.backends.database"
_SQLITE: Final = "sqlite"


def install(kernel: Kernel) -> None:
    """Give the backends of results on disk empty files until the kernel closes."""
    places = _Places(kernel)
    patches = kernel.patches
    patches.set(FilesystemBackend, "_find_path", _finding(kernel, places, FilesystemBackend._find_path))
    try:
        from celery.backends.database.session import SessionManager
    except ImportError:
        return  # without SQLAlchemy there is no such backend
    patches.set(SessionManager, "get_engine", _connecting(kernel, places, SessionManager.get_engine))
    _forget_databases(kernel)


class _Places:
    """A temporary place for each one that the application names."""

    def __init__(self, kernel: Kernel) -> None:
        self._root: Path | None = None
        self._by_name: dict[str, Path] = {}
        kernel.patches.on_undo(self._remove)

    def of(self, name: str) -> Path:
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="tqsim-results-"))
        return self._by_name.setdefault(name, self._root / str(len(self._by_name)))

    def _remove(self) -> None:
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)


def _finding(kernel: Kernel, places: _Places, real: Callable[..., str]) -> Callable[..., str]:
    def find_path(backend: Any, url: Any) -> str:
        path = real(backend, url)
        if not _is_inside(kernel) or not Path(path).is_dir():
            return path  # a directory that is not there is the application's mistake, as in production
        place = places.of(path)
        place.mkdir(exist_ok=True)
        return str(place)

    return find_path


def _connecting(kernel: Kernel, places: _Places, real: Callable[..., Any]) -> Callable[..., Any]:
    def get_engine(manager: Any, dburi: str, **kwargs: Any) -> Any:
        if _is_inside(kernel) and dburi.startswith(_SQLITE):
            dialect, _, path = dburi.partition("://")
            dburi = f"{dialect}:///{places.of(path.partition('?')[0])}"
        return real(manager, dburi, **kwargs)

    return get_engine


def _forget_databases(kernel: Kernel) -> None:
    """Let every simulation create its tables; up to 5.6 all backends share one ``SessionManager``."""

    def forget() -> None:
        module = sys.modules.get(_DATABASE_MODULE)
        session = None if module is None else module.DatabaseBackend.ResultSession
        for manager in getattr(session, "__defaults__", None) or ():
            if hasattr(manager, "prepared"):
                manager.prepared = False

    forget()
    kernel.patches.on_undo(forget)


def _is_inside(kernel: Kernel) -> bool:
    return not kernel.loop.is_closed and kernel.loop.in_loop_thread()
