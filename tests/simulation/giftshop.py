"""A small Celery application in plain Celery, imported by tests under the name ``giftshop``.

The name begins with ``gi``, one of the prefixes to which freezegun's usual settings give real time.
Everything here is made when the module is imported, before any simulation is open.
"""

from __future__ import annotations

import datetime
import os
import pickle
import queue
import resource
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime as Moment  # noqa: N812 - users do such things
from time import monotonic, process_time, sleep
from typing import Any, ClassVar

import msgpack
import yaml
from celery import Celery

app = Celery("giftshop", broker="pyamqp://guest@localhost//", backend="cache+memory://")

STOCK_LOCK = threading.RLock()
TILL = threading.Lock()
DOOR = threading.Condition()
SLOTS = threading.BoundedSemaphore(2)
OPENED = threading.Event()
ORDERS: queue.Queue[int] = queue.Queue()
PARCELS: queue.SimpleQueue[int] = queue.SimpleQueue()
PACKERS = ThreadPoolExecutor(2)
SHELVES = [threading.Lock(), threading.Lock()]
PER_CUSTOMER: defaultdict[str, Any] = defaultdict(threading.Lock)
inside: list[str] = []
overlaps: list[str] = []


def guarded(lock: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a function under a lock that only the closure knows."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def under_lock(*args: Any) -> Any:
            with lock:
                return function(*args)

        return under_lock

    return decorate


class Register:
    """A lock of the class, one of the instance, and a clock of the class."""

    lock: ClassVar[Any] = threading.Lock()
    clock = staticmethod(time.time)

    def __init__(self) -> None:
        self.own = threading.RLock()


REGISTER = Register()


def dwell(name: str) -> str:
    """Note who else is inside while we are."""
    overlaps.extend(f"{name} met {other}" for other in inside)
    inside.append(name)
    sleep(1)  # virtual
    inside.remove(name)
    return name


@guarded(threading.Lock())
def dwell_guarded(name: str) -> str:
    """As ``dwell``, one at a time."""
    return dwell(name)


def held_by(lock: Any) -> list[float]:
    """Let two threads hold ``lock`` for a second each; return when each of them was done."""
    ends: list[float] = []

    def hold(name: str) -> None:
        with lock:
            dwell(name)
        ends.append(monotonic())

    start = monotonic()
    threads = [threading.Thread(target=hold, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [end - start for end in ends]


LOCKS: dict[str, Callable[[], Any]] = {
    "a global RLock": lambda: STOCK_LOCK,
    "a global Lock": lambda: TILL,
    "a condition": lambda: DOOR,
    "an element of a list": lambda: SHELVES[1],
    "made by a default factory": lambda: PER_CUSTOMER["ada"],
    "a class attribute": lambda: Register.lock,
    "an instance attribute": lambda: REGISTER.own,
}


@app.task(name="giftshop.hold")
def hold(which: str) -> list[float]:
    """Two threads of one process contend for a lock made at import."""
    return held_by(LOCKS[which]())


@app.task(name="giftshop.hold_guarded")
def hold_guarded() -> None:
    """Two threads contend for a lock that only a closure knows."""
    threads = [threading.Thread(target=dwell_guarded, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@app.task(name="giftshop.hold_across")
def hold_across(name: str) -> str:
    """Hold a lock made at import, in whatever process runs this."""
    with TILL:
        return dwell(name)


@app.task(name="giftshop.wait_for_door")
def wait_for_door() -> list[Any]:
    """Conditions, events, semaphores and queues made at import, with and without timeout."""
    start = monotonic()

    def open_later() -> None:
        sleep(2)
        with DOOR:
            DOOR.notify_all()
        OPENED.set()
        ORDERS.put(7)
        PARCELS.put(8)

    threading.Thread(target=open_later).start()
    with DOOR:
        early = DOOR.wait(timeout=1)
        late = DOOR.wait(timeout=5)
    is_open = OPENED.wait(timeout=5)
    with SLOTS:
        got = [ORDERS.get(timeout=5), PARCELS.get(timeout=5)]
    try:
        ORDERS.get(timeout=3)
    except queue.Empty:
        got.append(-1)
    return [early, late, is_open, got, monotonic() - start]


@app.task(name="giftshop.pack")
def pack() -> list[Any]:
    """A pool of threads made at import, and one made in the task."""
    start = monotonic()

    def work(seconds: float) -> float:
        sleep(seconds)
        return monotonic() - start

    shared = list(PACKERS.map(work, [3, 1, 1]))
    with ThreadPoolExecutor(2) as pool:
        own = list(pool.map(work, [1, 1]))
    return [shared, own]


@app.task(name="giftshop.clocks")
def clocks(captured: Callable[[], float] = time.time, *, later: Callable[[], float] = monotonic) -> dict[str, Any]:
    """Every way to ask for the time, as text."""
    zone = datetime.timezone(datetime.timedelta(hours=2))
    connection = sqlite3.connect(":memory:")
    row = connection.execute("SELECT CURRENT_TIMESTAMP, datetime('now'), date(), strftime('%s', 'now')").fetchone()
    connection.close()
    present = datetime.datetime.now()
    return {
        "captured": captured(),
        "captured by keyword": later(),
        "class attribute": Register.clock(),
        "time_ns": time.time_ns(),
        "of the machine": time.clock_gettime(time.CLOCK_BOOTTIME),
        "now": str(present),
        "imported under another name": str(Moment.now()),
        "now with zone": str(datetime.datetime.now(zone)),
        "utcnow": str(Moment.utcnow()),
        "today": str(datetime.date.today()),
        "sqlite": row,
        "localtime": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "yaml": yaml.safe_dump(present),
        "msgpack": str(msgpack.unpackb(msgpack.packb(Moment.now(datetime.UTC), datetime=True), timestamp=3)),
        "type": type(present) is type(pickle.loads(pickle.dumps(present))),
    }


@app.task(name="giftshop.processor_time")
def processor_time() -> list[Any]:
    """The processor time of a task that sleeps for a second, and of a thread of it that does so too."""
    seen: list[Any] = []

    def work() -> None:
        sleep(1)  # virtual
        used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        seen.append([process_time(), time.process_time_ns() / 10**9, time.thread_time(), os.times().user, used])

    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return seen


@app.task(name="giftshop.thread_clock")
def thread_clock() -> list[str]:
    """The time as a thread and a pool of threads read it."""
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(str(datetime.datetime.now())))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as pool:
        seen.append(str(pool.submit(datetime.datetime.now).result()))
    return seen


@app.task(name="giftshop.pickled", serializer="pickle")
def pickled() -> bytes:
    """What a task would put into a file."""
    return pickle.dumps([datetime.datetime.now(), datetime.date.today(), datetime.datetime.now(datetime.UTC)])
