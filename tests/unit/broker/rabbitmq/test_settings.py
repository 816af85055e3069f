"""What differs between the versions of the server: from its documentation, not measured."""

from __future__ import annotations

import pytest

from tests.unit.broker.rabbitmq.worlds import World, publish
from tqsim.broker.rabbitmq import Channel, ChannelClosed, Deliver, Refusal, Settings
from tqsim.errors import UsageError

_QUORUM: dict[str, object] = {"x-queue-type": "quorum"}


def _fetched(channel: Channel, queue: str) -> list[object]:
    found: list[object] = []
    while (got := channel.basic_get(queue, no_ack=True)) is not None:
        found.append(got.message.body)
    return found


def test_the_version_is_told_with_a_patch_level() -> None:
    assert [Settings(version=version).full_version for version in ("3.10", "4.0")] == ["3.10.8", "4.0.0"]


def test_an_unknown_version_is_a_usage_error() -> None:
    with pytest.raises(UsageError) as unsupported:
        Settings(version="3.9")
    assert str(unsupported.value) == "version='3.9' is not simulated; expected one of 3.10, 3.12, 3.13, 4.0, 4.1, 4.3."


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize(("version", "closes"), [("3.10", False), ("3.12", True), ("4.1", True)])
def test_a_queue_may_have_a_consumer_timeout_of_its_own(version: str, closes: bool, kind: str) -> None:
    world = World(Settings(version=version))
    channel = world.channel()
    channel.queue_declare("q", durable=True, arguments={"x-queue-type": kind, "x-consumer-timeout": 90_000})
    publish(channel, "q", "1")
    channel.basic_get("q")
    world.advance(61_000_000)
    world.advance(60_000_000)
    assert bool([event for event in channel.connection.outbox if isinstance(event, ChannelClosed)]) == closes


@pytest.mark.parametrize(("version", "left"), [("3.13", ["x"]), ("4.0", [])])
def test_a_quorum_queue_has_a_delivery_limit_of_twenty_since_4_0(version: str, left: list[str]) -> None:
    world = World(Settings(version=version))
    channel = world.channel()
    channel.queue_declare("q", durable=True, arguments=_QUORUM)
    publish(channel, "q", "x")
    for number in range(1, 22):
        channel.basic_get("q")
        channel.basic_reject(number)
    assert _fetched(channel, "q") == left


def test_a_delivery_limit_of_minus_one_is_none_since_4_0() -> None:
    world = World(Settings(version="4.0"))
    channel = world.channel()
    channel.queue_declare("q", durable=True, arguments={**_QUORUM, "x-delivery-limit": -1})
    publish(channel, "q", "x", "y")
    for number in range(1, 50):
        channel.basic_get("q")
        channel.basic_reject(number)
    assert sorted(str(body) for body in _fetched(channel, "q")) == ["x", "y"]


@pytest.mark.parametrize(
    ("version", "order"),
    [("3.13", ["n1", "h1", "h2", "n2", "h3", "h4"]), ("4.0", ["h1", "h2", "n1", "h3", "h4", "n2"])],
)
def test_quorum_queues_know_two_priorities_since_4_0(version: str, order: list[str]) -> None:
    world = World(Settings(version=version))
    channel = world.channel()
    channel.queue_declare("q", durable=True, arguments=_QUORUM)
    for body in ("n1", "h1", "h2", "n2", "h3", "h4"):
        publish(channel, "q", body, priority=5 if body[0] == "h" else 4)
    assert _fetched(channel, "q") == order


def test_the_last_death_is_named_since_3_13() -> None:
    found = []
    for version in ("3.12", "3.13"):
        world = World(Settings(version=version))
        channel = world.channel()
        channel.queue_declare("dead")
        arguments = {"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
        channel.queue_declare("q", arguments=arguments)
        publish(channel, "q", "x")
        got = channel.basic_get("dead")
        assert got is not None
        found.append(got.message.headers.get("x-last-death-queue"))
    assert found == [None, "q"]


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@pytest.mark.parametrize(("version", "delivered"), [("4.1", 1), ("4.3", 2)])
def test_a_prefetch_of_the_channel_is_one_of_its_consumers_since_4_3(version: str, delivered: int, kind: str) -> None:
    """``rabbit_channel.erl``, ``basic.qos`` where ``global_qos`` is not permitted: two consumers have one each."""
    world = World(Settings(version=version))
    channel = world.channel()
    channel.queue_declare("q", durable=True, arguments={"x-queue-type": kind})
    publish(channel, "q", "1", "2", "3")
    channel.basic_qos(1, global_=True)
    if kind == "quorum" and version == "4.1":
        with pytest.raises(Refusal, match="does not support global qos"):
            channel.basic_consume("q", "a")
        return
    for tag in ("a", "b"):
        channel.basic_consume("q", tag)
    assert len([event for event in channel.connection.outbox if isinstance(event, Deliver)]) == delivered


@pytest.mark.parametrize("version", ["4.1", "4.3"])
def test_a_transient_queue_must_be_exclusive_since_4_3(version: str) -> None:
    world = World(Settings(version=version))
    channel = world.channel()
    channel.queue_declare("mine", exclusive=True)
    if version == "4.1":
        assert channel.queue_declare("q").queue == "q"
        return
    with pytest.raises(Refusal) as refused:
        channel.queue_declare("q")
    assert (refused.value.code, refused.value.scope) == (541, "connection")
    assert refused.value.text.startswith("INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.")
