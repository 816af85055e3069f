"""The machine and a real RabbitMQ 3.10 do the same: how messages come to quorum queues, and how they leave them.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Confirmed, Counts
from tests.conformance.rabbitmq_queues import quorum_queue


def _to(queue: str) -> dict[str, str]:
    return {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": queue}


# --- in ------------------------------------------------------------------------------------------


def test_every_kind_of_exchange_leads_to_it(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    names = {kind: arm.name(kind) for kind in ("direct", "fanout", "topic", "headers")}
    for kind, name in names.items():
        lane.exchange(name, kind)
    lane.bind(queue, names["direct"], "key")
    lane.bind(queue, names["fanout"], "")
    lane.bind(queue, names["topic"], "a.*")
    lane.bind(queue, names["headers"], "", {"x-match": "all", "h": 1})
    lane.publish(names["direct"], "key", "direct")
    lane.publish(names["direct"], "other", "no")
    lane.publish(names["fanout"], "other", "fanout")
    lane.publish(names["topic"], "a.b", "topic")
    lane.publish(names["topic"], "b.a", "no")
    lane.publish(names["headers"], "", "headers", application_headers={"h": 1})
    lane.publish(names["headers"], "", "no", application_headers={"h": 2})
    assert lane.contents(queue) == "direct fanout topic headers"


def test_bound_and_alternate_exchanges_and_copies_lead_to_it_and_mandatory_messages_come_back(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    inner, rest = arm.name("inner"), arm.name("rest")
    lane.exchange(inner, "fanout")
    lane.exchange(rest, "direct", arguments={"alternate-exchange": inner})
    outer = arm.name("outer")
    lane.exchange(outer, "direct")
    lane.bind_exchange(inner, outer, "key")
    lane.bind(queue, inner, "")
    lane.publish(outer, "key", "bound")
    lane.publish(rest, "any", "alternate")
    lane.publish(outer, "nowhere", "back", mandatory=True)
    lane.publish("", arm.name("elsewhere"), "copy", application_headers={"CC": [queue]})
    assert lane.contents(queue) == "bound alternate copy"
    assert [(returned.code, returned.key) for returned in lane.returned] == [(312, "nowhere")]


def test_each_publish_is_confirmed(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane)
    lane.confirm()
    for number in range(4):
        lane.publish("", queue, str(number), delivery_mode=1 + number % 2)
    lane.publish("", arm.name("missing"), "4", mandatory=True)
    arm.settle()
    arm.wait(200)
    told = [answer for answer in lane.answers if isinstance(answer, Confirmed)]
    assert sorted(told) == [Confirmed(number, True) for number in range(1, 6)]
    assert lane.contents(queue) == "0 1 2 3"


# --- out -----------------------------------------------------------------------------------------


def test_what_falls_out_of_a_full_queue_are_dead_letters_in_order(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = quorum_queue(arm, lane, x_max_length=2, **_to(dead))
    lane.send(queue, *range(5))
    arm.wait(200)
    assert lane.contents(queue) == "3 4"
    letters = [lane.letter(dead) for _ in range(3)]
    assert [(letter.body, letter.deaths) for letter in letters] == [
        (str(number), [(queue, "maxlen", 1)]) for number in range(3)
    ]


def test_several_rejected_at_once_die_in_the_order_of_their_delivery(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = quorum_queue(arm, lane, **_to(dead))
    lane.consume(queue, "a")
    lane.send(queue, *range(4))
    assert lane.bodies("a") == "0 1 2 3"
    lane.nack(4, multiple=True, requeue=False)
    arm.wait(200)
    assert lane.contents(dead) == "0 1 2 3"


def test_a_circle_of_expiries_ends(arm: Arm) -> None:
    lane = arm.client().lane()
    one, other = arm.name("one"), arm.name("other")
    for name, following in ((one, other), (other, one)):
        arguments = {"x-queue-type": "quorum", "x-message-ttl": 150, "x-dead-letter-exchange": ""}
        lane.queue(name, durable=True, arguments={**arguments, "x-dead-letter-routing-key": following})
    lane.send(one, "x")
    arm.wait(1_500)
    assert (lane.counts(one), lane.counts(other)) == (Counts(0, 0), Counts(0, 0))


@pytest.mark.slow
def test_an_unused_queue_expires_when_it_looks_and_declarations_are_no_use(arm: Arm) -> None:
    """It looks every five seconds from its declaration on."""
    lane = arm.client().lane()
    queue = quorum_queue(arm, lane, x_expires=1_000)
    used = quorum_queue(arm, lane, "used", x_expires=1_000)
    lane.send(queue, "x")
    arm.wait(4_200)
    assert (arm.counts(queue), lane.get(used)) == (Counts(1, 0), None)
    arm.wait(1_600)
    assert (arm.counts(queue), arm.counts(used)) == (None, Counts(0, 0))
    arm.wait(5_000)
    assert arm.counts(used) is None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["consume", "get"])
def test_a_channel_that_keeps_a_message_too_long_is_closed(arm: Arm, how: str) -> None:
    client = arm.impatient(timeout_ms=1_500, tick_ms=500)
    lane = client.lane()
    queue = quorum_queue(arm, lane)
    lane.send(queue, 1, 2)
    arm.wait(200)
    if how == "consume":
        lane.consume(queue, "a")
    else:
        lane.get(queue)
    arm.wait(800)
    assert lane.closed is None
    arm.wait(2_000)
    closed = lane.ends_with()
    assert (closed.scope, closed.code, closed.text.split(". ")[0]) == (
        "channel",
        406,
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out",
    )
    arm.wait(200)
    other = arm.client().lane()
    assert other.fetch_all(queue) == [("1", True), ("2", how == "consume")]
