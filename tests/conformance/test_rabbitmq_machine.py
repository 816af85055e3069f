"""The machine and a real RabbitMQ 3.10 do the same: turns, prefetch, settling.

Each body runs on both arms and compares with the same literals.  Routing and life cycles are in
``test_rabbitmq_machine_names.py``, refusals and their texts in
``test_rabbitmq_machine_refusals.py``.  Run the real arm with ``-m conformance``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Counts
from tests.conformance.rabbitmq_queues import classic_queue

# --- turns ---------------------------------------------------------------------------------------


def test_consumers_take_turns_and_a_late_one_joins_at_the_end(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane)
    for tag in "abc":
        lane.consume(queue, tag)
    lane.send(queue, *range(7))
    lane.consume(queue, "d")
    lane.send(queue, *range(7, 14))
    # After seven messages it is b's turn: b c a d, b c a.
    assert {tag: lane.bodies(tag) for tag in "abcd"} == {
        "a": "0 3 6 9 13",
        "b": "1 4 7 11",
        "c": "2 5 8 12",
        "d": "10",
    }


@pytest.mark.parametrize("shared", [False, True])
def test_with_prefetch_one_whoever_acknowledges_gets_the_next(arm: Arm, shared: bool) -> None:
    client = arm.client()
    queue = classic_queue(arm, client.lane(), *range(8))
    a, b = client.lane(), client.lane()
    for lane, tag in ((a, "a"), (b, "b")):
        lane.qos(1, shared)
        lane.consume(queue, tag)
        arm.settle()
    for lane, tag_number in ((b, 1), (b, 2), (a, 1), (b, 3)):
        lane.ack(tag_number)
        arm.settle()
    assert (a.bodies("a"), b.bodies("b")) == ("0 4", "1 2 3 5")


@pytest.mark.parametrize("shared", [False, True])
def test_a_full_consumer_keeps_its_place_while_nothing_is_ready(arm: Arm, shared: bool) -> None:
    client = arm.client()
    sender = client.lane()
    queue = classic_queue(arm, sender)
    lanes = {tag: client.lane() for tag in "ab"}
    for tag, lane in lanes.items():
        lane.qos(2, shared)
        lane.consume(queue, tag)
    sender.send(queue, *range(4))
    # Both are full, and neither has been tried since: a is still at the head.
    lanes["b"].ack(1)
    arm.settle()
    lanes["a"].ack(1)
    arm.settle()
    sender.send(queue, 4)
    sender.send(queue, 5)
    assert (lanes["a"].bodies("a"), lanes["b"].bodies("b")) == ("0 2 4", "1 3 5")


@pytest.mark.parametrize("shared", [False, True])
def test_a_full_consumer_that_was_passed_over_rejoins_at_the_end(arm: Arm, shared: bool) -> None:
    client = arm.client()
    sender = client.lane()
    queue = classic_queue(arm, sender)
    lanes = {tag: client.lane() for tag in "ab"}
    for tag, lane in lanes.items():
        lane.qos(2, shared)
        lane.consume(queue, tag)
    sender.send(queue, *range(5))  # the fifth finds both full
    lanes["b"].ack(1)  # takes the fifth
    arm.settle()
    lanes["b"].ack(2)
    arm.settle()
    lanes["a"].ack(1)
    arm.settle()
    sender.send(queue, 5, 6, 7)
    assert (lanes["a"].bodies("a"), lanes["b"].bodies("b")) == ("0 2 6", "1 3 4 5")


def test_consumers_of_higher_priority_come_first_while_they_have_room(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane)
    lane.qos(2)
    lane.consume(queue, "low")
    lane.consume(queue, "high", arguments={"x-priority": 5})
    lane.send(queue, *range(5))
    assert (lane.bodies("high"), lane.bodies("low")) == ("0 1", "2 3")


# --- prefetch ------------------------------------------------------------------------------------


def test_prefetch_of_a_consumer_is_fixed_when_it_joins(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(9))
    lane.qos(2)
    lane.consume(queue, "early")
    lane.qos(4)
    lane.consume(queue, "late")
    assert (lane.bodies("early"), lane.bodies("late")) == ("0 1", "2 3 4 5")


def test_both_kinds_of_prefetch_hold_and_a_raised_limit_delivers_at_once(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(12))
    lane.qos(2)
    lane.qos(5, shared=True)
    for tag in "abc":
        lane.consume(queue, tag)
        arm.settle()
    assert [lane.bodies(tag) for tag in "abc"] == ["0 1", "2 3", "4"]
    lane.qos(7, shared=True)
    assert [lane.bodies(tag) for tag in "abc"] == ["0 1", "2 3", "4 5"]
    lane.qos(3, shared=True)
    lane.ack(2, multiple=True)  # four are open, the limit is three
    assert [lane.bodies(tag) for tag in "abc"] == ["0 1", "2 3", "4 5"]
    lane.ack(5, multiple=True)  # one is open
    assert [lane.bodies(tag) for tag in "abc"] == ["0 1", "2 3 7", "4 5 6"]
    lane.qos(0, shared=True)
    assert [lane.bodies(tag) for tag in "abc"] == ["0 1 8 10", "2 3 7 9", "4 5 6"]


def test_setting_the_consumers_prefetch_lifts_the_channels_limit(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(5))
    lane.qos(2, shared=True)
    lane.consume(queue, "a")
    assert lane.bodies("a") == "0 1"
    lane.qos(1)
    assert lane.bodies("a") == "0 1 2 3 4"


def test_a_fetched_message_open_before_the_limit_takes_a_place_for_good(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(6))
    lane.get(queue)
    lane.qos(2, shared=True)
    lane.consume(queue, "a")
    assert lane.bodies("a") == "1"
    lane.ack(1)
    assert lane.bodies("a") == "1"
    lane.ack(2)
    assert lane.bodies("a") == "1 2"


def test_a_message_fetched_under_a_limit_takes_no_place(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(6))
    lane.qos(2, shared=True)
    lane.get(queue)
    lane.consume(queue, "a")
    assert lane.bodies("a") == "1 2"


def test_a_consumer_without_acknowledgement_waits_for_the_channels_limit_but_does_not_count(
    arm: Arm,
) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(2))
    other = classic_queue(arm, lane, *"xyz", stem="other")
    lane.qos(2, shared=True)
    lane.consume(queue, "a")
    arm.settle()
    lane.consume(other, "free", no_ack=True)
    assert (lane.bodies("a"), lane.bodies("free")) == ("0 1", "")
    lane.ack(1)
    assert lane.bodies("free") == "x y z"


def test_a_consumer_without_acknowledgement_ignores_its_own_prefetch(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(4))
    lane.qos(2)
    lane.consume(queue, "a", no_ack=True)
    assert lane.bodies("a") == "0 1 2 3"


# --- settling and places -------------------------------------------------------------------------


def test_requeued_messages_stand_where_they_stood(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(6))
    for _ in range(5):
        lane.get(queue)
    for number in (4, 2, 5, 1):  # the third, body 2, stays out
        lane.reject(number)
    arm.settle()
    assert lane.fetch_all(queue) == [("0", True), ("1", True), ("3", True), ("4", True), ("5", False)]


def test_priority_queue_delivers_by_priority_and_requeues_within_it(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"), arguments={"x-max-priority": 5})
    for number, priority in enumerate([1, 5, None, 9, 0, 3, 5, 3]):
        if priority is None:
            lane.publish("", queue, str(number))
        else:
            lane.publish("", queue, str(number), priority=priority)
    arm.settle()
    fetched = [lane.get(queue) for _ in range(8)]
    # 9 counts as 5, a missing priority as 0.
    assert [message.body for message in fetched if message] == list("13657024")
    for index in (5, 1, 3, 0):
        message = fetched[index]
        assert message is not None
        lane.reject(message.tag)
    lane.send(queue, "new", priority=5)
    assert lane.fetch_all(queue) == [("1", True), ("3", True), ("new", False), ("5", True), ("0", True)]


def test_a_rejected_message_comes_back_to_the_only_consumer_at_once(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(3))
    lane.qos(1)
    lane.consume(queue, "a")
    arm.settle()
    lane.reject(1)
    assert lane.bodies("a") == "0 0*"
    lane.nack(2, requeue=False)
    assert lane.bodies("a") == "0 0* 1"


def test_multiple_settles_all_up_to_the_tag_and_zero_settles_all(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(8))
    for _ in range(7):
        lane.get(queue)
    lane.ack(2)
    lane.ack(3, multiple=True)
    lane.nack(5, multiple=True)
    lane.nack(0, multiple=True, requeue=False)
    lane.ack(0, multiple=True)  # nothing is open, and that is no error
    arm.settle()
    assert lane.closed is None
    assert lane.fetch_all(queue) == [("3", True), ("4", True), ("7", False)]


def test_recover_requeues_everything_on_the_channel(arm: Arm) -> None:
    client = arm.client()
    lane, other = client.lane(), client.lane()
    queue = classic_queue(arm, lane, *range(5))
    other.get(queue)
    lane.get(queue)
    lane.get(queue)
    lane.recover()
    assert lane.fetch_all(queue) == [("1", True), ("2", True), ("3", False), ("4", False)]
    other.recover()
    assert lane.fetch_all(queue) == [("0", True)]


@pytest.mark.parametrize("end", ["channel", "connection", "abort"])
def test_the_end_of_a_channel_requeues_what_it_had(arm: Arm, end: str) -> None:
    client, watcher = arm.client(), arm.client().lane()
    lane = client.lane()
    queue = classic_queue(arm, lane, *range(5))
    lane.qos(2)
    lane.consume(queue, "a")
    assert lane.bodies("a") == "0 1"
    lane.get(queue)
    if end == "channel":
        lane.close()
    elif end == "connection":
        client.close()
    else:
        client.abort()
    arm.settle()
    assert arm.counts(queue) == Counts(5, 0)
    expected = [("0", True), ("1", True), ("2", True), ("3", False), ("4", False)]
    assert watcher.fetch_all(queue) == expected


def test_a_cancelled_consumer_keeps_what_it_has(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(3))
    lane.consume(queue, "a")
    arm.settle()
    lane.cancel("a")
    lane.cancel("unknown")
    assert lane.counts(queue) == Counts(0, 0)
    lane.ack(1)
    lane.close()
    arm.settle()
    assert arm.counts(queue) == Counts(2, 0)


def test_purge_drops_ready_messages_only(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(5))
    lane.get(queue)
    assert lane.purge(queue) == 4
    lane.recover()
    assert lane.fetch_all(queue) == [("0", True)]


def test_a_get_tells_what_is_left_and_nothing_of_an_empty_queue(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = classic_queue(arm, lane, *range(2))
    assert lane.get(queue) == ("0", False, 1, 1)
    assert lane.get(queue, no_ack=True) == ("1", False, 2, 0)
    assert lane.get(queue) is None
