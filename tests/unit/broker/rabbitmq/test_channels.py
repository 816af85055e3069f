"""Channels: their end, and what is asked of them afterwards."""

from __future__ import annotations

import pytest

from tests.unit.broker.rabbitmq.worlds import World, delivered, publish, taken
from tqsim.broker.rabbitmq import ChannelClosed, ConnectionClosed, Deliver, Refusal, Refused, Return

_NO_EXCHANGE = "NOT_FOUND - no exchange 'x' in vhost '/'"


def test_a_publish_to_no_exchange_returns_and_closes_the_channel_as_an_event(world: World) -> None:
    channel = world.channel()
    channel.basic_publish("x", "k", "lost", {})
    assert taken(channel.connection) == [ChannelClosed(channel, 404, _NO_EXCHANGE, (60, 40))]
    assert (channel.is_open, channel.connection.is_open) == (False, True)
    assert world.notified == ["client"]
    assert world.names()[-3:] == ["message.published", "message.dropped", "channel.closed"]


def test_requests_on_a_channel_that_the_server_closed(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    publish(channel, "q", "1")
    channel.basic_get("q")
    channel.basic_publish("x", "k", "lost", {})
    taken(channel.connection)
    # Without an answer: ignored.
    publish(channel, "q", "too late")
    channel.basic_ack(1)
    channel.basic_nack(1)
    channel.basic_reject(1)
    channel.close()
    assert world.moments[-1][1]["reason"] == "channel closed"
    # With an answer: the client reads the close instead, each time anew.
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            channel.queue_declare("q")
        assert (refused.value.text, refused.value.method) == (_NO_EXCHANGE, (60, 40))
    assert taken(channel.connection) == []
    view = world.server.queue("q")
    assert (view.ready_count, view.unacked_count) == (1, 0)


def test_a_request_on_a_channel_that_the_client_closed_ends_the_connection(world: World) -> None:
    channel = world.channel()
    channel.close()
    channel.close()
    channel.basic_ack(1)
    with pytest.raises(Refusal) as refused:
        channel.basic_get("q")
    assert (refused.value.text, refused.value.method, refused.value.scope) == (
        "CHANNEL_ERROR - expected 'channel.open'",
        (60, 70),
        "connection",
    )
    assert not channel.connection.is_open


def test_a_raised_refusal_closes_and_is_not_repeated_in_the_outbox(world: World) -> None:
    connection = world.connect()
    one, other = connection.channel(), connection.channel()
    with pytest.raises(Refusal, match="no queue 'q'"):
        one.basic_get("q")
    assert (one.is_open, other.is_open, list(connection.outbox)) == (False, True, [])
    with pytest.raises(Refusal, match="prefetch_size"):
        other.basic_qos(0, prefetch_size=1)
    assert (other.is_open, connection.is_open, list(connection.outbox)) == (False, False, [])
    # Nobody else can use the connection either, and learns why.
    with pytest.raises(Refusal, match="prefetch_size"):
        connection.channel()


def test_an_immediate_publish_ends_the_connection_as_an_event(world: World) -> None:
    connection = world.connect()
    channel, other = connection.channel(), connection.channel()
    channel.basic_publish("", "q", "x", {}, immediate=True)
    assert taken(connection) == [ConnectionClosed(540, "NOT_IMPLEMENTED - immediate=true", (60, 40))]
    assert (channel.is_open, other.is_open) == (False, False)
    with pytest.raises(Refusal, match="immediate=true"):
        other.queue_declare("q")


def test_the_close_is_the_last_event_of_a_channel(world: World) -> None:
    connection = world.connect()
    channel = connection.channel()
    channel.queue_declare("q")
    channel.basic_consume("q", "a")
    publish(channel, "q", "1")
    channel.basic_ack(7)
    publish(connection.channel(), "q", "2")
    assert [type(event) for event in taken(connection)] == [Deliver, ChannelClosed]
    assert [message.body for message in world.server.queue("q").messages()] == ["1", "2"]


def test_numbers_tell_messages_and_deliveries_apart_over_all_channels(world: World) -> None:
    one, two = world.channel("one"), world.channel("two")
    one.queue_declare("q")
    one.basic_consume("q", "a")
    publish(two, "q", "1")
    one.basic_reject(1)
    publish(one, "q", "2")
    events = taken(one.connection)
    seen = [
        (event.message.number, event.delivery_number, event.delivery_tag, event.redelivered)
        for event in events
        if isinstance(event, Deliver)
    ]
    assert seen == [(1, 1, 1, False), (1, 2, 2, True), (2, 3, 3, False)]


def test_a_mandatory_message_comes_back_before_anything_later(world: World) -> None:
    channel = world.channel()
    channel.basic_publish("amq.topic", "k", "back", {"priority": 1}, mandatory=True)
    (event,) = taken(channel.connection)
    assert isinstance(event, Return)
    assert (event.channel, event.code, event.text) == (channel, 312, "NO_ROUTE")
    assert (event.exchange, event.routing_key, event.message.body) == ("amq.topic", "k", "back")
    assert channel.is_open


def test_what_is_observed_of_a_message(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    channel.basic_consume("q", "a")
    world.moments.clear()
    publish(channel, "q", "1")
    channel.basic_reject(1)
    channel.basic_ack(2)
    assert world.names() == [
        "message.published",
        "message.queued",
        "message.delivered",
        "message.rejected",
        "message.requeued",
        "message.delivered",
        "message.acked",
    ]
    fields = world.moments[-1][1]
    assert fields.pop("message").number == 1
    assert fields == {
        "vhost": "/",
        "connection": "client",
        "channel": 1,
        "queue": "q",
        "consumer_tag": "a",
        "delivery_tag": 2,
        "delivery_number": 2,
    }
    assert world.moments[-2][1]["redelivered"] is True


def test_without_an_observer_everything_works_the_same(world: World) -> None:
    world.server._context.observe = None
    channel = world.channel()
    channel.queue_declare("q")
    channel.basic_consume("q", "a")
    publish(channel, "q", "1", "2")
    channel.basic_nack(2, multiple=True, requeue=False)
    publish(channel, "nowhere", "3")
    channel.queue_purge("q")
    channel.connection.close()
    assert delivered(channel.connection) == [("a", "1", False), ("a", "2", False)]
    assert world.moments == []


def test_a_request_on_a_closed_connection_says_so(world: World) -> None:
    channel = world.channel("w1")
    channel.connection.close()
    with pytest.raises(Refused, match=r"^Connection 'w1' is closed; open another one with Server.connect\(\).$"):
        channel.queue_declare("q")
