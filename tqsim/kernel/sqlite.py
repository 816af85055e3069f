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
from contextlib import closing
from types import TracebackType
from typing import Any, Final, Literal

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches
from tqsim.kernel.processes import Process

__all__ = ["Sqlite"]

_REAL_CONNECT: Final = sqlite3.connect
_REAL_NOW: Final = datetime.datetime.now
_DEFAULT_TIMEOUT_S: Final = 5.0
_PARAMETERS: Final = (
    "detect_types",
    "isolation_level",
    "check_same_thread",
    "factory",
    "cached_statements",
    "uri",
)
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
        self._connections: dict[Process, weakref.WeakSet[_Connection]] = {}
        self._calculator: sqlite3.Connection | None = None

    def replacements(self) -> dict[Any, Any]:
        """``sqlite3.connect`` and its stand-in."""
        return {_REAL_CONNECT: self._make_connect()}

    def install(self, patches: Patches) -> None:
        """Roll back and close what simulated processes leave open at the end."""
        patches.on_undo(self._leave)

    def abandon(self, process: Process) -> None:
        """Roll back and close the connections of a process that has died."""
        for connection in list(self._connections.pop(process, ())):
            connection.tqsim_forget()

    def _leave(self) -> None:
        for connection in list(self._connections.pop(self._loop.main.process, ())):
            connection.tqsim_wait_natively()  # the test may go on using it
        for process in list(self._connections):
            self.abandon(process)
        if self._calculator is not None:
            self._calculator.close()

    def _make_connect(self) -> Callable[..., Any]:
        loop = self._loop

        def connect(database: Any, timeout: float = _DEFAULT_TIMEOUT_S, *args: Any, **kwargs: Any) -> Any:
            if loop.is_closed or not loop.in_loop_thread() or loop.current is None:
                return _REAL_CONNECT(database, timeout=timeout, **_named(args), **kwargs)
            if len(args) < 4:  # an application's own factory keeps its own ways
                kwargs.setdefault("factory", _Connection)
            connection = _REAL_CONNECT(database, timeout=0.0, **_named(args), **kwargs)
            self._set_clock(connection)
            if isinstance(connection, _Connection):
                connection.tqsim_loop = loop
                connection.tqsim_timeout_us = round(timeout * MICROSECONDS_PER_SECOND)
                process = loop.current.process
                self._connections.setdefault(process, weakref.WeakSet()).add(connection)
            return connection

        return connect

    # -- the clock ----------------------------------------------------------------------------

    def _set_clock(self, connection: sqlite3.Connection) -> None:
        for name, form in _CONSTANTS:
            connection.create_function(name, 0, lambda form=form: self._moment().strftime(form))
        for name, position in _FUNCTIONS:
            # Deterministic, as SQLite's own: "now" is one moment for a statement, and indexes may use them.
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
        query = f"SELECT {name}({', '.join('?' * len(values))})"
        if self._loop.is_closed:
            with closing(_REAL_CONNECT(":memory:")) as calculator:
                return calculator.execute(query, values).fetchone()[0]
        if self._calculator is None:
            self._calculator = _REAL_CONNECT(":memory:", check_same_thread=False)
        return self._calculator.execute(query, values).fetchone()[0]


def _named(args: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of ``sqlite3.connect`` after ``timeout`` by name: Python 3.13 warns of positions."""
    return dict(zip(_PARAMETERS, args, strict=False))


def _patiently(connection: _Connection, action: Callable[[], Any]) -> Any:
    loop, timeout_us = connection.tqsim_loop, connection.tqsim_timeout_us
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


class _Cursor(sqlite3.Cursor):
    """A cursor whose statements wait for other connections in virtual time."""

    connection: _Connection

    def execute(self, sql: Any, *args: Any) -> Any:
        sql = self.connection.tqsim_take_busy_timeout(sql)
        return _patiently(self.connection, lambda: sqlite3.Cursor.execute(self, sql, *args))

    def executemany(self, sql: Any, rows: Any) -> Any:
        rows = list(rows)  # a second try begins with the first row again
        return _patiently(self.connection, lambda: sqlite3.Cursor.executemany(self, sql, rows))

    def executescript(self, script: Any) -> Any:
        return _patiently(self.connection, lambda: sqlite3.Cursor.executescript(self, script))


class _Connection(sqlite3.Connection):
    """A connection that was opened in a simulation."""

    tqsim_loop: Loop
    tqsim_timeout_us = 0

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def execute(self, *args: Any) -> Any:
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        return self.cursor().executemany(*args)

    def executescript(self, script: Any) -> Any:
        return self.cursor().executescript(script)

    def commit(self) -> None:
        _patiently(self, lambda: sqlite3.Connection.commit(self))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False

    def tqsim_take_busy_timeout(self, sql: Any) -> Any:
        """Wait in virtual time for as long as ``PRAGMA busy_timeout`` asks for, and not natively."""
        match = _BUSY_TIMEOUT.match(sql) if isinstance(sql, str) and not self.tqsim_loop.is_closed else None
        if match is None:
            return sql
        self.tqsim_timeout_us = int(match[1]) * 1_000
        return "PRAGMA busy_timeout = 0"

    def tqsim_wait_natively(self) -> None:
        """Give a connection that outlives the simulation its native timeout."""
        try:
            super().execute(f"PRAGMA busy_timeout = {self.tqsim_timeout_us // 1_000}")
        except sqlite3.ProgrammingError:
            pass  # closed already

    def tqsim_forget(self) -> None:
        """Roll back and close."""
        try:
            self.rollback()
        except sqlite3.ProgrammingError:
            return  # closed already
        self.close()
