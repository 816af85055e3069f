"""The machine and a real RabbitMQ 3.10 do the same: publisher confirms and returns.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
Where the real server promises no order (a persistent message is confirmed when it is on disk), the
answers are compared without it.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Closed, Confirmed, Lane


def _confirming(arm: Arm) -> Lane:
    lane = arm.client().lane()
    lane.confirm()
    return lane


def test_each_publish_is_confirmed_by_its_number_on_the_channel(arm: Arm) -> None:
    client = arm.client()
    lane, silent = client.lane(), client.lane()
    queue = lane.queue(arm.name("q"))
    lane.publish("", queue, "before")
    lane.confirm()
    lane.publish("", queue, "1")
    silent.publish("", queue, "other channel")
    lane.publish("", queue, "2")
    assert lane.told() == "+1 +2"
    assert silent.told() == ""


def test_asking_twice_changes_nothing(arm: Arm) -> None:
    lane = _confirming(arm)
    queue = lane.queue(arm.name("q"))
    lane.publish("", queue, "1")
    lane.confirm()
    lane.publish("", queue, "2")
    assert lane.told() == "+1 +2"


def test_what_no_queue_takes_is_confirmed_and_returned_before(arm: Arm) -> None:
    lane = _confirming(arm)
    missing = arm.name("missing")
    lane.publish("", missing, "1")
    lane.publish("", missing, "2", mandatory=True)
    lane.publish("", missing, "3", mandatory=True)
    assert lane.told() == f"+1 {missing} +2 {missing} +3"


def test_a_rejected_publish_is_confirmed_negatively(arm: Arm) -> None:
    lane = _confirming(arm)
    queue = lane.queue(arm.name("q"), arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    for number in range(3):
        lane.publish("", queue, str(number))
        arm.settle()
    assert lane.told() == "+1 -2 -3"
    lane.purge(queue)
    lane.publish("", queue, "room")
    assert lane.told() == "+1 -2 -3 +4"


def test_a_rejected_publish_that_is_a_dead_letter_is_confirmed_negatively_too(arm: Arm) -> None:
    lane = _confirming(arm)
    dead = lane.queue(arm.name("dead"))
    queue = lane.queue(
        arm.name("q"),
        arguments={
            "x-max-length": 1,
            "x-overflow": "reject-publish-dlx",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": dead,
        },
    )
    for number in range(2):
        lane.publish("", queue, str(number))
        arm.settle()
    assert lane.told() == "+1 -2"
    assert lane.contents(dead) == "1"


def test_one_queue_that_rejects_is_enough_and_the_others_keep_the_message(arm: Arm) -> None:
    lane = _confirming(arm)
    lane.exchange(exchange := arm.name("x"), "fanout")
    queue = lane.queue(arm.name("q"))
    full = lane.queue(arm.name("full"), arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
    lane.bind(queue, exchange, "")
    lane.bind(full, exchange, "")
    lane.publish(exchange, "", "x", mandatory=True)
    assert lane.told() == "-1"
    assert lane.contents(queue) == "x"


def test_what_is_dropped_from_the_head_was_confirmed(arm: Arm) -> None:
    lane = _confirming(arm)
    queue = lane.queue(arm.name("q"), arguments={"x-max-length": 1})
    for number in range(3):
        lane.publish("", queue, str(number))
    assert lane.told() == "+1 +2 +3"


def test_what_expires_at_once_was_confirmed(arm: Arm) -> None:
    lane = _confirming(arm)
    queue = lane.queue(arm.name("q"))
    lane.publish("", queue, "x", expiration="0")
    assert lane.told() == "+1"


def test_persistent_messages_are_all_confirmed(arm: Arm) -> None:
    lane = _confirming(arm)
    queue = lane.queue(arm.name("q"), durable=True)
    for number in range(20):
        lane.publish("", queue, str(number), delivery_mode=2 if number % 2 else 1)
    lane.told()
    assert sorted(lane.answers) == [Confirmed(number, True) for number in range(1, 21)]


def test_a_message_is_confirmed_whether_it_was_acknowledged_or_not(arm: Arm) -> None:
    lane = _confirming(arm)
    queue = lane.queue(arm.name("q"), durable=True)
    lane.consume(queue, "a")
    lane.publish("", queue, "x", delivery_mode=2)
    assert lane.told() == "+1"


def test_a_refused_publish_is_not_confirmed(arm: Arm) -> None:
    lane = _confirming(arm)
    missing = arm.name("missing")
    lane.publish("", missing, "1")
    arm.settle()
    lane.publish(missing, "k", "2")
    assert lane.ends_with().code == 404
    assert lane.told() == "+1"


def test_confirms_and_transactions_exclude_each_other(arm: Arm) -> None:
    lane = _confirming(arm)
    with pytest.raises(Closed) as refused:
        lane.transact()
    closed = refused.value
    assert (closed.scope, closed.code, closed.method) == ("channel", 406, (90, 10))
    assert closed.text == "PRECONDITION_FAILED - cannot switch from confirm to tx mode"


def test_confirms_are_told_through_a_returned_and_a_dead_queue(arm: Arm) -> None:
    lane = _confirming(arm)
    queue = lane.queue(arm.name("q"))
    lane.publish("", queue, "1", mandatory=True)
    arm.settle()
    lane.delete_queue(queue)
    lane.publish("", queue, "2", mandatory=True)
    assert lane.told() == f"+1 {queue} +2"
