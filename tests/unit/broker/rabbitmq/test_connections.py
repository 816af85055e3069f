"""Connections: channels, ends, exclusive queues."""

from __future__ import annotations

import pytest

from tests.unit.broker.rabbitmq.worlds import World, delivered, publish
from tqsim.broker.rabbitmq import Refusal


def test_channels_take_the_lowest_free_number_or_the_one_asked_for(world: World) -> None:
    connection = world.connect()
    one, two, five = connection.channel(), connection.channel(), connection.channel(5)
    assert [channel.number for channel in (one, two, five)] == [1, 2, 5]
    one.close()
    again = connection.channel()
    assert (again.number, again is one) == (1, False)
    with pytest.raises(Refusal, match=r"second 'channel\.open' seen"):
        connection.channel(5)
    assert not connection.is_open


def test_all_channels_end_before_anything_is_delivered_again(world: World) -> None:
    connection, other = world.connect("w1"), world.channel("w2")
    other.queue_declare("q")
    channels = [connection.channel() for _ in range(2)]
    for number, channel in enumerate(channels):
        channel.basic_qos(1)
        channel.basic_consume("q", f"c{number}")
    publish(other, "q", "1", "2", "3")
    connection.outbox.clear()
    other.basic_consume("q", "late")
    assert delivered(other.connection) == [("late", "3", False)]
    connection.abort()
    # Neither message went to the connection's other channel on its way.
    assert delivered(other.connection) == [("late", "1", True), ("late", "2", True)]
    assert list(connection.outbox) == []


@pytest.mark.parametrize("end", ["close", "abort"])
def test_the_end_of_a_connection_deletes_its_exclusive_queues(world: World, end: str) -> None:
    connection = world.connect("w1")
    channel = connection.channel()
    channel.queue_declare("mine", exclusive=True, durable=True)
    channel.queue_declare("shared")
    getattr(connection, end)()
    getattr(connection, end)()
    assert [view.name for view in world.server.queues()] == ["shared"]
    closed = [fields for name, fields in world.moments if name == "connection.closed"]
    assert [fields["reason"] for fields in closed] == [{"close": "closed by client", "abort": "lost"}[end]]
    assert world.server.connections() == []


def test_a_deleted_exclusive_queue_can_be_declared_by_another(world: World) -> None:
    first, second = world.channel("one"), world.channel("two")
    first.queue_declare("q", exclusive=True)
    first.queue_delete("q")
    second.queue_declare("q", exclusive=True)
    first.connection.close()
    assert world.server.queue("q").exclusive


def test_the_reader_is_notified_of_each_event(world: World) -> None:
    one, two = world.channel("one"), world.channel("two")
    one.queue_declare("q")
    one.basic_consume("q", "a")
    publish(two, "q", "1", "2")
    assert world.notified == ["one", "one"]
    assert one.connection.vhost == "/"
