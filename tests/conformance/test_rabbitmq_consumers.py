"""The machine and a real RabbitMQ 3.10 do the same: single active consumers, and consumers that time out.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Client, Closed, Counts, Lane


def _single(arm: Arm, lane: Lane) -> str:
    return lane.queue(arm.name("q"), arguments={"x-single-active-consumer": True})


def _join(arm: Arm, client: Client, queue: str, priorities: dict[str, int]) -> dict[str, Lane]:
    lanes = {}
    for tag, priority in priorities.items():
        lanes[tag] = client.lane()
        lanes[tag].qos(2)
        lanes[tag].consume(queue, tag, arguments={"x-priority": priority})
        arm.settle()
    return lanes


def _bodies(lanes: dict[str, Lane]) -> list[str]:
    return [lane.bodies(tag) for tag, lane in lanes.items()]


# --- single active consumer ----------------------------------------------------------------------


def test_only_the_first_consumer_is_served(arm: Arm) -> None:
    client = arm.client()
    sender = client.lane()
    queue = _single(arm, sender)
    lanes = _join(arm, client, queue, {"a": 0, "b": 0})
    sender.send(queue, *range(5))
    assert _bodies(lanes) == ["0 1", ""]
    lanes["a"].ack(1)
    assert _bodies(lanes) == ["0 1 2", ""]
    assert sender.counts(queue) == Counts(2, 2)


def test_the_next_consumer_takes_over_when_the_channel_ends(arm: Arm) -> None:
    client = arm.client()
    sender = client.lane()
    queue = _single(arm, sender)
    lanes = _join(arm, client, queue, {"a": 0, "b": 0, "c": 0})
    sender.send(queue, *range(5))
    lanes["a"].close()
    assert _bodies(lanes)[1:] == ["0* 1*", ""]
    lanes["b"].close()
    assert _bodies(lanes)[2:] == ["0* 1*"]


def test_a_higher_priority_waits_and_then_comes_first(arm: Arm) -> None:
    client = arm.client()
    sender = client.lane()
    queue = _single(arm, sender)
    lanes = _join(arm, client, queue, {"a": 0, "b": 1, "c": 5})
    sender.send(queue, *range(5))
    assert _bodies(lanes) == ["0 1", "", ""]
    lanes["a"].close()
    assert _bodies(lanes) == ["0 1", "", "0* 1*"]


def test_after_a_cancellation_the_next_consumer_waits_for_something_to_happen(arm: Arm) -> None:
    client = arm.client()
    sender = client.lane()
    queue = _single(arm, sender)
    lanes = _join(arm, client, queue, {"a": 0, "b": 0})
    sender.send(queue, *range(4))
    lanes["a"].cancel("a")
    assert _bodies(lanes) == ["0 1", ""]
    lanes["a"].reject(1)
    assert _bodies(lanes) == ["0 1", "0* 2"]


def test_consumers_of_one_channel_take_over_from_each_other(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _single(arm, lane)
    lane.consume(queue, "a")
    lane.consume(queue, "b")
    lane.send(queue, 0, 1)
    assert (lane.bodies("a"), lane.bodies("b")) == ("0 1", "")
    lane.cancel("a")
    lane.send(queue, 2)
    assert (lane.bodies("a"), lane.bodies("b")) == ("0 1", "2")


def test_a_single_consumer_queue_can_be_fetched_from(arm: Arm) -> None:
    client = arm.client()
    lane = client.lane()
    queue = _single(arm, lane)
    lane.send(queue, 0)
    assert lane.get(queue) == ("0", False, 1, 0)


def test_an_exclusive_consumer_is_refused_by_a_single_consumer_queue(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = _single(arm, lane)
    with pytest.raises(Closed) as refused:
        lane.consume(queue, exclusive=True)
    closed = refused.value
    text = f"ACCESS_REFUSED - queue '{queue}' in vhost '{arm.vhost}' in exclusive use"
    assert (closed.code, closed.text, closed.method) == (403, text, (60, 20))


# --- the consumer timeout ------------------------------------------------------------------------


def _timed_out(timeout_ms: int) -> str:
    return (
        f"PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {timeout_ms} "
        "ms. This timeout value can be configured, see consumers doc guide to learn more"
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["consume", "get"])
def test_a_channel_that_keeps_a_message_too_long_is_closed(arm: Arm, how: str) -> None:
    client = arm.impatient(timeout_ms=1_500, tick_ms=500)
    lane = client.lane()
    queue = lane.queue(arm.name("q"))
    lane.send(queue, 1, 2)
    if how == "consume":
        lane.consume(queue, "a")
    else:
        lane.get(queue)
    arm.wait(800)
    assert lane.closed is None
    arm.wait(2_000)
    closed = lane.ends_with()
    assert (closed.scope, closed.code, closed.text, closed.method) == ("channel", 406, _timed_out(1_500), (0, 0))
    other = arm.client().lane()
    assert other.fetch_all(queue) == [("1", True), ("2", how == "consume")]


@pytest.mark.slow
def test_only_the_oldest_delivery_counts_and_an_acknowledgement_in_time_saves_the_channel(arm: Arm) -> None:
    client = arm.impatient(timeout_ms=2_000, tick_ms=300)
    lane = client.lane()
    queue = lane.queue(arm.name("q"))
    lane.consume(queue, "a")
    lane.send(queue, 1)
    for number in range(2, 5):
        arm.wait(900)
        lane.send(queue, number)
        lane.ack(number - 1)
    assert lane.bodies("a") == "1 2 3 4"
    assert lane.closed is None


@pytest.mark.slow
def test_a_consumer_without_acknowledgement_never_times_out(arm: Arm) -> None:
    client = arm.impatient(timeout_ms=500, tick_ms=200)
    lane = client.lane()
    queue = lane.queue(arm.name("q"))
    lane.consume(queue, "a", no_ack=True)
    lane.send(queue, 1)
    arm.wait(1_500)
    assert lane.closed is None
