"""The application of the determinism tests: tasks that use everything in which chance could hide.

It is plain Celery; :mod:`tests.determinism.story` runs it.
"""

from __future__ import annotations

import datetime
import os
import queue
import random
import secrets
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from celery import Celery, chord, group

__all__ = ["ROUTED_QUEUES", "app"]

ROUTED_QUEUES = ("celery", "reports")

app = Celery("story", broker="memory://", backend="cache+memory://", set_as_current=False)
app.conf.update(
    task_routes={"story.report": {"queue": "reports"}},
    task_send_sent_event=True,
    task_track_started=True,
    beat_schedule={
        "heartbeat": {"task": "story.draw", "schedule": 30.0, "args": ("beat",)},
        "nightly": {"task": "story.report", "schedule": 45.0},
    },
)


class ProviderDown(Exception):
    """The provider of the story does not answer."""


@app.task(name="story.draw")
def draw(tag: str) -> list[Any]:
    """Draw from every source of chance there is."""
    time.sleep(random.uniform(0.01, 0.5))
    letters = "".join(sorted({random.choice("abcdef") for _ in range(3)}))
    return [
        tag, letters, random.random(), str(uuid.uuid4()), str(uuid.uuid1()),
        secrets.token_hex(4), os.urandom(4).hex(), datetime.datetime.now().isoformat(),
    ]  # fmt: skip


@app.task(name="story.identify")
def identify() -> list[Any]:
    """Everything that a real process, its threads and its machine would choose or count."""
    seen: list[Any] = []

    def look() -> None:
        time.sleep(0.1)
        thread, main = threading.current_thread(), threading.main_thread()
        seen.append([threading.get_ident(), threading.get_native_id(), repr(thread), main.ident, os.getpid()])
        seen.append([time.process_time(), time.thread_time_ns(), list(os.times()), time.clock_gettime(7)])
        seen.append([random.Random().random(), random.SystemRandom().random(), Path(tempfile.mktemp()).name])

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    look()
    for thread in threads:
        thread.join()
    return seen


@app.task(
    name="story.pay", bind=True, acks_late=True, autoretry_for=(ProviderDown,),
    retry_backoff=2, retry_jitter=True, max_retries=6,
)  # fmt: skip
def pay(self: Any, number: int) -> str:
    """Fail at random, and come back after a jittered delay."""
    time.sleep(random.expovariate(2.0))
    if random.random() < 0.5:
        raise ProviderDown(f"payment {number}, attempt {self.request.retries}")
    return f"paid {number} by {self.request.hostname}"


@app.task(name="story.threads")
def threads(count: int) -> list[Any]:
    """Let threads and a pool race through a lock and a queue."""
    results: queue.Queue[Any] = queue.Queue()
    lock = threading.Lock()

    def work(number: int) -> int:
        for _ in range(2):
            with lock:
                time.sleep(random.random() / 10)
        results.put([number, threading.current_thread().name])
        return number

    workers = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for worker in workers:
        worker.start()
    with ThreadPoolExecutor(max_workers=2) as pool:
        futures = [pool.submit(work, number) for number in range(100, 100 + 2 * count)]
        time.sleep(0.3)
        completed = [future.result() for future in as_completed(futures)]
    for worker in workers:
        worker.join()
    return [results.get() for _ in range(3 * count)] + completed


@app.task(name="story.add")
def add(first: int, second: int = 0) -> int:
    """Add."""
    time.sleep(0.2)
    return first + second


@app.task(name="story.total")
def total(parts: list[int]) -> int:
    """Sum, as the body of a chord."""
    return sum(parts)


@app.task(name="story.report")
def report() -> str:
    """Publish a chord and a group from inside a task."""
    chord((add.s(number, number) for number in range(4)), total.s()).apply_async()
    group(draw.s(f"report {number}") for number in range(2)).apply_async(countdown=random.randint(1, 5))
    return "ordered"
