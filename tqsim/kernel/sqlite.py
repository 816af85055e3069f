"""SQLite inside a simulation: waiting for a lock is virtual, and so is ``CURRENT_TIMESTAMP``.

The main name is :class:`Sqlite`.  Natively a second writer blocks the whole interpreter for five
real seconds and then fails.  A connection opened in a simulation has no native busy timeout; its
statements are retried in virtual time for as long as its ``timeout`` says.  When a process dies
its connections are rolled back and closed.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches
from tqsim.kernel.processes import Process

__all__ = ["Sqlite"]

_REAL_CONNECT: Final = sqlite3.connect
_REAL_CONNECTION: Final = sqlite3.Connection
_REAL_CURSOR: Final = sqlite3.Cursor
_DEFAULT_TIMEOUT_S: Final = 5.0
#: SQLite's own busy handler tries again after 1, 2, 5, 10, ... up to 100 ms (main.c, sqliteDefaultBusyCallback).
_DELAYS_US: Final = (1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 25_000, 25_000, 25_000, 50_000, 50_000, 100_000)
_BUSY: Final = ("database is locked", "database table is locked")


class Sqlite:
    """Makes SQLite's waiting virtual for one loop."""

    def __init__(self, loop: Loop, now_text: Callable[[str], str]) -> None:
        self._loop = loop
        self._now_text = now_text
        self._connections: dict[int, list[weakref.ref[Any]]] = {}

    def replacements(self) -> dict[Any, Any]:
        """``sqlite3.connect`` and its stand-in."""
        return {_REAL_CONNECT: self._make_connect()}

    def install(self, patches: Patches) -> None:
        """Roll back and close what is still open at the end."""
        patches.on_undo(self._close_all)

    def abandon(self, process: Process) -> None:
        """Roll back and close the connections of a process that has died."""
        for reference in self._connections.pop(process.pid, []):
            connection = reference()
            if connection is not None:
                connection._tqsim_forget()

    def _close_all(self) -> None:
        for references in self._connections.values():
            for reference in references:
                connection = reference()
                if connection is not None:
                    connection._tqsim_forget()
        self._connections.clear()

    def _make_connect(self) -> Callable[..., Any]:
        def connect(database: Any, timeout: float = _DEFAULT_TIMEOUT_S, *args: Any, **kwargs: Any) -> Any:
            loop = self._loop
            if loop.is_closed or not loop.in_loop_thread() or loop.current is None:
                return _REAL_CONNECT(database, timeout, *args, **kwargs)
            if len(args) < 4 and "factory" not in kwargs:
                kwargs["factory"] = self._connection_class()
            connection = _REAL_CONNECT(database, 0.0, *args, **kwargs)
            if isinstance(connection, _REAL_CONNECTION) and hasattr(connection, "_tqsim_timeout_us"):
                connection._tqsim_timeout_us = round(timeout * MICROSECONDS_PER_SECOND)
            for name, form in (
                ("current_timestamp", "%Y-%m-%d %H:%M:%S"),
                ("current_date", "%Y-%m-%d"),
                ("current_time", "%H:%M:%S"),
            ):
                connection.create_function(name, 0, lambda form=form: self._now_text(form))
            if loop.current is not loop.main:
                pid = loop.current.process.pid
                self._connections.setdefault(pid, []).append(weakref.ref(connection))
            return connection

        return connect

    def _connection_class(self) -> type:
        return _connection_class(self._loop)


def _connection_class(loop: Loop) -> type:
    def patiently(timeout_us: int, action: Callable[[], Any]) -> Any:
        waited_us = 0
        attempt = 0
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                delay_us = _DELAYS_US[min(attempt, len(_DELAYS_US) - 1)]
                is_over = waited_us >= timeout_us or loop.is_closed or loop.current is None
                if str(error) not in _BUSY or is_over:
                    raise
                delay_us = min(delay_us, timeout_us - waited_us)
                loop.sleep(delay_us)
                waited_us += delay_us
                attempt += 1

    class SimulatedCursor(_REAL_CURSOR):
        def execute(self, *args: Any) -> Any:
            return patiently(self.connection._tqsim_timeout_us, lambda: _REAL_CURSOR.execute(self, *args))

        def executemany(self, *args: Any) -> Any:
            return patiently(self.connection._tqsim_timeout_us, lambda: _REAL_CURSOR.executemany(self, *args))

    class SimulatedConnection(_REAL_CONNECTION):
        _tqsim_timeout_us = 0

        def cursor(self, factory: Any = SimulatedCursor) -> Any:
            return _REAL_CONNECTION.cursor(self, factory)

        def execute(self, *args: Any) -> Any:
            return self.cursor().execute(*args)

        def executemany(self, *args: Any) -> Any:
            return self.cursor().executemany(*args)

        def commit(self) -> None:
            patiently(self._tqsim_timeout_us, lambda: _REAL_CONNECTION.commit(self))

        def _tqsim_forget(self) -> None:
            try:
                _REAL_CONNECTION.rollback(self)
            except sqlite3.ProgrammingError:
                return  # closed already
            _REAL_CONNECTION.close(self)

    return SimulatedConnection
