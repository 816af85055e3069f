"""The machine and a real RabbitMQ 3.10 do the same: what a quorum queue counts as a consumer, and its expiry.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.  The
cases were found by generated programs (``test_rabbitmq_programs.py``); the source is ``rabbit_fifo.erl``.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.rabbitmq_arms import Arm, Counts, Lane


def _quorum(arm: Arm, lane: Lane, stem: str = "q", **more: Any) -> str:
    arguments = {"x-queue-type": "quorum", **{name.replace("_", "-"): value for name, value in more.items()}}
    return lane.queue(arm.name(stem), durable=True, arguments=arguments)


def test_each_fetched_message_that_is_open_counts_as_a_consumer(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _quorum(arm, lane)
    lane.send(queue, *range(4))
    lane.get(queue, no_ack=True)
    assert arm.counts(queue) == Counts(3, 0)
    lane.get(queue)
    lane.get(queue)
    assert arm.counts(queue) == Counts(1, 2)
    lane.ack(2)
    arm.wait(200)
    assert arm.counts(queue) == Counts(1, 1)
    lane.reject(3)
    arm.wait(200)
    assert arm.counts(queue) == Counts(2, 0)


def test_a_cancelled_consumer_counts_until_it_has_settled_what_it_had(arm: Arm) -> None:
    client = arm.client()
    lane, other = client.lane(), client.lane()
    queue = _quorum(arm, lane)
    lane.send(queue, *range(2))
    lane.consume(queue, "a")
    arm.settle()
    lane.cancel("a")
    other.consume(queue, "b")
    arm.wait(200)
    assert arm.counts(queue) == Counts(0, 2)
    lane.ack(1)
    arm.wait(200)
    assert arm.counts(queue) == Counts(0, 2)
    lane.ack(2)
    arm.wait(200)
    assert arm.counts(queue) == Counts(0, 1)
    lane.get(queue)
    lane.close()
    arm.wait(200)
    assert arm.counts(queue) == Counts(0, 1)


def test_of_single_consumers_only_the_one_that_is_served_counts(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _quorum(arm, lane, x_single_active_consumer=True)
    for tag in "abc":
        lane.consume(queue, tag)
    arm.wait(200)
    assert arm.counts(queue) == Counts(0, 1)
    lane.send(queue, 0)
    lane.cancel("a")
    arm.wait(200)
    # The next one is served, and a still has a message.
    assert arm.counts(queue) == Counts(0, 2)
    lane.ack(1)
    arm.wait(200)
    assert arm.counts(queue) == Counts(0, 1)


def test_an_unused_queue_goes_at_a_tick_of_five_seconds(arm: Arm) -> None:
    """``quorum_tick_interval`` is 5000 ms, counted from the declaration; to look does not renew anything."""
    lane = arm.client().lane()
    queue = _quorum(arm, lane, x_expires=1_000)
    arm.wait(4_500)
    assert arm.counts(queue) == Counts(0, 0)
    arm.wait(1_200)
    assert arm.counts(queue) is None
