"""Processor time of what a client asks of a queue that holds 1,000, 10,000 and 100,000 messages.

The messages have ten priorities and a lifetime of their own.  On Redis, which knows no lifetimes of
messages, keys with a lifetime are measured, as results are.  The smallest queue is measured before and after the
others, each in a simulation of its own; of every operation the quickest round counts.  The target is
growth with the logarithm of the size, and a quarter more for the caches of the processor.
"""

from __future__ import annotations

import gc
import itertools
import json
import math
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, Final, TypeAlias

from celery import Celery
from kombu import Connection, Queue

import tqsim
from tests.benchmarks.measuring import cpu_s, in_fresh_interpreter
from tests.benchmarks.rows import Row, Size, at_most

__all__ = ["measure"]

#: Microseconds of every operation.
Costs: TypeAlias = dict[str, float]

_SIZES: Final = (1_000, 10_000, 100_000)
_MARGIN: Final = 1.25
_PER_ROUND: Final = 500
_ROUNDS: Final = 5
_PRIORITIES: Final = 10
_LONG_S: Final = 86_400
_BROKERS: Final = {"RabbitMQ": "amqp://", "Redis": "redis://"}


def measure(size: Size) -> list[Row]:
    """Return a row for every operation on both brokers."""
    sizes = [count for count in _SIZES if count <= size.of(_SIZES[-1], _SIZES[1])]
    rows = []
    for broker in _BROKERS:
        measured: dict[str, list[float]] = in_fresh_interpreter(__name__, broker, json.dumps(sizes))
        limit = math.log(sizes[-1]) / math.log(sizes[0]) * _MARGIN
        for operation, costs_us in measured.items():
            rows.append(
                at_most(
                    f"{broker}: {operation}, {sizes[-1]:,} messages against {sizes[0]:,}",
                    costs_us[-1] / costs_us[0], round(limit, 2), "x",
                    f"{', '.join(f'{cost:.1f}' for cost in costs_us)} us at {', '.join(map('{:,}'.format, sizes))}",
                )
            )  # fmt: skip
    return rows


def _compare(broker: str, sizes: list[int]) -> dict[str, list[float]]:
    costs = _rabbitmq if broker == "RabbitMQ" else _redis
    costs(sizes[0])  # warms up
    measured = [costs(size) for size in (*sizes, sizes[0])]
    last = measured.pop()
    measured[0] = {operation: min(cost, last[operation]) for operation, cost in measured[0].items()}
    return {operation: [found[operation] for found in measured] for operation in last}


class _Desk:
    """A client with one queue of a simulated broker."""

    def __init__(self, broker: str) -> None:
        self._open = ExitStack()
        app = Celery("sizes", broker=_BROKERS[broker], set_as_current=False)
        self.sim = self._open.enter_context(tqsim.Simulation(app, history=False))
        connection = self._open.enter_context(Connection(_BROKERS[broker]))
        arguments = {"x-max-priority": _PRIORITIES} if broker == "RabbitMQ" else None
        self._queue = Queue("sizes", queue_arguments=arguments)(connection.channel())
        self._queue.declare()
        self._producer = connection.Producer()

    def publish(self, count: int, *, lifetime_s: int = _LONG_S, priority: int | None = None) -> None:
        """Publish to the queue, with every priority in turn unless one is given."""
        for number in range(count):
            self._producer.publish(
                number,
                routing_key="sizes",
                priority=number % _PRIORITIES if priority is None else priority,
                expiration=lifetime_s,
            )

    def get(self, count: int) -> list[Any]:
        """Fetch messages that are there."""
        return [self._queue.get() for _ in range(count)]

    def close(self) -> None:
        """End the simulation."""
        gc.unfreeze()
        self._open.close()


def _rabbitmq(size: int) -> Costs:
    costs = _common("RabbitMQ", size)
    with closing(_Desk("RabbitMQ")) as desk:
        # Those of the highest priority stand before all others, and end one round after the other.
        for number in range(_ROUNDS):
            desk.publish(_PER_ROUND, lifetime_s=number + 1, priority=_PRIORITIES - 1)
        desk.publish(size)
        _settle()
        costs["expiry"] = _quickest(lambda: desk.sim.run(for_=1))
        left = desk.sim.queue("sizes").ready_count
        if left != size:
            raise RuntimeError(f"{left} messages are left; expected {size}")
    return costs


def _redis(size: int) -> Costs:
    costs = _common("Redis", size)
    with closing(_Desk("Redis")) as desk:
        client = desk.sim.redis
        for number in range(size):
            client.set(f"old-{number}", b"done", ex=_LONG_S)
        _settle()
        names = itertools.count()
        costs["key with a lifetime"] = _quickest(
            lambda: [client.set(f"new-{next(names)}", b"done", ex=1) for _ in range(_PER_ROUND)]
        )
        desk.sim.run(for_=2)
        names = itertools.count()
        costs["read of an expired key"] = _quickest(
            lambda: [client.get(f"new-{next(names)}") for _ in range(_PER_ROUND)]
        )
    return costs


def _common(broker: str, size: int) -> Costs:
    """Measure at a depth that is held."""
    with closing(_Desk(broker)) as desk:
        desk.publish(size)
        _settle()
        rounds: dict[str, list[float]] = {"publish": [], "get and acknowledge": [], "give back": []}
        for _ in range(_ROUNDS):
            rounds["publish"].append(cpu_s(lambda: desk.publish(_PER_ROUND)))
            rounds["get and acknowledge"].append(cpu_s(lambda: [got.ack() for got in desk.get(_PER_ROUND)]))
            rounds["give back"].append(_giving_back_s(desk.get(_PER_ROUND)))
        return {operation: min(costs) / _PER_ROUND * 1e6 for operation, costs in rounds.items()}


def _giving_back_s(held: list[Any]) -> float:
    return cpu_s(lambda: [got.requeue() for got in held])


def _quickest(one_round: Callable[[], object]) -> float:
    return min(cpu_s(one_round) for _ in range(_ROUNDS)) / _PER_ROUND * 1e6


def _settle() -> None:
    """Have no collection of garbage walk through what is only there to fill the queue."""
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    print(json.dumps(_compare(sys.argv[1], json.loads(sys.argv[2]))))
