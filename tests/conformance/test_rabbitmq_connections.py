"""The machine and a real RabbitMQ 3.10 do the same: clients without heartbeats, and the memory alarm.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Counts


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_silent_client_is_given_up_after_three_heartbeats(arm: Arm, kind: str) -> None:
    watcher = arm.client().lane()
    queue = watcher.queue(arm.name("q"), durable=True, arguments={"x-queue-type": kind})
    watcher.send(queue, 1)
    arm.wait(200)
    client = arm.client(heartbeat_s=2)
    lane = client.lane()
    assert lane.get(queue) == ("1", False, 1, 0)
    arm.wait(4_500)
    assert not client.is_lost
    arm.wait(2_500)
    assert (client.is_lost, client.closed) == (True, None)
    assert watcher.fetch_all(queue) == [("1", True)]


@pytest.mark.slow
def test_a_word_of_the_client_counts_as_a_heartbeat(arm: Arm) -> None:
    client = arm.client(heartbeat_s=2)
    lane = client.lane()
    for _ in range(4):
        arm.wait(2_000)
        lane.publish("", arm.name("nowhere"), "still here")
    arm.settle()
    assert not client.is_lost


@pytest.mark.slow
def test_without_heartbeats_nobody_is_given_up(arm: Arm) -> None:
    client = arm.client()
    client.lane()
    arm.wait(4_000)
    assert not client.is_lost


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_memory_alarm_blocks_those_that_publish_until_it_is_over(arm: Arm, kind: str) -> None:
    sender, taker, idle = arm.client(), arm.client(), arm.client()
    lane, consumer = sender.lane(), taker.lane()
    idle.lane()
    queue = lane.queue(arm.name("q"), durable=True, arguments={"x-queue-type": kind})
    consumer.consume(queue, "a")
    lane.send(queue, 0)
    arm.alarm(True)
    arm.settle()
    assert sender.told == []
    lane.send(queue, 1, 2)
    assert consumer.bodies("a") == "0"
    # Whoever does not publish goes on.
    consumer.ack(1)
    assert consumer.counts(queue) == Counts(0, 1)
    assert [client.told for client in (sender, taker, idle)] == [["blocked"], [], []]
    arm.alarm(False)
    assert consumer.bodies("a") == "0 1 2"
    assert [client.told for client in (sender, taker, idle)] == [["blocked", "unblocked"], [], []]


@pytest.mark.slow
def test_a_blocked_client_cannot_even_acknowledge(arm: Arm) -> None:
    client, watcher = arm.client(), arm.client().lane()
    lane = client.lane()
    queue, other = lane.queue(arm.name("q")), lane.queue(arm.name("other"))
    lane.qos(1)
    lane.consume(queue, "a")
    lane.send(queue, 1, 2)
    assert lane.bodies("a") == "1"
    arm.alarm(True)
    lane.publish("", other, "held")
    lane.ack(1)
    assert lane.bodies("a") == "1"
    assert watcher.counts(other) == Counts(0, 0)
    arm.alarm(False)
    assert lane.bodies("a") == "1 2"
    assert watcher.contents(other) == "held"


@pytest.mark.slow
def test_confirms_come_after_the_alarm(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"))
    lane.confirm()
    arm.alarm(True)
    lane.publish("", queue, "1")
    lane.publish("", arm.name("missing"), "2", mandatory=True)
    assert lane.told() == ""
    arm.alarm(False)
    told = lane.told().split()
    assert sorted(told) == sorted(["+1", arm.name("missing"), "+2"])
    assert told.index(arm.name("missing")) < told.index("+2")
