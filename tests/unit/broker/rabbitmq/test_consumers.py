"""The rota: what the conformance tests do not reach."""

from __future__ import annotations

from tests.unit.broker.rabbitmq.worlds import World, delivered, publish


def test_a_parked_consumer_can_be_cancelled(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.basic_consume("q", "a")
    channel.basic_consume("q", "b")
    publish(channel, "q", "1", "2", "3")
    assert delivered(channel.connection) == [("a", "1", False), ("b", "2", False)]
    channel.basic_cancel("a")
    channel.basic_ack(1)
    assert delivered(channel.connection) == []
    channel.basic_ack(2)
    assert delivered(channel.connection) == [("b", "3", False)]
    channel.basic_cancel("b")
    assert world.server.queue("q").consumer_count == 0


def test_a_parked_consumer_of_high_priority_goes_first_again_when_it_has_room(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    channel.basic_qos(1)
    channel.basic_consume("q", "low", arguments={"x-priority": -1})
    channel.basic_consume("q", "high", arguments={"x-priority": 10})
    channel.basic_consume("q", "middle")
    publish(channel, "q", "1", "2", "3", "4")
    channel.basic_ack(2)  # middle's
    channel.basic_ack(1)  # high's, while nothing waits
    publish(channel, "q", "5")
    assert delivered(channel.connection) == [
        ("high", "1", False),
        ("middle", "2", False),
        ("low", "3", False),
        ("middle", "4", False),
        ("high", "5", False),
    ]


def test_an_exclusive_consumer_leaves_the_queue_open_to_others(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    channel.basic_consume("q", "only", exclusive=True)
    channel.basic_cancel("only")
    assert channel.basic_consume("q", "next") == "next"


def test_queues_that_share_a_channels_limit_take_turns(world: World) -> None:
    channel = world.channel()
    for queue in ("one", "two", "three"):
        channel.queue_declare(queue)
        publish(channel, queue, "1", "2", "3")
    channel.basic_qos(1, global_=True)
    for queue in ("one", "two", "three"):
        channel.basic_consume(queue, queue)
    for tag in range(1, 9):
        channel.basic_ack(tag)
    order = " ".join(f"{tag}:{body}" for tag, body, _ in delivered(channel.connection))
    # The first queue met the limit first, with its second message, before the others joined.
    assert order == "one:1 one:2 two:1 three:1 one:3 two:2 three:2 two:3 three:3"
