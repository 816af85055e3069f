"""The machine and a real RabbitMQ 3.10 do the same: routing, bindings, life of queues and exchanges.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.rabbitmq_arms import Arm, Counts, Returned
from tests.conformance.rabbitmq_queues import classic_queue

# --- routing -------------------------------------------------------------------------------------


def test_topic_patterns(arm: Arm) -> None:
    keys = ["", "a", "b", "a.b", "a..b", ".", "a.", ".a", "a.x.b", "a.x.y.b"]
    expected = {
        "": [""],
        "*": ["a", "b"],
        "#": keys,
        "a.*": ["a.b", "a."],
        "a.#": ["a", "a.b", "a..b", "a.", "a.x.b", "a.x.y.b"],
        "#.a": ["a", ".a"],
        "*.a": [".a"],
        "a.*.b": ["a..b", "a.x.b"],
        "a.#.b": ["a.b", "a..b", "a.x.b", "a.x.y.b"],
        "#.#": keys,
        "*.#": [key for key in keys if key],
        "#.": [".", "a."],
        "**": [],
    }
    lane = arm.client().lane()
    exchange = arm.name("x")
    lane.exchange(exchange, "topic")
    found = {}
    for pattern in expected:
        queue = lane.queue(exclusive=True)
        lane.bind(queue, exchange, pattern)
        found[pattern] = queue
    for key in keys:
        lane.publish(exchange, key, key or "empty")
    arm.settle()
    bodies = {pattern: [body for body, _ in lane.fetch_all(queue)] for pattern, queue in found.items()}
    assert bodies == {pattern: [key or "empty" for key in taken] for pattern, taken in expected.items()}


def test_a_queue_gets_a_message_once_however_many_bindings_match(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange = arm.name("x")
    lane.exchange(exchange, "topic")
    queue = classic_queue(arm, lane)
    for pattern in ("a.*", "*.b", "#", "#"):
        lane.bind(queue, exchange, pattern)
    lane.publish(exchange, "a.b", "one")
    assert arm.counts(queue) == Counts(1, 0)


def test_bindings_with_other_arguments_are_other_bindings(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange = arm.name("x")
    lane.exchange(exchange)
    queue = classic_queue(arm, lane)
    lane.bind(queue, exchange, "k")
    lane.bind(queue, exchange, "k")
    lane.bind(queue, exchange, "k", {"a": 1})
    lane.publish(exchange, "k", "0")
    lane.unbind(queue, exchange, "k")
    lane.publish(exchange, "k", "1")
    lane.unbind(queue, exchange, "k", {"a": 1})
    lane.publish(exchange, "k", "2")
    arm.settle()
    assert lane.fetch_all(queue) == [("0", False), ("1", False)]


def test_fanout_ignores_the_key_and_direct_wants_it_exact(arm: Arm) -> None:
    lane = arm.client().lane()
    lane.exchange(fanout := arm.name("f"), "fanout")
    lane.exchange(direct := arm.name("d"), "direct")
    one, two = classic_queue(arm, lane, stem="one"), classic_queue(arm, lane, stem="two")
    lane.bind(one, fanout, "")
    lane.bind(two, fanout, "ignored")
    lane.bind(one, direct, "k")
    lane.bind(two, direct, "K")
    lane.publish(fanout, "any", "f")
    lane.publish(direct, "k", "d")
    arm.settle()
    assert (lane.fetch_all(one), lane.fetch_all(two)) == ([("f", False), ("d", False)], [("f", False)])


def test_mandatory_messages_come_back_when_no_queue_takes_them(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange = arm.name("x")
    lane.exchange(exchange)
    lane.publish(exchange, "nowhere", "gone")
    lane.publish(exchange, "nowhere", "back", mandatory=True)
    lane.publish("", arm.name("missing"), "back", mandatory=True)
    arm.settle()
    assert lane.returned == [
        Returned(312, "NO_ROUTE", exchange, "nowhere"),
        Returned(312, "NO_ROUTE", "", arm.name("missing")),
    ]


def test_deleting_an_exchange_or_a_queue_removes_the_bindings(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange = arm.name("x")
    lane.exchange(exchange)
    queue = classic_queue(arm, lane)
    lane.bind(queue, exchange, "k")
    lane.delete_exchange(exchange)
    lane.exchange(exchange)
    lane.publish(exchange, "k", "0")
    lane.bind(queue, exchange, "k")
    lane.delete_queue(queue)
    lane.queue(queue)
    lane.publish(exchange, "k", "1")
    arm.settle()
    assert lane.fetch_all(queue) == []


# --- life of queues and exchanges ----------------------------------------------------------------


def test_an_exclusive_queue_lives_as_long_as_its_connection(arm: Arm) -> None:
    for end in ("close", "abort"):
        client = arm.client()
        lane = client.lane()
        queue = lane.queue(arm.name(end), exclusive=True, durable=True)
        lane.close()
        assert client.lane().counts(queue) == Counts(0, 0)
        if end == "close":
            client.close()
        else:
            client.abort()
        arm.wait(100)
        assert arm.counts(queue) is None


def test_an_auto_delete_queue_goes_with_its_last_consumer(arm: Arm) -> None:
    client = arm.client()
    first, second = client.lane(), client.lane()
    queue = first.queue(arm.name("q"), auto_delete=True)
    first.send(queue, "kept")
    assert first.get(queue) == ("kept", False, 1, 0)  # a get is no consumer
    assert arm.counts(queue) == Counts(0, 0)
    first.consume(queue, "a")
    second.consume(queue, "b")
    second.close()
    assert arm.counts(queue) == Counts(0, 1)
    first.cancel("a")
    assert arm.counts(queue) is None
    first.ack(1)  # the message is gone, its tag is not
    arm.settle()
    assert first.closed is None


def test_an_auto_delete_exchange_goes_with_its_last_binding(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange = arm.name("x")
    queue = classic_queue(arm, lane)
    lane.exchange(exchange, auto_delete=True)
    assert arm.has_exchange(exchange)
    lane.bind(queue, exchange, "one")
    lane.bind(queue, exchange, "two")
    lane.unbind(queue, exchange, "one")
    assert arm.has_exchange(exchange)
    lane.delete_queue(queue)
    assert not arm.has_exchange(exchange)


def test_consumers_are_told_when_their_queue_is_deleted(arm: Arm) -> None:
    told, untold = arm.client().lane(), arm.client(cancel_notify=False).lane()
    queue = classic_queue(arm, told, *range(4))
    for lane in (told, untold):
        lane.qos(1)
        lane.consume(queue, "a")
        arm.settle()
    assert told.delete_queue(queue) == 2
    arm.settle()
    assert (told.cancelled, untold.cancelled) == (["a"], [])
    # What they had can still be settled, to no effect, and the tag is free again.
    told.ack(1)
    untold.reject(1)
    other = classic_queue(arm, told, "next", stem="other")
    untold.consume(other, "a")
    assert untold.bodies("a") == "1 next"
    assert (told.closed, untold.closed) == (None, None)


def test_an_unused_queue_expires_and_only_some_uses_count(arm: Arm) -> None:
    lane = arm.client().lane()
    arguments = {"x-expires": 1_200}
    uses: dict[str, Callable[[str], object]] = {
        "get": lane.get,
        "passive declaration": lane.counts,
        "declaration": lambda queue: lane.queue(queue, arguments=arguments),
        "publish": lambda queue: lane.publish("", queue, "x"),
        "nothing": lambda queue: None,
    }
    for use in uses:
        lane.queue(arm.name(use), arguments=arguments)
    for _ in range(3):
        arm.wait(500)
        for use, act in uses.items():
            act(arm.name(use))
    arm.settle()
    alive = [use for use in uses if arm.counts(arm.name(use)) is not None]
    assert alive == ["get", "passive declaration", "declaration"]


def test_a_queue_with_a_consumer_does_not_expire_and_starts_anew_when_it_leaves(arm: Arm) -> None:
    client = arm.client()
    lane, other = client.lane(), client.lane()
    queue = lane.queue(arm.name("q"), arguments={"x-expires": 700})
    other.consume(queue, "a")
    arm.wait(1_200)
    assert lane.delete_queue(queue, if_empty=True) == 0
    arm.settle()
    queue = lane.queue(arm.name("q2"), arguments={"x-expires": 1_500})
    other.consume(queue, "b")
    arm.wait(1_000)
    other.close()
    arm.wait(800)  # 1.8 s after the declaration, 0.8 s after the consumer left
    assert lane.queue(queue, arguments={"x-expires": 1_500}) == queue
    assert lane.purge(queue) == 0


def test_server_named_things_have_the_servers_prefixes(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(exclusive=True)
    assert queue.startswith("amq.gen-")
    assert lane.consume("").startswith("amq.ctag-")  # "" is the queue declared last
    lane.bind("", "amq.direct", "")  # ... and, with an empty key, also the key
    lane.publish("amq.direct", queue, "found")
    arm.settle()
    assert [delivery.body for delivery in lane.deliveries] == ["found"]


def test_an_exclusive_queue_is_not_durable_whatever_was_asked(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = lane.queue(arm.name("q"), exclusive=True)
    assert lane.queue(queue, exclusive=True, durable=True) == queue
