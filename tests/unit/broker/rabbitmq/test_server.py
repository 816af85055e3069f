"""The server: vhosts, stopping, crashing, what survives.

What survives was measured on a node of RabbitMQ 3.10.8 that was stopped and that was killed.
"""

from __future__ import annotations

import pytest

from tests.unit.broker.rabbitmq.worlds import World, publish, taken
from tqsim.broker.rabbitmq import Channel, ConnectionClosed, ConnectionLost, Refusal, Refused, Settings
from tqsim.errors import UsageError

_FORCED = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"


def _loaded(world: World) -> Channel:
    """Declare durable and transient things and leave messages in every state."""
    channel = world.channel("w1")
    channel.queue_declare("durable", durable=True)
    channel.queue_declare("transient")
    channel.exchange_declare("dx", durable=True)
    channel.exchange_declare("tx")
    channel.exchange_declare("auto", durable=True, auto_delete=True)
    for queue, exchange in (("durable", "dx"), ("durable", "tx"), ("transient", "dx"), ("transient", "auto")):
        channel.queue_bind(queue, exchange, "k")
    for number in range(6):
        mode = 1 if number == 3 else 2
        publish(channel, "durable", str(number), delivery_mode=mode)
    publish(channel, "transient", "t", delivery_mode=2)
    for _ in range(5):
        channel.basic_get("durable")
    channel.basic_ack(2)
    channel.basic_reject(1)
    return channel


def _messages(world: World, queue: str) -> list[tuple[object, bool]]:
    channel = world.channel("reader")
    found: list[tuple[object, bool]] = []
    while (got := channel.basic_get(queue)) is not None:
        found.append((got.message.body, got.redelivered))
    return found


def test_after_a_restart_durable_things_and_persistent_messages_are_there(world: World) -> None:
    channel = _loaded(world)
    world.server.restart()
    assert taken(channel.connection) == [ConnectionClosed(320, _FORCED, (0, 0))]
    assert [view.name for view in world.server.queues()] == ["durable"]
    # 1 was acknowledged, 3 is not persistent, 5 was never delivered.
    assert _messages(world, "durable") == [("0", True), ("2", True), ("4", True), ("5", False)]
    fresh = world.channel("w2")
    fresh.basic_publish("dx", "k", "through the binding", {})
    assert world.server.queue("durable").ready_count == 1
    fresh.exchange_declare("auto", durable=True, auto_delete=True)
    with pytest.raises(Refusal, match="no exchange 'tx'"):
        fresh.exchange_declare("tx", passive=True)


def test_after_a_crash_every_message_counts_as_redelivered(world: World) -> None:
    channel = _loaded(world)
    world.server.crash()
    assert taken(channel.connection) == [ConnectionLost()]
    world.server.start()
    assert _messages(world, "durable") == [("0", True), ("2", True), ("4", True), ("5", True)]


def test_a_priority_queue_keeps_its_order_through_a_restart(world: World) -> None:
    channel = world.channel("w1")
    channel.queue_declare("q", durable=True, arguments={"x-max-priority": 5})
    for number in range(4):
        publish(channel, "q", str(number), priority=number % 2, delivery_mode=2)
    channel.basic_get("q")
    world.server.restart()
    assert _messages(world, "q") == [("1", True), ("3", False), ("0", False), ("2", False)]


@pytest.mark.parametrize(("end", "survivors"), [("stop", ["idle"]), ("crash", ["idle", "used"])])
def test_a_durable_auto_delete_queue_with_a_consumer_survives_a_crash_only(
    world: World, end: str, survivors: list[str]
) -> None:
    channel = world.channel("w1")
    for queue in ("idle", "used"):
        channel.queue_declare(queue, durable=True, auto_delete=True)
    channel.queue_declare("mine", durable=True, exclusive=True)
    channel.basic_consume("used", "a")
    getattr(world.server, end)()
    world.server.start()
    assert [view.name for view in world.server.queues()] == survivors


def test_while_stopped_connecting_is_refused_and_nothing_is_connected(world: World) -> None:
    connection = world.connect("w1")
    world.server.stop()
    world.server.stop()
    world.server.crash()
    assert (world.server.is_running, connection.is_open, world.server.connections()) == (False, False, [])
    with pytest.raises(Refused, match=r"^Connection 'w2' refused: the server is stopped\.$"):
        world.connect("w2")
    with pytest.raises(Refusal, match="CONNECTION_FORCED"):
        connection.channel()
    world.server.start()
    world.server.start()
    assert world.connect("w2").is_open
    assert world.names("server") == ["server.stopped", "server.started"]
    assert len(taken(connection)) == 1


def test_nothing_is_delivered_while_the_server_goes_down(world: World) -> None:
    one, two = world.channel("one"), world.channel("two")
    one.queue_declare("q", durable=True)
    one.basic_consume("q", "a")
    publish(one, "q", "1", delivery_mode=2)
    two.basic_consume("q", "b")
    taken(one.connection)
    world.server.stop()
    assert [type(event) for event in taken(two.connection)] == [ConnectionClosed]
    assert world.server.queue("q").ready_count == 1


def test_an_expiring_queue_waits_for_the_server_and_then_its_whole_period(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q", durable=True, arguments={"x-expires": 10})
    world.advance(5_000)
    world.server.stop()
    assert world.server.next_deadline() is None
    world.advance(20_000)
    world.server.start()
    assert world.server.next_deadline() == 35_000
    world.advance(10_000)
    assert world.server.queues() == []


def test_vhosts_are_separate_and_come_into_being_when_named(world: World) -> None:
    one, two = world.channel("one", vhost="a"), world.channel("two", vhost="b")
    one.queue_declare("q")
    two.queue_declare("q")
    publish(one, "q", "1")
    assert world.server.vhosts() == ["a", "b"]
    assert [view.ready_count for view in (world.server.queue("q", "a"), world.server.queue("q", "b"))] == [
        1,
        0,
    ]
    assert (world.server.queues(), world.server.queues("a")[0].vhost) == ([], "a")
    with pytest.raises(Refusal) as refused:
        one.queue_declare("missing", passive=True)
    assert refused.value.text == "NOT_FOUND - no queue 'missing' in vhost 'a'"


def test_an_unknown_queue_or_version_is_a_usage_error(world: World) -> None:
    world.channel().queue_declare("q")
    with pytest.raises(UsageError) as unknown:
        world.server.queue("p")
    assert str(unknown.value) == "There is no queue 'p' in vhost '/'; expected one of: q."
    with pytest.raises(UsageError) as unsupported:
        Settings(version="2.8")
    assert str(unsupported.value) == "version='2.8' is not simulated; expected one of 3.10, 3.12, 3.13, 4.0, 4.1."


def test_equal_runs_give_equal_moments() -> None:
    def run() -> list[tuple[str, str]]:
        world = World()
        channels = [world.channel(f"w{number}") for number in range(5)]
        channels[0].queue_declare("q", durable=True)
        for channel in channels:
            channel.basic_qos(2, global_=True)
            channel.basic_consume("q")
        for number in range(50):
            publish(channels[number % 5], "q", str(number), delivery_mode=2)
            channels[number % 3].basic_ack(0, multiple=True)
            if number == 30:
                channels[4].connection.abort()
        world.server.crash()
        return [
            (name, str({key: value for key, value in fields.items() if key != "message"}))
            for name, fields in world.moments
        ]

    assert run() == run()
