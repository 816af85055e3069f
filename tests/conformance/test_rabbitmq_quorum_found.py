"""The machine and a real RabbitMQ 3.10 do the same: what generated programs found of quorum queues.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.  The
programs are those of ``test_rabbitmq_programs.py``; the source is ``rabbit_fifo.erl`` unless another is named.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rabbitmq_arms import Arm, Closed, Counts, Lane


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


def test_an_argument_of_another_type_is_not_looked_into(arm: Arm) -> None:
    """``check_declare_arguments`` in ``rabbit_amqqueue.erl`` checks the values of the type's own alone."""
    lane = arm.client().lane()
    with pytest.raises(Closed) as refused:
        _quorum(arm, lane, x_max_priority=256)
    place = f"queue '{arm.name('q')}' in vhost '{arm.vhost}'"
    text = f"PRECONDITION_FAILED - invalid arg 'x-max-priority' for {place} of queue type rabbit_quorum_queue"
    assert refused.value.text == text


def test_several_that_are_dropped_at_once_die_in_reverse_order(arm: Arm) -> None:
    """``drop_head`` puts the effect of each before those of the earlier ones."""
    lane, holder = arm.client().lane(), arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _quorum(arm, lane, x_max_length=1, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    holder.consume(queue, "a")
    lane.send(queue, *range(4))
    arm.wait(200)
    holder.close()
    arm.wait(300)
    assert lane.contents(dead) == "2 1 0"
    assert lane.contents(queue) == "3"


def test_what_comes_back_is_served_before_it_is_dropped(arm: Arm) -> None:
    lane, holder = arm.client().lane(), arm.client().lane()
    queue = _quorum(arm, lane, x_max_length=1)
    holder.consume(queue, "a")
    lane.send(queue, *range(4))
    lane.qos(2)
    lane.consume(queue, "b")
    arm.wait(200)
    holder.close()
    arm.wait(300)
    assert lane.bodies("b") == "0* 1*"
    lane.cancel("b")
    assert lane.contents(queue) == "3"


@pytest.mark.parametrize(("no_ack", "left"), [(False, 2), (True, 0)])
def test_what_is_overdue_is_counted_as_left_unless_it_is_fetched_for_good(arm: Arm, no_ack: bool, left: int) -> None:
    lane = arm.client().lane()
    queue = _quorum(arm, lane)
    lane.send(queue, "a")
    lane.send(queue, "b", "c", expiration="0")
    arm.wait(100)
    assert lane.get(queue, no_ack=no_ack) == ("a", False, 1, left)
    arm.wait(200)
    assert arm.counts(queue) == Counts(0, 0 if no_ack else 1)


@pytest.mark.parametrize("is_single", [False, True])
def test_a_channel_wide_prefetch_that_comes_later_limits_nothing(arm: Arm, is_single: bool) -> None:
    lane = arm.client().lane()
    queue = _quorum(arm, lane, x_single_active_consumer=is_single)
    lane.consume(queue, "a")
    lane.qos(1, shared=True)
    lane.send(queue, *range(3))
    arm.wait(300)  # until its log is written
    assert lane.bodies("a") == "0 1 2"


def test_an_argument_of_another_type_is_not_compared(arm: Arm) -> None:
    """``assert_args_equivalence`` in ``rabbit_amqqueue.erl`` compares those of the queue's own type."""
    lane = arm.client().lane()
    queue = _quorum(arm, lane)
    assert _quorum(arm, lane, x_queue_mode="lazy", x_max_priority=5) == queue
    plain = lane.queue(arm.name("plain"))
    assert lane.queue(plain, arguments={"x-delivery-limit": 5}) == plain
