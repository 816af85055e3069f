"""Virtual time everywhere in an application named ``giftshop``, and plain values out of it."""

from __future__ import annotations

import datetime
import importlib.util
import pathlib
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgpack
import pytest
import yaml

import tqsim

SOURCE = pathlib.Path(__file__).with_name("giftshop.py")


@pytest.fixture(scope="module")
def loaded() -> Iterator[ModuleType]:
    """Import the application once, as Celery remembers every task that was ever defined."""
    spec = importlib.util.spec_from_file_location("giftshop", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["giftshop"] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        module.PACKERS.shutdown()
        del sys.modules["giftshop"]


@pytest.fixture
def giftshop(loaded: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("inside", "overlaps"):
        monkeypatch.setattr(loaded, name, [])
    for name in ("TILL", "STOCK_LOCK"):
        monkeypatch.setattr(loaded, name, getattr(loaded, name))
    monkeypatch.setattr(loaded, "OPENED", loaded.threading.Event())
    loaded.PER_CUSTOMER.clear()
    return loaded


def run(giftshop: ModuleType, name: str, *args: Any, **options: Any) -> Any:
    """Return the result of one task in a simulation that begins at 2030-01-01T12:00:00Z."""
    with tqsim.Simulation(giftshop.app, start="2030-01-01T12:00:00Z", **options) as sim:
        sim.worker(concurrency=2)
        return giftshop.app.tasks[f"giftshop.{name}"].delay(*args).get(timeout=60)


def test_every_clock_reads_virtual_time(giftshop: ModuleType) -> None:
    epoch = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC).timestamp()

    assert run(giftshop, "clocks") == {
        "captured": epoch,
        "captured by keyword": epoch,
        "class attribute": epoch,
        "time_ns": int(epoch) * 10**9,
        "of the machine": epoch,
        "now": "2030-01-01 12:00:00",
        "imported under another name": "2030-01-01 12:00:00",
        "now with zone": "2030-01-01 14:00:00+02:00",
        "utcnow": "2030-01-01 12:00:00",
        "today": "2030-01-01",
        "sqlite": ["2030-01-01 12:00:00", "2030-01-01 12:00:00", "2030-01-01", str(int(epoch))],
        "localtime": "2030-01-01T12:00:00",
        "yaml": "2030-01-01 12:00:00\n...\n",
        "msgpack": "2030-01-01 12:00:00+00:00",
        "type": True,
    }


def test_local_time_follows_the_time_zone_of_the_simulation(giftshop: ModuleType) -> None:
    read = run(giftshop, "clocks", timezone="Europe/Paris")

    assert (read["now"], read["utcnow"], read["localtime"], read["sqlite"][0]) == (
        "2030-01-01 13:00:00",
        "2030-01-01 12:00:00",
        "2030-01-01T13:00:00",
        "2030-01-01 12:00:00",
    )


def test_processor_time_is_the_virtual_time_of_the_process_and_of_the_thread(giftshop: ModuleType) -> None:
    # A second in the task itself, and then another in a thread that begins with nothing.
    assert run(giftshop, "processor_time") == [[1.0] * 5, [2.0, 2.0, 1.0, 2.0, 2.0]]


def test_threads_of_a_task_read_virtual_time(giftshop: ModuleType) -> None:
    assert run(giftshop, "thread_clock") == ["2030-01-01 12:00:00", "2030-01-01 12:00:00"]


@pytest.mark.parametrize(
    "which",
    [
        "a global RLock",
        "a global Lock",
        "a condition",
        "an element of a list",
        "made by a default factory",
        "a class attribute",
        "an instance attribute",
    ],
)
def test_a_lock_made_at_import_keeps_threads_of_a_task_apart(giftshop: ModuleType, which: str) -> None:
    assert (run(giftshop, "hold", which), giftshop.overlaps) == ([1.0, 2.0], [])


def test_a_lock_in_a_closure_keeps_threads_of_a_task_apart(giftshop: ModuleType) -> None:
    run(giftshop, "hold_guarded")

    assert giftshop.overlaps == []


def test_a_lock_made_at_import_does_not_keep_two_children_apart(giftshop: ModuleType) -> None:
    """As in production, where every forked child has its own."""
    with tqsim.Simulation(giftshop.app) as sim:
        sim.worker(concurrency=2)
        for name in ("ada", "bob"):
            giftshop.hold_across.delay(name)
        sim.run_until_idle()
        met, elapsed = list(giftshop.overlaps), sim.elapsed

    assert (met, elapsed) == (["bob met ada"], 1.0)


def test_a_child_killed_with_a_lock_made_at_import_does_not_hang_the_next(giftshop: ModuleType) -> None:
    with tqsim.Simulation(giftshop.app) as sim:
        worker = sim.worker(concurrency=1)
        giftshop.hold_across.delay("ada")
        sim.run(for_="500ms")
        worker.kill_child()
        result = giftshop.hold_across.delay("bob")

        assert result.get(timeout=10) == "bob"


def test_conditions_and_queues_made_at_import_wait_in_virtual_time(giftshop: ModuleType) -> None:
    # The door opens after 2 s; the last queue stays empty for 3 s more.
    assert run(giftshop, "wait_for_door") == [False, True, True, [7, 8, -1], 5.0]


def test_a_thread_pool_made_at_import_works_in_virtual_time(giftshop: ModuleType) -> None:
    # Two threads: 3 s and 1 s + 1 s at once; then 1 s and 1 s at once.
    assert run(giftshop, "pack") == [[3.0, 1.0, 2.0], [4.0, 4.0]]


def test_a_thread_pool_with_real_idle_threads_works_in_virtual_time_and_afterwards(giftshop: ModuleType) -> None:
    assert giftshop.PACKERS.submit(int, "7").result() == 7

    assert run(giftshop, "pack")[0] == [3.0, 1.0, 2.0]
    assert giftshop.PACKERS.submit(int, "8").result() == 8


def test_what_was_made_at_import_is_back_after_the_simulation(giftshop: ModuleType) -> None:
    def parts() -> list[Any]:
        module = giftshop
        return [
            *(module.STOCK_LOCK, module.TILL, module.DOOR._lock, module.SLOTS._cond._lock, module.PARCELS),
            *(module.ORDERS.mutex, *module.SHELVES, module.PER_CUSTOMER.default_factory, module.Register.lock),
            *(module.REGISTER.own, module.Register.clock, module.PACKERS._work_queue, module.PACKERS._threads),
            *(module.clocks.run.__defaults__, module.dwell_guarded.__closure__[1].cell_contents, module.sleep),
        ]

    before = parts()
    run(giftshop, "clocks")
    after = parts()

    assert [one is other for one, other in zip(before, after, strict=True)] == [True] * len(before)
    assert type(giftshop.DOOR.acquire) is type(giftshop.TILL.acquire)


def test_locks_that_a_simulation_left_in_a_module_serve_the_next(giftshop: Any) -> None:
    with tqsim.Simulation(giftshop.app):
        giftshop.TILL, giftshop.STOCK_LOCK = giftshop.threading.Lock(), giftshop.threading.RLock()

    assert run(giftshop, "hold", "a global Lock") == [1.0, 2.0]
    assert run(giftshop, "hold", "a global RLock") == [1.0, 2.0]
    assert giftshop.overlaps == []


def test_values_of_the_clock_are_plain_and_serialise_in_the_test_too(giftshop: ModuleType) -> None:
    with tqsim.Simulation(giftshop.app, start="2030-01-01T12:00:00Z"):
        present = datetime.datetime.now()
        moment = datetime.datetime.now(datetime.UTC)
        texts = (
            yaml.safe_dump([present]),
            msgpack.packb(moment, datetime=True),
            pickle.loads(pickle.dumps(present)),
        )
        is_instance = isinstance(present, datetime.datetime), isinstance(present, datetime.date)

    assert texts == (
        "- 2030-01-01 12:00:00\n",
        msgpack.packb(moment, datetime=True),
        datetime.datetime(2030, 1, 1, 12),
    )
    assert is_instance == (True, True)
    assert (type(present), type(moment)) == (datetime.datetime, datetime.datetime)


def test_a_pickle_of_a_simulation_is_read_elsewhere_as_plain_values(
    giftshop: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(giftshop.app.conf.changes, "result_serializer", "pickle")
    monkeypatch.setitem(giftshop.app.conf.changes, "accept_content", ["json", "pickle"])
    content = run(giftshop, "pickled")
    here = pickle.loads(content)
    reading = "import pickle, sys; print(repr(pickle.loads(bytes.fromhex(sys.argv[1]))), 'tqsim' in sys.modules)"
    there = subprocess.run([sys.executable, "-c", reading, content.hex()], capture_output=True, text=True, check=True)

    assert here == [
        datetime.datetime(2030, 1, 1, 12),
        datetime.date(2030, 1, 1),
        datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC),
    ]
    assert [type(value) for value in here] == [datetime.datetime, datetime.date, datetime.datetime]
    assert there.stdout == (
        "[datetime.datetime(2030, 1, 1, 12, 0), datetime.date(2030, 1, 1), "
        "datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.timezone.utc)] False\n"
    )


def test_real_time_is_back_after_the_simulation(giftshop: ModuleType) -> None:
    before = time.time()
    run(giftshop, "clocks")

    assert 0 <= giftshop.Register.clock() - before < 3600
    assert giftshop.Moment.now().year == time.localtime().tm_year
