"""The machine and a real RabbitMQ 3.10 do the same: messages that expire.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Counts, Lane


def _ttl_queue(arm: Arm, lane: Lane, ttl_ms: int, stem: str = "q", **more: object) -> str:
    arguments = {"x-message-ttl": ttl_ms, **{name.replace("_", "-"): value for name, value in more.items()}}
    return lane.queue(arm.name(stem), arguments=arguments)


def test_messages_of_a_queue_with_a_lifetime_expire(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _ttl_queue(arm, lane, 1_500)
    lane.send(queue, 1)
    arm.wait(700)
    lane.send(queue, 2)
    assert lane.counts(queue) == Counts(2, 0)
    arm.wait(800)
    assert lane.counts(queue) == Counts(1, 0)
    arm.wait(800)
    assert lane.counts(queue) == Counts(0, 0)


def test_a_message_expires_by_itself_in_any_queue(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.send(queue, "short", expiration="300")
    lane.send(queue, "kept")
    arm.wait(500)
    assert lane.fetch_all(queue) == [("kept", False)]


def test_only_the_head_of_a_queue_expires(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.send(queue, "long", expiration="60000")
    lane.send(queue, "short", expiration="200")
    lane.send(queue, "never")
    arm.wait(500)
    assert lane.counts(queue) == Counts(3, 0)
    assert lane.get(queue, no_ack=True) == ("long", False, 1, 1)  # the next one went with it
    assert lane.contents(queue) == "never"


def test_the_shorter_of_two_lifetimes_holds(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _ttl_queue(arm, lane, 400)
    lane.send(queue, "own", expiration="60000")
    arm.wait(600)
    assert lane.counts(queue) == Counts(0, 0)
    other = _ttl_queue(arm, lane, 60_000, "other")
    lane.send(other, "own", expiration="200")
    arm.wait(500)
    assert lane.counts(other) == Counts(0, 0)


def test_a_lifetime_of_zero_is_for_a_consumer_that_waits(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _ttl_queue(arm, lane, 0)
    other = lane.queue(arm.name("other"))
    lane.send(queue, "lost")
    lane.send(other, "lost", expiration="0")
    assert (lane.counts(queue), lane.counts(other)) == (Counts(0, 0), Counts(0, 0))
    lane.qos(1)
    lane.consume(queue, "a")
    lane.consume(other, "b")
    lane.send(queue, "seen")
    lane.send(queue, "no room")
    lane.send(other, "seen", expiration="0")
    lane.send(other, "no room", expiration="0")
    assert (lane.bodies("a"), lane.bodies("b")) == ("seen", "seen")
    lane.ack(0, multiple=True)
    assert (lane.bodies("a"), lane.bodies("b")) == ("seen", "seen")


def test_a_delivered_message_does_not_expire_until_it_comes_back(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _ttl_queue(arm, lane, 300)
    lane.send(queue, 1, 2)
    assert lane.get(queue) == ("1", False, 1, 1)
    arm.wait(600)
    lane.reject(1)
    arm.settle()
    assert lane.counts(queue) == Counts(0, 0)
    lane.send(queue, 3)
    assert lane.get(queue) == ("3", False, 2, 0)
    lane.reject(2)
    assert lane.fetch_all(queue) == [("3", True)]


def test_a_requeued_message_keeps_its_time(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _ttl_queue(arm, lane, 1_500)
    lane.send(queue, 1)
    lane.get(queue)
    arm.wait(700)
    lane.reject(1)
    arm.settle()
    assert lane.counts(queue) == Counts(1, 0)
    arm.wait(800)
    assert lane.counts(queue) == Counts(0, 0)


def test_expired_messages_behind_a_delivered_one_go_when_they_are_the_head(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.send(queue, "first")
    lane.send(queue, "second", expiration="200")
    lane.send(queue, "third", expiration="60000")
    arm.wait(400)
    lane.qos(1)
    lane.consume(queue, "a")
    assert lane.bodies("a") == "first"
    lane.ack(1)
    assert lane.bodies("a") == "first third"


def test_in_a_priority_queue_the_head_is_that_of_the_highest_priority(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"), arguments={"x-max-priority": 5})
    lane.send(queue, "low", priority=1, expiration="300")
    lane.send(queue, "high", priority=4)
    arm.wait(600)
    # The timer of the low one rang, but it was no longer the head.
    assert lane.counts(queue) == Counts(2, 0)
    assert lane.fetch_all(queue) == [("high", False)]


@pytest.mark.parametrize("expiration", ["+5", "01"])
def test_a_number_may_be_written_in_other_ways(arm: Arm, expiration: str) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.publish("", queue, "x", expiration=expiration)
    arm.wait(200)
    assert (lane.closed, lane.counts(queue)) == (None, Counts(0, 0))


@pytest.mark.parametrize(
    ("expiration", "reason"),
    [
        ("abc", "no_integer"),
        ("", "no_integer"),
        (" 1", "no_integer"),
        ("-1", "{value_negative,-1}"),
        ("1.5", '{leftover_string,".5"}'),
        ("1 ", '{leftover_string," "}'),
        ("315360000001", "{value_too_large,315360000001}"),
    ],
)
def test_an_expiration_that_is_no_period_closes_the_channel(arm: Arm, expiration: str, reason: str) -> None:
    lane = arm.client().lane()
    lane.publish("", arm.name("missing"), "x", expiration=expiration, mandatory=True)
    closed = lane.ends_with()
    text = f"PRECONDITION_FAILED - invalid expiration '{expiration}': {reason}"
    assert (closed.scope, closed.code, closed.text, closed.method) == ("channel", 406, text, (60, 40))
    assert lane.returned == []


def test_a_missing_exchange_is_refused_before_a_wrong_expiration(arm: Arm) -> None:
    lane = arm.client().lane()
    lane.publish(missing := arm.name("missing"), "k", "x", expiration="abc")
    assert lane.ends_with().text == f"NOT_FOUND - no exchange '{missing}' in vhost '{arm.vhost}'"


def test_the_expiration_stays_a_property_of_the_message(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.publish("", queue, "x", expiration="60000")
    assert lane.letter(queue).properties["expiration"] == "60000"
