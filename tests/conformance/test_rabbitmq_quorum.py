"""The machine and a real RabbitMQ 3.10 do the same: quorum queues.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.  A
quorum queue settles through its log, so bodies wait a little after an acknowledgement.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.rabbitmq_arms import Arm, Client, Closed, Counts, Lane
from tests.conformance.rabbitmq_queues import quorum_queue


def _limit(limit: int | None) -> dict[str, Any]:
    return {} if limit is None else {"x_delivery_limit": limit}


def _counted(lane: Lane, queue: str) -> list[tuple[str, int | None]]:
    """Fetch everything: bodies, and how often each came back."""
    found: list[tuple[str, int | None]] = []
    while (letter := lane.fetch(queue)) is not None:
        found.append((letter.body, letter.headers.get("x-delivery-count")))
    return found


# --- order ---------------------------------------------------------------------------------------


def test_consumers_take_turns(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    for tag in "abc":
        lane.consume(queue, tag)
    lane.send(queue, *range(7))
    lane.consume(queue, "d")
    lane.send(queue, *range(7, 14))
    bodies = {tag: lane.bodies(tag) for tag in "abcd"}
    assert bodies == {"a": "0 3 6 9 13", "b": "1 4 7 11", "c": "2 5 8 12", "d": "10"}


def test_a_consumer_that_is_full_leaves_the_line_at_once(arm: Arm) -> None:
    client = arm.client()
    sender = client.lane()
    queue = quorum_queue(arm, sender)
    lanes = {tag: client.lane() for tag in "ab"}
    for tag, lane in lanes.items():
        lane.qos(2)
        lane.consume(queue, tag)
        arm.settle()
    sender.send(queue, *range(4))
    # Nothing is ready; in a classic queue a would still be at the head.
    lanes["b"].ack(1)
    arm.wait(200)
    lanes["a"].ack(1)
    arm.wait(200)
    sender.send(queue, 4)
    sender.send(queue, 5)
    assert (lanes["a"].bodies("a"), lanes["b"].bodies("b")) == ("0 2 5", "1 3 4")


def test_priorities_of_consumers_count_and_those_of_messages_do_not(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    lane.qos(2)
    lane.consume(queue, "low")
    arm.settle()
    lane.consume(queue, "high", arguments={"x-priority": 5})
    arm.settle()
    for number, priority in enumerate((1, 9, 5, 4)):
        lane.publish("", queue, str(number), priority=priority)
    assert (lane.bodies("high"), lane.bodies("low")) == ("0 1", "2 3")


def test_what_comes_back_goes_to_the_end_unless_there_is_a_delivery_limit(arm: Arm) -> None:
    lane = arm.client().lane()
    found = {}
    for stem, more in (("free", {}), ("limited", {"x_delivery_limit": 10}), ("odd", {"x_delivery_limit": "a"})):
        queue = quorum_queue(arm, lane, stem, **more)
        lane.send(queue, *range(6))
        tags = [fetched.tag for fetched in (lane.get(queue) for _ in range(5)) if fetched]
        for index in (3, 1, 4, 0):  # body 2 stays out
            lane.reject(tags[index])
            arm.wait(100)
        found[stem] = _counted(lane, queue)
    assert found == {
        "free": [("5", 0), ("3", 1), ("1", 1), ("4", 1), ("0", 1)],
        "limited": [("3", 1), ("1", 1), ("4", 1), ("0", 1), ("5", 0)],
        "odd": [("3", 1), ("1", 1), ("4", 1), ("0", 1), ("5", 0)],
    }


@pytest.mark.parametrize(("limit", "bodies"), [(None, "0 1 2 3 4 5 0*"), (10, "0 1 2 3 0* 1* 2*")])
def test_several_that_come_back_to_a_consumer(arm: Arm, limit: int | None, bodies: str) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, **_limit(limit))
    lane.send(queue, *range(6))
    lane.qos(4)
    lane.consume(queue, "a")
    arm.settle()
    lane.nack(3, multiple=True)
    arm.wait(300)
    assert lane.bodies("a") == bodies
    counts = [letter.headers.get("x-delivery-count") for letter in lane.letters]
    assert counts == [1 if "*" in body else None for body in bodies.split()]


@pytest.mark.parametrize("limit", [None, 5])
@pytest.mark.parametrize("end", ["channel", "abort"])
def test_the_end_of_a_channel_puts_everything_in_front_what_was_fetched_first(
    arm: Arm, limit: int | None, end: str
) -> None:
    watcher, client = arm.client().lane(), arm.client()
    lane = client.lane()
    queue = quorum_queue(arm, watcher, **_limit(limit))
    watcher.send(queue, *range(5))
    lane.qos(2)
    lane.consume(queue, "a")
    arm.settle()
    lane.get(queue)
    if end == "channel":
        lane.close()
    else:
        client.abort()
    arm.wait(400)
    assert watcher.fetch_all(queue) == [("2", True), ("0", True), ("1", True), ("3", False), ("4", False)]


@pytest.mark.parametrize(("limit", "bodies"), [(None, "2 3 4 0 1"), (5, "0 1 2 3 4")])
def test_recover_is_a_return(arm: Arm, limit: int | None, bodies: str) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, **_limit(limit))
    lane.send(queue, *range(5))
    lane.get(queue)
    lane.get(queue)
    lane.recover()
    arm.wait(300)
    assert lane.contents(queue) == bodies


# --- the delivery limit --------------------------------------------------------------------------


def test_a_message_that_comes_back_too_often_is_a_dead_letter(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = quorum_queue(arm, lane, x_delivery_limit=2, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    lane.send(queue, "a", "b")
    lane.qos(1)
    lane.consume(queue, "c")
    for _ in range(4):
        arm.settle()
        lane.reject(lane.deliveries[-1].tag)
        arm.wait(150)
    assert lane.bodies("c") == "a a* a* b b*"
    counts = [letter.headers.get("x-delivery-count") for letter in lane.letters]
    assert counts == [None, 1, 2, None, 1]
    letter = lane.letter(dead)
    assert letter.headers == {
        "x-death": [{"count": 1, "reason": "delivery_limit", "queue": queue, "exchange": "", "routing-keys": [queue]}],
        "x-first-death-reason": "delivery_limit",
        "x-first-death-queue": queue,
        "x-first-death-exchange": "",
    }


def test_without_a_dead_letter_exchange_it_is_dropped_and_lost_channels_count_too(arm: Arm) -> None:
    client = arm.client()
    watcher = client.lane()
    queue = quorum_queue(arm, watcher, x_delivery_limit=1)
    watcher.send(queue, "x")
    seen = []
    for _ in range(3):
        lane = client.lane()
        lane.consume(queue, "a")
        seen.append(lane.bodies("a"))
        lane.close()
        arm.wait(200)
    assert seen == ["x", "x*", ""]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing_drops_at_the_first_return(arm: Arm, limit: int) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, x_delivery_limit=limit)
    lane.send(queue, 1, 2)
    lane.get(queue)
    lane.reject(1)
    arm.wait(200)
    assert lane.contents(queue) == "2"


def test_a_rejected_message_is_a_dead_letter_without_its_count(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = quorum_queue(arm, lane, x_dead_letter_exchange="", x_dead_letter_routing_key=dead)
    lane.send(queue, 1)
    for tag, requeue in ((1, True), (2, False)):
        lane.get(queue)
        lane.reject(tag, requeue=requeue)
        arm.wait(200)
    letter = lane.letter(dead)
    assert letter.deaths == [(queue, "rejected", 1)]
    assert "x-delivery-count" not in letter.headers


# --- limits and lifetimes ------------------------------------------------------------------------


def test_a_full_queue_drops_its_head_after_serving_consumers(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, x_max_length=2)
    lane.qos(2)
    lane.consume(queue, "a")
    lane.send(queue, *range(6))
    arm.wait(200)
    assert (lane.bodies("a"), lane.counts(queue)) == ("0 1", Counts(2, 1))
    other = quorum_queue(arm, lane, "bytes", x_max_length_bytes=10)
    lane.send(other, "aaaa", "bbbb", "cc", "d")
    arm.wait(200)
    assert lane.contents(other) == "bbbb cc d"


def test_a_full_queue_that_rejects_takes_one_too_many_and_opens_late(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, x_max_length=10, x_overflow="reject-publish")
    lane.confirm()

    def send(number: int) -> str:
        lane.publish("", queue, str(number))
        arm.settle()
        return lane.told().split()[-1]

    assert [send(number)[0] for number in range(13)] == ["+"] * 11 + ["-"] * 2
    opened = []
    for number in range(3):
        lane.get(queue, no_ack=True)
        arm.wait(200)
        opened.append(send(number)[0])
    assert opened == ["-", "-", "+"]  # with ten, nine and eight left


@pytest.mark.parametrize("own", [False, True])
def test_messages_expire(arm: Arm, own: bool) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    more: dict[str, Any] = {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": dead}
    if not own:
        more["x_message_ttl"] = 200
    queue = quorum_queue(arm, lane, **more)
    properties: dict[str, Any] = {"expiration": "200"} if own else {}
    for number in range(2):
        lane.publish("", queue, str(number), **properties)
    arm.wait(600)
    assert lane.fetch(queue) is None
    letter = lane.letter(dead)
    assert (letter.body, letter.deaths) == ("0", [(queue, "expired", 1)])
    assert letter.headers["x-death"][0].get("original-expiration") == ("200" if own else None)
    assert lane.contents(dead) == "1"


# --- single active consumer ----------------------------------------------------------------------


def _join(arm: Arm, client: Client, queue: str) -> dict[str, Lane]:
    lanes = {}
    for tag, priority in (("a", 0), ("b", 1), ("c", 5)):
        lanes[tag] = client.lane()
        lanes[tag].qos(2)
        lanes[tag].consume(queue, tag, arguments={"x-priority": priority})
        arm.settle()
    return lanes


def test_the_next_single_consumer_is_the_one_that_came_first(arm: Arm) -> None:
    client = arm.client()
    sender = client.lane()
    queue = quorum_queue(arm, sender, x_single_active_consumer=True)
    lanes = _join(arm, client, queue)
    sender.send(queue, *range(5))
    assert [lane.bodies(tag) for tag, lane in lanes.items()] == ["0 1", "", ""]
    lanes["a"].close()
    arm.wait(200)
    assert [lane.bodies(tag) for tag, lane in lanes.items()] == ["0 1", "0* 1*", ""]


def test_after_a_cancellation_the_next_single_consumer_is_served_at_once(arm: Arm) -> None:
    client = arm.client()
    sender = client.lane()
    queue = quorum_queue(arm, sender, x_single_active_consumer=True)
    lanes = _join(arm, client, queue)
    sender.send(queue, *range(5))
    lanes["a"].cancel("a")
    arm.wait(200)
    assert [lane.bodies(tag) for tag, lane in lanes.items()] == ["0 1", "2 3", ""]


# --- what it refuses -----------------------------------------------------------------------------


def _refused(arm: Arm, **options: Any) -> Closed:
    lane = arm.client().lane()
    arguments = {"x-queue-type": "quorum", **options.pop("arguments", {})}
    with pytest.raises(Closed) as refused:
        lane.queue(options.pop("name", None) or arm.name("q"), arguments=arguments, **options)
    return refused.value


@pytest.mark.parametrize(
    ("options", "property_"),
    [
        ({"durable": False}, "non-durable"),
        ({"durable": True, "exclusive": True}, "exclusive-owner"),
        ({"durable": True, "auto_delete": True}, "auto-delete"),
        ({"durable": False, "exclusive": True, "auto_delete": True}, "auto-delete"),
    ],
)
def test_properties_that_it_can_not_have(arm: Arm, options: dict[str, bool], property_: str) -> None:
    closed = _refused(arm, **options)
    place = f"queue '{arm.name('q')}' in vhost '{arm.vhost}'"
    text = f"PRECONDITION_FAILED - invalid property '{property_}' for {place}"
    assert (closed.scope, closed.code, closed.text, closed.method) == ("channel", 406, text, (50, 10))


@pytest.mark.parametrize(
    ("argument", "value", "reason"),
    [
        ("x-max-priority", 5, " of queue type rabbit_quorum_queue"),
        ("x-queue-mode", "lazy", " of queue type rabbit_quorum_queue"),
        ("x-queue-version", 2, " of queue type rabbit_quorum_queue"),
        ("x-queue-master-locator", "min-masters", " of queue type rabbit_quorum_queue"),
        ("x-initial-cluster-size", 1, " of queue type rabbit_quorum_queue"),
        ("x-stream-max-segment-size-bytes", 5, " of queue type rabbit_quorum_queue"),
        ("x-overflow", "bogus", ": invalid_overflow"),
        ("x-dead-letter-strategy", "bogus", ": invalid_dlx_strategy"),
        ("x-queue-leader-locator", "bogus", ": invalid_queue_locator_arg"),
        ("x-queue-leader-locator", 5, ": {unacceptable_type,signedint}"),
        ("x-quorum-initial-group-size", 0, ": {value_zero,0}"),
        ("x-max-length", -1, ": {value_negative,-1}"),
        ("x-dead-letter-routing-key", "k", ": routing_key_but_no_dlx_defined"),
    ],
)
def test_arguments_that_it_can_not_have(arm: Arm, argument: str, value: object, reason: str) -> None:
    closed = _refused(arm, durable=argument != "x-max-priority", arguments={argument: value})
    place = f"queue '{arm.name('q')}' in vhost '{arm.vhost}'"
    text = f"PRECONDITION_FAILED - invalid arg '{argument}' for {place}{reason}"
    assert (closed.scope, closed.code, closed.text, closed.method) == ("channel", 406, text, (50, 10))


def test_arguments_that_it_takes(arm: Arm) -> None:
    lane = arm.client().lane()
    taken: list[dict[str, Any]] = [
        {"x_overflow": "reject-publish-dlx"},
        {"x_dead_letter_strategy": "at-least-once"},
        {"x_quorum_initial_group_size": 3},
        {"x_max_in_memory_length": 5},
        {"x_max_in_memory_bytes": 5},
        {"x_queue_leader_locator": "balanced"},
        {"x_message_ttl": 0},
        {"x_expires": 100_000},
        {"x_foo": 1},
    ]
    for number, more in enumerate(taken):
        quorum_queue(arm, lane, f"q{number}", **more)
    assert lane.closed is None


def test_it_needs_a_name(arm: Arm) -> None:
    lane = arm.client().lane()
    with pytest.raises(Closed) as refused:
        lane.queue("", durable=True, arguments={"x-queue-type": "quorum"})
    text = "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue"
    assert (refused.value.code, refused.value.text) == (406, text)


@pytest.mark.parametrize(
    ("arguments", "name", "difference"),
    [
        ({}, "x-queue-type", "none but current is the value 'quorum' of type 'longstr'"),
        ({"x-queue-type": "quorum"}, "x-delivery-limit", "none but current is the value '3' of type 'signedint'"),
        ({"x-queue-type": "quorum", "x-delivery-limit": 4}, "x-delivery-limit", "'4' but current is '3'"),
        (
            {"x-queue-type": "quorum", "x-delivery-limit": 3, "x-dead-letter-strategy": "at-least-once"},
            "x-dead-letter-strategy",
            "the value 'at-least-once' of type 'longstr' but current is none",
        ),
        (
            {"x-queue-type": "quorum", "x-delivery-limit": 3, "x-quorum-initial-group-size": 3},
            "x-quorum-initial-group-size",
            "the value '3' of type 'signedint' but current is none",
        ),
    ],
)
def test_another_declaration_is_refused(arm: Arm, arguments: dict[str, Any], name: str, difference: str) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, x_delivery_limit=3)
    with pytest.raises(Closed) as refused:
        lane.queue(queue, durable=True, arguments=arguments)
    place = f"queue '{queue}' in vhost '{arm.vhost}'"
    assert refused.value.text == (f"PRECONDITION_FAILED - inequivalent arg '{name}' for {place}: received {difference}")


def test_a_channel_wide_prefetch_ends_the_connection_when_it_consumes_but_not_when_it_comes_later(
    arm: Arm,
) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    lane.send(queue, 0)
    other = arm.client().lane()
    other.consume(queue, "a")
    other.qos(1, shared=True)
    assert other.bodies("a") == "0"
    lane.qos(5, shared=True)
    assert lane.get(queue) is None
    with pytest.raises(Closed) as refused:
        lane.consume(queue)
    closed = refused.value
    text = f"NOT_IMPLEMENTED - queue '{queue}' in vhost '{arm.vhost}' does not support global qos"
    assert (closed.scope, closed.code, closed.text, closed.method) == ("connection", 540, text, (60, 20))


@pytest.mark.parametrize(
    ("flags", "named"),
    [({"if_unused": True}, "if-unused"), ({"if_empty": True}, "if-empty")],
)
def test_a_conditional_deletion_ends_the_connection(arm: Arm, flags: dict[str, bool], named: str) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    with pytest.raises(Closed) as refused:
        lane.delete_queue(queue, **flags)
    closed = refused.value
    text = (
        f"NOT_IMPLEMENTED - cannot delete queue '{queue}' in vhost '{arm.vhost}'. queue.delete operations with "
        f"{named} flag set are not supported by quorum queues"
    )
    assert (closed.scope, closed.code, closed.method) == ("connection", 540, (50, 40))
    assert closed.text == (text if len(text) <= 255 else text[:252] + "...")


def test_a_single_consumer_queue_can_not_be_fetched_from(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, x_single_active_consumer=True)
    with pytest.raises(Closed) as refused:
        lane.get(queue)
    closed = refused.value
    text = (
        f"RESOURCE_LOCKED - cannot obtain access to locked queue '{queue}' in vhost '{arm.vhost}'. basic.get "
        "operations are not supported by quorum queues with single active consumer"
    )
    assert (closed.scope, closed.code, closed.method) == ("channel", 405, (60, 70))
    assert closed.text == (text if len(text) <= 255 else text[:252] + "...")


def test_exclusive_consumers_are_like_others(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    lane.consume(queue, "a", exclusive=True)
    lane.consume(queue, "b")
    lane.send(queue, 0, 1)
    assert (lane.bodies("a"), lane.bodies("b")) == ("0", "1")


def test_messages_are_counted_purged_and_deleted(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    lane.send(queue, *range(3))
    arm.wait(200)
    assert lane.counts(queue) == Counts(3, 0)
    lane.get(queue)
    assert lane.purge(queue) == 2
    lane.send(queue, 4)
    arm.wait(200)
    assert lane.delete_queue(queue) == 1
    assert arm.counts(queue) is None
