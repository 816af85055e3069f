"""Messages."""

from __future__ import annotations

import sys

import pytest

from tests.unit.broker.rabbitmq.worlds import World, publish
from tqsim.broker.rabbitmq.messages import Message, Queued


def _message(**properties: object) -> Message:
    return Message(1, "", "q", b"", properties)


@pytest.mark.parametrize(("given", "effective"), [(None, 0), (0, 0), (3, 3), (5, 5), (6, 5), (255, 5), ("high", 0)])
def test_priority_is_limited_to_the_queues_maximum(given: object, effective: int) -> None:
    properties = {} if given is None else {"priority": given}
    assert _message(**properties).priority(5) == effective


@pytest.mark.parametrize(("mode", "survives"), [(None, False), (1, False), (2, True)])
def test_only_delivery_mode_two_is_persistent(mode: int | None, survives: bool) -> None:
    assert _message(delivery_mode=mode).is_persistent is survives


def test_a_queued_message_costs_little_beside_its_body_and_headers() -> None:
    # Two objects without a dictionary; the numbers, the deque's slot and the collector's links
    # come on top (192 bytes in all were measured, of 2,048 allowed).
    message = _message()
    assert not hasattr(message, "__dict__")
    assert sys.getsizeof(message) + sys.getsizeof(Queued.__new__(Queued)) < 250


def test_body_and_properties_are_kept_and_not_copied(world: World) -> None:
    channel = world.channel()
    channel.queue_declare("q")
    properties = {"headers": {"id": "1"}}
    body = b"x" * 200
    channel.basic_publish("", "q", body, properties)
    publish(channel, "q", "second")
    got = channel.basic_get("q")
    assert got is not None
    assert got.message.body is body
    assert got.message.properties is properties
    assert (got.message.number, got.exchange, got.routing_key) == (1, "", "q")
