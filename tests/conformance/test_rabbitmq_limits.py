"""The machine and a real RabbitMQ 3.10 do the same: queues that are full.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Counts, Lane


def _limited(arm: Arm, lane: Lane, stem: str = "q", **arguments: object) -> str:
    return lane.queue(arm.name(stem), arguments={name.replace("_", "-"): value for name, value in arguments.items()})


@pytest.mark.parametrize("overflow", [None, "drop-head"])
def test_a_full_queue_drops_its_head(arm: Arm, overflow: str | None) -> None:
    lane = arm.client().lane()
    more = {} if overflow is None else {"x_overflow": overflow}
    queue = _limited(arm, lane, x_max_length=3, **more)
    lane.send(queue, *range(5))
    assert lane.contents(queue) == "2 3 4"


def test_only_ready_messages_count(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=2)
    lane.qos(2)
    lane.consume(queue, "a")
    lane.send(queue, *range(5))
    assert lane.bodies("a") == "0 1"
    assert lane.counts(queue) == Counts(2, 1)
    lane.ack(2, multiple=True)
    assert lane.bodies("a") == "0 1 3 4"


def test_messages_that_come_back_count_and_the_head_goes(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=2)
    lane.send(queue, 0, 1)
    lane.get(queue)
    lane.send(queue, 2)
    lane.reject(1)
    assert lane.contents(queue) == "1 2"


def test_bytes_of_bodies_count(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length_bytes=10)
    lane.send(queue, "aaaa", "bbbb", "cc", "d", application_headers={"long": "h" * 100})
    assert lane.contents(queue) == "bbbb cc d"
    lane.send(queue, "e" * 11)
    assert lane.counts(queue) == Counts(0, 0)
    lane.send(queue, "f" * 10)
    assert lane.counts(queue) == Counts(1, 0)
    lane.purge(queue)
    lane.send(queue, "g" * 6, "ü" * 2)
    assert lane.counts(queue) == Counts(2, 0)


def test_both_limits_hold(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=3, x_max_length_bytes=5)
    lane.send(queue, "a", "b", "c", "d")
    assert lane.counts(queue) == Counts(3, 0)
    lane.send(queue, "eeee")
    assert lane.contents(queue) == "d eeee"


def test_a_queue_of_length_zero_is_for_consumers_that_wait(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=0)
    lane.send(queue, "lost")
    lane.qos(1)
    lane.consume(queue, "a")
    lane.send(queue, "seen", "lost")
    lane.ack(1)
    assert lane.bodies("a") == "seen"


def test_a_full_queue_that_rejects_has_no_room_even_for_a_waiting_consumer(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=0, x_overflow="reject-publish")
    lane.consume(queue, "a")
    lane.send(queue, "lost")
    assert lane.bodies("a") == ""


def test_a_full_priority_queue_drops_the_highest_priority(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=3, x_max_priority=5)
    for number, priority in enumerate([1, 5, 0, 3, 2]):
        lane.publish("", queue, str(number), priority=priority)
    assert lane.contents(queue) == "4 0 2"


def test_dropped_heads_are_dead_letters_in_order(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _limited(arm, lane, x_max_length=2, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    lane.send(queue, *range(4))
    assert lane.counts(queue) == Counts(2, 0)
    first, second = lane.letter(dead), lane.letter(dead)
    assert [first.body, second.body] == ["0", "1"]
    assert first.deaths == [(queue, "maxlen", 1)]


@pytest.mark.parametrize("overflow", ["reject-publish", "reject-publish-dlx"])
def test_a_queue_that_rejects_keeps_what_it_has(arm: Arm, overflow: str) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _limited(
        arm,
        lane,
        x_max_length=2,
        x_overflow=overflow,
        x_dead_letter_exchange="",
        x_dead_letter_routing_key=dead,
    )
    lane.send(queue, *range(4))
    assert lane.contents(queue) == "0 1"
    if overflow == "reject-publish":
        assert lane.counts(dead) == Counts(0, 0)
    else:
        letter = lane.letter(dead)
        assert (letter.body, letter.deaths) == ("2", [(queue, "maxlen", 1)])
        assert lane.contents(dead) == "3"


def test_a_queue_that_rejects_may_grow_by_what_comes_back(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=1, x_overflow="reject-publish")
    lane.send(queue, 0)
    lane.get(queue)
    lane.send(queue, 1)
    lane.reject(1)
    assert lane.contents(queue) == "0 1"


def test_bytes_are_rejected_too(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length_bytes=10, x_overflow="reject-publish")
    lane.send(queue, "a" * 6, "b" * 5, "c" * 4, "d")
    assert lane.contents(queue) == "a" * 6 + " " + "c" * 4


def test_a_mandatory_message_that_is_rejected_does_not_come_back(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _limited(arm, lane, x_max_length=1, x_overflow="reject-publish")
    lane.send(queue, 0)
    lane.publish("", queue, "1", mandatory=True)
    assert lane.contents(queue) == "0"
    assert lane.returned == []


def test_the_end_of_a_consumer_may_overfill_the_queue(arm: Arm) -> None:
    client = arm.client()
    sender, lane = client.lane(), client.lane()
    dead = sender.queue(arm.name("dead"))
    queue = _limited(arm, sender, x_max_length=2, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    lane.qos(2)
    lane.consume(queue, "a")
    sender.send(queue, *range(4))
    lane.close()
    assert sender.contents(queue) == "2 3"
    assert sender.contents(dead) == "0 1"
