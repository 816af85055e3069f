"""Routing: what the conformance tests do not reach."""

from __future__ import annotations

import pytest

from tests.unit.broker.rabbitmq.worlds import World
from tqsim.broker.rabbitmq import Channel, exchanges, routers
from tqsim.broker.rabbitmq.bindings import Binding


def _counts(world: World, *queues: str) -> list[int]:
    return [world.server.queue(queue).ready_count for queue in queues]


def _bound(world: World, kind: str) -> Channel:
    channel = world.channel()
    channel.exchange_declare("x", kind)
    for queue in ("a", "b"):
        channel.queue_declare(queue)
        channel.queue_bind(queue, "x", "k")
    return channel


@pytest.mark.parametrize("kind", ["direct", "fanout", "topic"])
def test_routes_follow_every_change_of_the_bindings(world: World, kind: str) -> None:
    channel = _bound(world, kind)
    channel.basic_publish("x", "k", "1", {})
    channel.queue_unbind("a", "x", "k")
    channel.basic_publish("x", "k", "2", {})
    channel.queue_unbind("b", "x", "k")
    channel.basic_publish("x", "k", "3", {})
    channel.queue_bind("a", "x", "k")
    channel.basic_publish("x", "k", "4", {})
    assert _counts(world, "a", "b") == [2, 2]
    assert world.names("message.unroutable") == ["message.unroutable"]


def test_queues_are_served_in_the_order_in_which_they_were_bound(world: World) -> None:
    channel = _bound(world, "fanout")
    channel.queue_unbind("a", "x", "k")
    channel.queue_bind("a", "x", "k")
    channel.basic_publish("x", "", "1", {})
    queues = [fields["queue"] for name, fields in world.moments if name == "message.queued"]
    assert queues == ["b", "a"]


def test_a_topic_exchange_forgets_keys_beyond_its_bound(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routers, "_REMEMBERED_MAX", 2)
    channel = _bound(world, "topic")
    for key in ("k", "other", "third", "k"):
        channel.basic_publish("x", key, key, {})
    assert _counts(world, "a", "b") == [2, 2]


def test_a_binding_is_the_same_whatever_the_order_of_its_arguments() -> None:
    one = Binding.of("x", "queue", "q", "k", {"a": 1, "b": "2"})
    assert one == Binding.of("x", "queue", "q", "k", {"b": "2", "a": 1})
    assert one != Binding.of("x", "queue", "q", "k", {"a": 1, "b": 2})
    assert Binding.of("x", "queue", "q", "k", None) == Binding.of("x", "queue", "q", "k", {})


def test_an_exchange_that_is_gone_leads_nowhere_and_nothing_leads_to_it(world: World) -> None:
    channel = _bound(world, "fanout")
    for name in ("first", "last"):
        channel.exchange_declare(name, "fanout")
    channel.exchange_bind("x", "first")
    channel.exchange_bind("last", "x")
    channel.exchange_delete("x")
    channel.basic_publish("first", "", "1", {})
    assert _counts(world, "a", "b") == [0, 0]
    channel.exchange_declare("x", "fanout")
    channel.basic_publish("first", "", "2", {})
    assert world.names("message.unroutable") == ["message.unroutable"] * 2


def test_each_vhost_has_the_predeclared_exchanges(world: World) -> None:
    channel = world.channel(vhost="other")
    for name, kind, _ in exchanges.PREDECLARED:
        channel.exchange_declare(name, kind, passive=True)
    assert channel.is_open
