from __future__ import annotations

import pathlib
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.kernel import Kernel, Process
from tqsim.kernel.fibers import Fiber


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    name = str(tmp_path / "shop.db")
    with closing(sqlite3.connect(name)) as connection:
        connection.execute("CREATE TABLE sale (what TEXT, at TEXT DEFAULT CURRENT_TIMESTAMP)")
    return name


def sales(path: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT what FROM sale ORDER BY rowid")]


def start(simulation: Kernel, body: Any, process: Process | None = None) -> Fiber:
    return simulation.loop.spawn(body, "writer", process or simulation.new_process("w"))


def sell(path: str, what: str, hold_s: float, **options: Any) -> None:
    with closing(sqlite3.connect(path, **options)) as connection, connection:
        connection.execute("INSERT INTO sale (what) VALUES (?)", (what,))
        time.sleep(hold_s)  # virtual


def test_a_second_writer_waits_in_virtual_time(path: str) -> None:
    with kernel() as simulation:
        fibers = [start(simulation, lambda what=what: sell(path, what, 2)) for what in "ab"]
        simulation.run_until(10**7)

        assert [fiber.error for fiber in fibers] == [None, None]
    assert sales(path) == ["a", "b"]


def test_a_second_writer_fails_after_its_timeout(path: str) -> None:
    ends: list[Any] = []
    with kernel() as simulation:

        def second() -> None:
            try:
                sell(path, "b", 0, timeout=3)
            except sqlite3.OperationalError as error:
                ends.append((str(error), simulation.now_s))

        start(simulation, lambda: sell(path, "a", 10))
        start(simulation, second)
        simulation.run_until(2 * 10**7)

    assert ends == [("database is locked", 3.0)]
    assert sales(path) == ["a"]


def test_the_default_timeout_is_five_virtual_seconds(path: str) -> None:
    with kernel() as simulation:
        start(simulation, lambda: sell(path, "a", 60))
        simulation.run_until(10)
        with pytest.raises(sqlite3.OperationalError, match=r"^database is locked$"):
            sell(path, "b", 0)

        assert round(simulation.now_s, 3) == 5.0


@pytest.mark.parametrize("how", ["PRAGMA busy_timeout = 2000", "pragma busy_timeout(2000)"])
def test_a_busy_timeout_set_by_pragma_counts_virtual_time(path: str, how: str) -> None:
    with kernel() as simulation:
        start(simulation, lambda: sell(path, "a", 60))
        simulation.run_until(10)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(how)
            with pytest.raises(sqlite3.OperationalError, match=r"^database is locked$"):
                connection.execute("INSERT INTO sale (what) VALUES ('b')")

        assert round(simulation.now_s, 3) == 2.0


@pytest.mark.parametrize("way", ["many", "script", "immediate"])
def test_every_kind_of_statement_waits(path: str, way: str) -> None:
    with kernel() as simulation:

        def second() -> None:
            with closing(sqlite3.connect(path)) as connection:
                if way == "many":
                    connection.executemany("INSERT INTO sale (what) VALUES (?)", ((what,) for what in "bcd"))
                    connection.commit()
                elif way == "script":
                    connection.executescript("INSERT INTO sale (what) VALUES ('b'), ('c'), ('d');")
                else:
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("INSERT INTO sale (what) VALUES ('b'), ('c'), ('d')")
                    connection.commit()

        start(simulation, lambda: sell(path, "a", 1))
        fiber = start(simulation, second)
        simulation.run_until(10**7)

        assert fiber.error is None
    assert sales(path) == ["a", "b", "c", "d"]


def test_a_failed_block_is_rolled_back(path: str) -> None:
    with kernel(), closing(sqlite3.connect(path)) as connection:

        def block() -> None:
            with connection:
                connection.execute("INSERT INTO sale (what) VALUES ('a')")
                raise KeyError("stop")

        with pytest.raises(KeyError, match=r"^'stop'$"):
            block()
        assert not connection.in_transaction

    assert sales(path) == []


def test_connections_of_a_killed_process_are_rolled_back(path: str) -> None:
    kept: list[sqlite3.Connection] = []
    with kernel() as simulation:
        process = simulation.new_process("victim")

        def body() -> None:
            kept.append(sqlite3.connect(path))
            kept[0].execute("INSERT INTO sale (what) VALUES ('never')")
            time.sleep(100)  # virtual

        start(simulation, body, process)
        simulation.run_until(10)
        simulation.end_process(process, -9)
        sell(path, "next", 0)

        assert simulation.now_s < 1
        with pytest.raises(sqlite3.ProgrammingError, match=r"^Cannot operate on a closed database\.$"):
            kept[0].execute("SELECT 1")
    assert sales(path) == ["next"]


def test_every_clock_of_sqlite_is_virtual() -> None:
    with kernel(start="2030-01-01T12:34:56Z", time_zone="Europe/Paris"), closing(sqlite3.connect(":memory:")) as db:
        row = db.execute(
            "SELECT CURRENT_TIMESTAMP, CURRENT_DATE, CURRENT_TIME, datetime('now'), datetime(), date('NOW'),"
            " time('now', '+1 hour'), strftime('%Y', 'now'), strftime('%s'), unixepoch(), julianday('now'),"
            " date('2020-02-28', '+1 day'), datetime('nonsense'), datetime(NULL)"
        ).fetchone()

    assert row == (
        *("2030-01-01 12:34:56", "2030-01-01", "12:34:56", "2030-01-01 12:34:56", "2030-01-01 12:34:56"),
        *("2030-01-01", "13:34:56", "2030", "1893501296", 1_893_501_296, pytest.approx(2_462_503.02425926)),
        *("2020-02-29", None, None),
    )


def test_indexes_over_dates_still_work(path: str) -> None:
    """SQLite demands deterministic functions there."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE INDEX by_day ON sale (date(at))")
    with kernel(start="2030-01-01T12:00:00Z"):
        sell(path, "a", 0)
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT what, at FROM sale WHERE date(at) = '2030-01-01'").fetchall()

    assert found == [("a", "2030-01-01 12:00:00")]


def test_a_connection_of_the_test_outlives_the_simulation(path: str) -> None:
    with kernel():
        connection = sqlite3.connect(path, timeout=0.5)
    with closing(connection):
        year, timeout = (
            connection.execute("SELECT strftime('%Y', 'now')").fetchone()[0],
            connection.execute("PRAGMA busy_timeout").fetchone()[0],
        )

    assert (year, timeout) == (time.strftime("%Y", time.gmtime()), 500)


def test_an_applications_own_connection_class_is_left_alone() -> None:
    class Own(sqlite3.Connection):
        pass

    with kernel(), closing(sqlite3.connect(":memory:", factory=Own)) as connection:
        stamp = connection.execute("SELECT CURRENT_TIMESTAMP").fetchone()[0]

        assert (type(connection), stamp) == (Own, "2030-01-01 00:00:00")


def test_connections_are_plain_again_after_the_simulation() -> None:
    with kernel():
        pass
    with closing(sqlite3.connect(":memory:")) as connection:
        assert type(connection) is sqlite3.Connection
