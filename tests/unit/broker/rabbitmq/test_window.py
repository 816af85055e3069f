"""The open deliveries of a channel."""

from __future__ import annotations

from tests.unit.broker.rabbitmq.worlds import World, delivered, publish
from tqsim.broker.rabbitmq import Channel


def _with_open_deliveries(world: World, count: int) -> Channel:
    channel = world.channel()
    channel.queue_declare("q")
    publish(channel, "q", *map(str, range(count)))
    for _ in range(count):
        channel.basic_get("q")
    return channel


def test_tags_count_from_one_and_go_on_after_a_recover(world: World) -> None:
    channel = _with_open_deliveries(world, 2)
    channel.basic_recover()
    got = channel.basic_get("q")
    assert got is not None
    assert (got.delivery_tag, got.delivery_number, got.redelivered) == (3, 3, True)


def test_multiple_walks_over_each_tag_once(world: World) -> None:
    channel = _with_open_deliveries(world, 10)
    for tag in (2, 3, 7):
        channel.basic_ack(tag)
    channel.basic_ack(5, multiple=True)
    assert list(channel.window.unacked) == [6, 8, 9, 10]
    assert channel.window._oldest_tag == 6
    channel.basic_ack(0, multiple=True)
    assert (channel.window.unacked, channel.window._oldest_tag) == ({}, 11)
    assert world.server.queue("q").unacked_count == 0


def test_several_consumers_are_settled_in_the_order_of_their_tags(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    channel.basic_qos(1)
    for tag in ("z", "a"):
        channel.basic_consume("q", tag)
    publish(channel, "q", "1", "2", "3", "4")
    channel.basic_ack(2, multiple=True)
    # Both have room, and a is settled first although z had the older delivery.
    assert delivered(channel.connection) == [
        ("z", "1", False),
        ("a", "2", False),
        ("a", "3", False),
        ("z", "4", False),
    ]


def test_a_limit_below_what_is_open_waits_until_there_is_room(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    publish(channel, "q", "1", "2", "3", "4")
    channel.basic_qos(3, global_=True)
    channel.basic_consume("q", "a")
    channel.basic_qos(1, global_=True)
    channel.basic_ack(1)
    channel.basic_ack(2)
    assert len(channel.connection.outbox) == 3
    channel.basic_ack(3)
    assert len(channel.connection.outbox) == 4


def test_messages_of_a_deleted_queue_keep_their_places_until_settled(world: World) -> None:
    channel = world.channel()
    for queue in ("gone", "q"):
        channel.queue_declare(queue)
        publish(channel, queue, "1", "2", "3")
    channel.basic_qos(2, global_=True)
    channel.basic_consume("gone", "a")
    channel.queue_delete("gone")
    channel.connection.outbox.clear()
    channel.basic_consume("q", "b")
    assert delivered(channel.connection) == []
    channel.basic_reject(1, requeue=True)
    assert delivered(channel.connection) == [("b", "1", False)]
    dropped = [fields["reason"] for name, fields in world.moments if name == "message.dropped"]
    assert dropped == ["queue deleted", "queue deleted"]  # the ready one, and the one that came back
