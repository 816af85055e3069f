"""Queues: expiry to the microsecond, deletion, what is observed."""

from __future__ import annotations

import pytest

from tests.unit.broker.rabbitmq.worlds import World, publish, taken
from tqsim.broker.rabbitmq import ConsumerCancelled, Refusal


def test_an_unused_queue_expires_exactly_at_its_deadline(world: World) -> None:
    channel = world.channel()
    world.advance(500)
    channel.queue_declare("q", arguments={"x-expires": 10})
    publish(channel, "q", "lost")
    assert world.server.next_deadline() == 10_500
    world.advance(9_999)
    assert [view.name for view in world.server.queues()] == ["q"]
    world.advance(1)
    assert (world.server.queues(), world.server.next_deadline()) == ([], None)
    assert world.moments[-2:] == [
        (
            "message.dropped",
            {
                "message": world.moments[-2][1]["message"],
                "vhost": "/",
                "queue": "q",
                "reason": "queue deleted",
            },
        ),
        ("queue.deleted", {"vhost": "/", "queue": "q", "reason": "expired", "messages": 1}),
    ]


def test_get_and_declaration_start_the_period_again_and_publish_and_purge_do_not(world: World) -> None:
    channel = world.channel()
    arguments = {"x-expires": 10}
    channel.queue_declare("q", arguments=arguments)
    for use in (
        lambda: channel.basic_get("q"),
        lambda: channel.queue_declare("q", arguments=arguments),
        lambda: channel.queue_declare("q", passive=True),
    ):
        world.advance(6_000)
        use()
        assert world.server.next_deadline() == world.now_us + 10_000
    before = world.server.next_deadline()
    world.advance(1_000)
    publish(channel, "q", "x")
    channel.queue_purge("q")
    channel.queue_bind("q", "amq.direct", "k")
    assert world.server.next_deadline() == before


def test_no_deadline_while_there_is_a_consumer(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q", arguments={"x-expires": 10})
    channel.basic_consume("q", "a")
    assert world.server.next_deadline() is None
    world.advance(50_000)
    channel.basic_cancel("a")
    assert world.server.next_deadline() == 60_000
    other = world.channel("other")
    other.basic_consume("q", "b")
    other.connection.abort()
    assert world.server.next_deadline() == 60_000


def test_a_server_named_queue_gets_its_name_from_the_source(world: World) -> None:
    channel = world.channel()
    assert channel.queue_declare() == ("amq.gen-0001", 0, 0)
    assert channel.basic_consume("") == "amq.ctag-0002"


def test_deleting_a_queue_tells_those_who_can_hear_it(world: World) -> None:
    hearing, deaf = world.channel("hearing"), world.channel("deaf", consumer_cancel_notify=False)
    hearing.queue_declare("q")
    hearing.basic_consume("q", "a")
    deaf.basic_consume("q", "a")
    assert hearing.queue_delete("q") == 0
    assert taken(hearing.connection) == [ConsumerCancelled(hearing, "a")]
    assert taken(deaf.connection) == []
    assert (hearing.consumers, deaf.consumers) == ({}, {})


def test_a_refused_declaration_leaves_no_queue(world: World) -> None:
    channel = world.channel()
    with pytest.raises(Refusal, match=r"^\(406\) PRECONDITION_FAILED - invalid arg 'x-expires' for queue "):
        channel.queue_declare("q", arguments={"x-expires": 0})
    assert world.server.queues() == []


def test_arguments_are_copied(world: World) -> None:
    channel = world.channel()
    arguments: dict[str, object] = {"x-expires": 10}
    channel.queue_declare("q", arguments=arguments)
    arguments["x-expires"] = 20
    view = world.server.queue("q")
    view.arguments["x-expires"] = 30
    assert view.arguments == {"x-expires": 10}


def test_a_view_shows_a_queue_and_changes_nothing(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q", durable=True, arguments={"x-expires": 10})
    publish(channel, "q", "1", "2", "3")
    channel.basic_qos(1)
    channel.basic_consume("q", "a")
    view = world.server.queue("q")
    assert repr(view) == "<QueueView /:q ready=2 unacked=1 consumers=1>"
    assert (view.exists, view.durable, view.exclusive, view.auto_delete) == (True, True, False, False)
    assert [message.body for message in view.messages()] == ["2", "3"]
    channel.basic_reject(1)  # comes back, and goes out again
    assert [message.body for message in view.messages()] == ["2", "3"]
    channel.queue_delete("q")
    assert (view.exists, view.ready_count, view.unacked_count, view.messages()) == (False, 0, 0, [])
