"""In which order kombu's Redis transport hands messages out: priorities, several queues, requeues (F30)."""

from __future__ import annotations

import contextlib
from typing import Any

import kombu
import pytest

import tqsim
from tests.simulation.redis_stories import make_app

PRIORITIES = [0, 9, 5, 3, 2, 7]


def run_order(app: Any, sends: list[tuple[str, dict[str, Any]]], **options: Any) -> list[str]:
    """Publish, then let one worker with one slot run everything; return the words in the order of their starts."""
    with tqsim.Simulation(app) as sim:
        for number, (word, how) in enumerate(sends):
            app.tasks["say"].apply_async((word,), task_id=f"{word}-{number}", **how)
        sim.worker("w1", concurrency=1, prefetch_multiplier=1, **options)
        sim.run_until_idle()
        lives = sorted(sim.history.tasks(), key=lambda task: next(
            index for index, moment in enumerate(sim.history.moments)
            if moment.task_id == task.id and moment.name == "task.started"
        ))  # fmt: skip
        return [life.id.partition("-")[0] for life in lives]


def test_lowest_number_comes_first_in_steps_of_three() -> None:
    """F30: on Redis 0 is the highest priority, and 0 to 2, 3 to 5, 6 to 8 and 9 are one step each."""
    order = run_order(make_app(), [(f"p{priority}", {"priority": priority}) for priority in PRIORITIES])
    assert order == ["p0", "p2", "p5", "p3", "p7", "p9"]


def test_priority_steps_can_be_chosen() -> None:
    app = make_app(options={"priority_steps": list(range(10))})
    order = run_order(app, [(f"p{priority}", {"priority": priority}) for priority in PRIORITIES])
    assert order == ["p0", "p2", "p3", "p5", "p7", "p9"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("round_robin", ["b", "a", "b", "a", "b", "a"]),
        ("priority", ["b", "b", "b", "a", "a", "a"]),
        ("sorted", ["a", "a", "a", "b", "b", "b"]),
    ],
)
def test_strategy_orders_queues(strategy: str, expected: list[str]) -> None:
    app = make_app(options={"queue_order_strategy": strategy})
    sends = [(queue, {"queue": queue}) for queue in "aaabbb"]
    assert run_order(app, sends, queues=["b", "a"]) == expected


def test_priority_goes_before_the_order_of_queues() -> None:
    """The list of keys is made priority by priority, whatever the strategy (``_brpop_start``)."""
    sends = [("a9", {"queue": "a", "priority": 9}), ("b0", {"queue": "b", "priority": 0})]
    for strategy in ("round_robin", "priority", "sorted"):
        app = make_app(options={"queue_order_strategy": strategy})
        assert run_order(app, sends, queues=["a", "b"]) == ["b0", "a9"]


def test_keys_have_the_prefix_and_queues_do_not() -> None:
    app = make_app(options={"global_keyprefix": "shop:"})
    with tqsim.Simulation(app) as sim:
        app.tasks["say"].delay("x")
        app.tasks["say"].apply_async(("y",), priority=9)
        assert sim.queue("celery").ready_count == 2
        assert sorted(sim.redis.keys("shop:celery*")) == [b"shop:celery", b"shop:celery\x06\x169"]
        sim.worker("w1", concurrency=1)
        sim.run_until_idle()
        sim.check(tqsim.checks.nothing_lost())


def test_without_ack_emulation_a_killed_worker_loses_its_tasks() -> None:
    app = make_app(options={"ack_emulation": False, "visibility_timeout": 60})
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        result = app.tasks["late"].delay(100)
        sim.run(for_=5)
        assert not sim.redis.exists("unacked")
        worker.kill()
        sim.worker("w2", concurrency=1)
        sim.run(for_="10m")
        assert [attempt.worker for attempt in sim.history.task(result.id).attempts] == ["w1"]


def heard_on(exchange: str) -> list[str]:
    """Bind a queue to an exchange of that type, consume it, and return what comes when a message is sent to it."""
    seen: list[str] = []
    with tqsim.Simulation(make_app()), kombu.Connection("redis://localhost:6379/2") as connection:
        channel = connection.default_channel
        kombu.Queue("q", kombu.Exchange("x", exchange), "q")(channel).declare()
        with kombu.Consumer(channel, [kombu.Queue("q")], callbacks=[lambda body, message: seen.append(body)]):
            kombu.Producer(channel).publish("a", "q")
            with contextlib.suppress(TimeoutError):
                connection.drain_events(timeout=0.1)
    return seen


def test_fanout_queue_of_one_simulation_is_none_in_the_next() -> None:
    """To kombu they are known by the class of channels, and so for a process (``Channel._fanout_queues``)."""
    assert [heard_on("fanout"), heard_on("direct")] == [[], ["a"]]
