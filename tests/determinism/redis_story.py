"""A run whose results are in Redis, with the application's own Redis clients: :func:`run_redis_story`.

Chords are scripts in Redis, results come by publish and subscribe, and sets are asked for their
members: whatever a server, a client library or a finalizer could leave to chance.
"""

from __future__ import annotations

import time
from typing import Any

import redis
from celery import Celery, chord, group

import tqsim

__all__ = ["run_redis_story"]

app = Celery("shop", broker="pyamqp://guest@localhost//", backend="redis://localhost/1", set_as_current=False)
cache = redis.Redis(decode_responses=True, socket_timeout=None)


@app.task(name="redis.charge", bind=True, max_retries=5)
def charge(self: Any, number: int) -> int:
    """Charge, after some retries with jitter."""
    time.sleep(0.05 * (number % 3))
    if self.request.retries < number % 3:
        raise self.retry(countdown=1 + number % 2)
    cache.sadd("charged", f"order-{number}")
    cache.publish("charges", str(number))
    return number


@app.task(name="redis.ship", autoretry_for=(ConnectionError,), retry_backoff=True, retry_jitter=True, max_retries=4)
def ship(number: int) -> str:
    """Fail at random, and take one parcel of those that are left."""
    if cache.incr(f"tries-{number}") < 3:
        raise ConnectionError("carrier")
    return str(cache.spop("charged"))


@app.task(name="redis.report")
def report(numbers: list[Any]) -> str:
    """Join what the parts gave, and the set in the order in which Redis gives it."""
    time.sleep(0.01)
    return ",".join(map(str, numbers)) + "|" + ",".join(map(str, cache.smembers("charged")))


def listen() -> list[str]:
    """Hear three charges."""
    pubsub = cache.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("charges")
    heard: list[str] = []
    while len(heard) < 3:
        message = pubsub.get_message(timeout=30)
        if message is not None:
            heard.append(message["data"])
    charge.delay(int(heard[0]) + 100)
    return heard


def run_redis_story(seed: int, policy: str) -> tqsim.History:
    """Run the story and return its history."""
    with tqsim.Simulation(app, seed=seed, policy=policy) as sim:
        sim.worker("w1", concurrency=3)
        sim.worker("w2", concurrency=2)
        for _ in range(2):
            sim.client(listen)
        sim.run(for_=1)
        chorded = chord([charge.s(number) for number in range(7)])(report.s())
        grouped = group(ship.s(number) for number in range(4)).apply_async()
        dropped = [charge.delay(number) for number in range(3)]
        del dropped  # their subscriptions end in a finalizer
        chorded.get(timeout=600)
        grouped.get(timeout=600)
        sim.client(lambda: report.delay([chorded.get(), sorted(grouped.get())]).get())
        sim.run_until_idle(limit="1h")
    return sim.history
