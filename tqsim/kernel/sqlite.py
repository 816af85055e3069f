"""SQLite inside a simulation: waiting for a lock is virtual, and so is its clock.

The main name is :class:`Sqlite`.  Natively a second writer blocks the whole interpreter for five
real seconds and then fails.  A connection opened in a simulation has no native busy timeout; its
statements are retried in virtual time for as long as its ``timeout`` says.  When a process dies
its connections are rolled back and closed.
"""

from __future__ import annotations

import datetime
import re
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
_RealConnection = sqlite3.Connection
_RealCursor = sqlite3.Cursor
_REAL_NOW: Final = datetime.datetime.now
_DEFAULT_TIMEOUT_S: Final = 5.0
#: After how many milliseconds SQLite's own busy handler tries again (main.c, sqliteDefaultBusyCallback).
_DELAYS_MS: Final = (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100)
#: SQLite waits for this one only; a snapshot that is out of date, for example, fails at once.
_WAITED_FOR: Final = "SQLITE_BUSY"
_BUSY_TIMEOUT: Final = re.compile(r"\s*pragma\s+busy_timeout\s*(?:=|\()\s*(\d+)", re.IGNORECASE)
_CONSTANTS: Final = (
    ("current_timestamp", "%Y-%m-%d %H:%M:%S"),
    ("current_date", "%Y-%m-%d"),
    ("current_time", "%H:%M:%S"),
)
#: SQLite's date functions, and which argument is the moment (lang_datefunc.html).
_FUNCTIONS: Final = (
    ("date", 0),
    ("time", 0),
    ("datetime", 0),
    ("julianday", 0),
    ("unixepoch", 0),
    ("strftime", 1),
)


class Sqlite:
    """Makes SQLite's waiting and its clock virtual for one loop; ``now()`` is an aware UTC moment."""

    def __init__(self, loop: Loop, now: Callable[[], datetime.datetime]) -> None:
        self._loop = loop
        self._now = now
        self._connections: dict[Process, weakref.WeakSet[Any]] = {}
        self._calculator: sqlite3.Connection | None = None

    def replacements(self) -> dict[Any, Any]:
        """``sqlite3.connect`` and its stand-in."""
        return {_REAL_CONNECT: self._make_connect(_connection_class(self._loop))}

    def install(self, patches: Patches) -> None:
        """Roll back and close what simulated processes leave open at the end."""
        patches.on_undo(self._leave)

    def abandon(self, process: Process) -> None:
        """Roll back and close the connections of a process that has died."""
        for connection in list(self._connections.pop(process, ())):
            connection._tqsim_forget()

    def _leave(self) -> None:
        for connection in list(self._connections.pop(self._loop.main.process, ())):
            connection._tqsim_wait_natively()  # the test may go on using it
        for process in list(self._connections):
            self.abandon(process)
        if self._calculator is not None:
            self._calculator.close()

    def _make_connect(self, kind: type) -> Callable[..., Any]:
        loop = self._loop

        def connect(database: Any, timeout: float = _DEFAULT_TIMEOUT_S, *args: Any, **kwargs: Any) -> Any:
            if loop.is_closed or not loop.in_loop_thread() or loop.current is None:
                return _REAL_CONNECT(database, timeout, *args, **kwargs)
            if len(args) < 4:  # an application's own factory keeps its own ways
                kwargs.setdefault("factory", kind)
            connection = _REAL_CONNECT(database, 0.0, *args, **kwargs)
            self._set_clock(connection)
            if isinstance(connection, kind):
                connection._tqsim_timeout_us = round(timeout * MICROSECONDS_PER_SECOND)  # type: ignore[attr-defined]
                process = loop.current.process
                self._connections.setdefault(process, weakref.WeakSet()).add(connection)
            return connection

        return connect

    # -- the clock ----------------------------------------------------------------------------

    def _set_clock(self, connection: sqlite3.Connection) -> None:
        for name, form in _CONSTANTS:
            connection.create_function(name, 0, lambda form=form: self._moment().strftime(form))
        for name, position in _FUNCTIONS:
            # Deterministic, as SQLite's own are: "now" is one moment for a statement, and an index may use them.
            function = self._date_function(name, position)
            connection.create_function(name, -1, function, deterministic=True)

    def _moment(self) -> datetime.datetime:
        return _REAL_NOW(datetime.UTC) if self._loop.is_closed else self._now()

    def _date_function(self, name: str, position: int) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            values = list(args)
            if len(values) == position:
                values.append("now")
            if len(values) > position and str(values[position]).lower() == "now":
                values[position] = self._moment().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            return self._calculate(name, values)

        return function

    def _calculate(self, name: str, values: list[Any]) -> Any:
        if self._loop.is_closed or self._calculator is None:
            if self._calculator is not None:
                self._calculator.close()
            self._calculator = _REAL_CONNECT(":memory:", check_same_thread=False)
        marks = ", ".join("?" * len(values))
        return self._calculator.execute(f"SELECT {name}({marks})", values).fetchone()[0]


def _connection_class(loop: Loop) -> type:
    def patiently(connection: Any, action: Callable[[], Any]) -> Any:
        timeout_us = connection._tqsim_timeout_us
        waited_us = attempt = 0
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                is_over = waited_us >= timeout_us or loop.is_closed or loop.current is None
                if is_over or getattr(error, "sqlite_errorname", None) != _WAITED_FOR:
                    raise
                delay_us = min(_DELAYS_MS[min(attempt, len(_DELAYS_MS) - 1)] * 1_000, timeout_us - waited_us)
                loop.sleep(delay_us)
                waited_us += delay_us
                attempt += 1

    class SimulatedCursor(_RealCursor):
        def execute(self, sql: Any, *args: Any) -> Any:
            connection: Any = self.connection
            sql = connection._tqsim_take_busy_timeout(sql)
            return patiently(connection, lambda: _RealCursor.execute(self, sql, *args))

        def executemany(self, sql: Any, rows: Any) -> Any:
            rows = list(rows)  # a second try begins with the first row again
            return patiently(self.connection, lambda: _RealCursor.executemany(self, sql, rows))

        def executescript(self, script: Any) -> Any:
            return patiently(self.connection, lambda: _RealCursor.executescript(self, script))

    class SimulatedConnection(_RealConnection):
        _tqsim_timeout_us = 0

        def cursor(self, factory: Any = SimulatedCursor) -> Any:
            return _RealConnection.cursor(self, factory)

        def execute(self, *args: Any) -> Any:
            return self.cursor().execute(*args)

        def executemany(self, *args: Any) -> Any:
            return self.cursor().executemany(*args)

        def executescript(self, script: Any) -> Any:
            return self.cursor().executescript(script)

        def commit(self) -> None:
            patiently(self, lambda: _RealConnection.commit(self))

        def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
            if kind is None:
                self.commit()
            else:
                self.rollback()
            return False

        def _tqsim_take_busy_timeout(self, sql: Any) -> Any:
            """Wait in virtual time for as long as ``PRAGMA busy_timeout`` asks for, and not natively."""
            match = _BUSY_TIMEOUT.match(sql) if isinstance(sql, str) and not loop.is_closed else None
            if match is None:
                return sql
            self._tqsim_timeout_us = int(match[1]) * 1_000
            return "PRAGMA busy_timeout = 0"

        def _tqsim_wait_natively(self) -> None:
            timeout_ms = self._tqsim_timeout_us // 1_000
            try:
                _RealConnection.execute(self, f"PRAGMA busy_timeout = {timeout_ms}")
            except sqlite3.ProgrammingError:
                return  # closed already

        def _tqsim_forget(self) -> None:
            try:
                _RealConnection.rollback(self)
            except sqlite3.ProgrammingError:
                return  # closed already
            _RealConnection.close(self)

    return SimulatedConnection
