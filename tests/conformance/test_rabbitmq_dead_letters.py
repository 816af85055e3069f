"""The machine and a real RabbitMQ 3.10 do the same: dead letters, why, in which order, and where to.

Each body runs on both arms and compares with the same literals, as in ``test_rabbitmq_machine.py``.
"""

from __future__ import annotations

import pytest

from tests.conformance.rabbitmq_arms import Arm, Counts, Lane


def _dying(arm: Arm, lane: Lane, to: str, stem: str = "q", **more: object) -> str:
    """Declare a queue whose dead letters go straight to the queue ``to``."""
    arguments = {name.replace("_", "-"): value for name, value in more.items()}
    arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": to}
    return lane.queue(arm.name(stem), arguments=arguments)


def test_a_rejected_message_is_a_dead_letter_with_its_history(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead)
    lane.send(queue, "x", application_headers={"a": 1}, priority=3, delivery_mode=2, correlation_id="c")
    lane.get(queue)
    lane.reject(1, requeue=False)
    letter = lane.letter(dead)
    assert (letter.body, letter.exchange, letter.key) == ("x", "", dead)
    assert letter.headers == {
        "a": 1,
        "x-death": [{"count": 1, "reason": "rejected", "queue": queue, "exchange": "", "routing-keys": [queue]}],
        "x-first-death-reason": "rejected",
        "x-first-death-queue": queue,
        "x-first-death-exchange": "",
    }
    kept = {name: letter.properties[name] for name in ("priority", "delivery_mode", "correlation_id")}
    assert kept == {"priority": 3, "delivery_mode": 2, "correlation_id": "c"}


def test_an_expired_message_loses_its_expiration_and_remembers_it(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead)
    lane.send(queue, "x", expiration="100")
    arm.wait(300)
    letter = lane.letter(dead)
    assert "expiration" not in letter.properties
    assert letter.headers["x-death"] == [
        {
            "count": 1,
            "reason": "expired",
            "queue": queue,
            "exchange": "",
            "routing-keys": [queue],
            "original-expiration": "100",
        }
    ]


def test_messages_expire_in_order_and_arrive_in_order(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead, x_message_ttl=200)
    lane.send(queue, *range(5))
    arm.wait(500)
    assert lane.contents(dead) == "0 1 2 3 4"


def test_an_overdue_message_dies_when_it_becomes_the_head(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead)
    lane.send(queue, "long", expiration="2000")
    lane.send(queue, "short", expiration="100")
    arm.wait(500)
    assert lane.contents(dead) == ""
    lane.purge(queue)
    lane.send(queue, "head")
    lane.send(queue, "behind", expiration="100")
    arm.wait(300)
    lane.get(queue, no_ack=True)
    assert lane.contents(dead) == "behind"


def test_without_a_key_of_its_own_a_dead_letter_keeps_its_keys(arm: Arm) -> None:
    lane = arm.client().lane()
    lane.exchange(exchange := arm.name("dlx"), "topic")
    queue = lane.queue(arm.name("q"), arguments={"x-dead-letter-exchange": exchange})
    one, two = lane.queue(arm.name("one")), lane.queue(arm.name("two"))
    lane.bind(queue, "amq.topic", "a.b")
    lane.bind(one, exchange, "a.*")
    lane.bind(two, exchange, "copied")
    lane.publish("amq.topic", "a.b", "x", application_headers={"CC": ["copied"]}, expiration="0")
    letter = lane.letter(one)
    assert (letter.exchange, letter.key, letter.headers["CC"]) == (exchange, "a.b", ["copied"])
    assert letter.headers["x-death"][0]["routing-keys"] == ["a.b", "copied"]
    assert letter.headers["x-death"][0]["exchange"] == "amq.topic"
    assert lane.contents(two) == "x"


def test_a_key_of_its_own_replaces_the_copies_too(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead)
    copied = lane.queue(arm.name("copied"))
    lane.publish("", queue, "x", application_headers={"CC": [copied]}, expiration="0")
    letter = lane.letter(dead)
    assert "CC" not in letter.headers
    assert letter.headers["x-death"][0]["routing-keys"] == [queue, copied]
    assert lane.counts(copied) == Counts(0, 0)


def test_a_dead_letter_without_an_exchange_or_a_queue_is_gone(arm: Arm) -> None:
    lane = arm.client().lane()
    exchange = arm.name("later")
    queue = lane.queue(arm.name("q"), arguments={"x-dead-letter-exchange": exchange, "x-message-ttl": 0})
    dead = lane.queue(arm.name("dead"))
    lane.send(queue, "no exchange")
    lane.exchange(exchange, "fanout")
    lane.send(queue, "no queue")
    lane.bind(dead, exchange, "")
    lane.send(queue, "found")
    assert lane.contents(dead) == "found"


def test_a_dead_letter_may_go_through_an_internal_exchange_and_its_alternate(arm: Arm) -> None:
    lane = arm.client().lane()
    lane.exchange(alternate := arm.name("ae"), "fanout")
    lane.exchange(exchange := arm.name("dlx"), "direct", internal=True, arguments={"alternate-exchange": alternate})
    queue = lane.queue(arm.name("q"), arguments={"x-dead-letter-exchange": exchange, "x-message-ttl": 0})
    dead = lane.queue(arm.name("dead"))
    lane.bind(dead, alternate, "")
    lane.send(queue, "x")
    letter = lane.letter(dead)
    assert (letter.exchange, letter.key) == (exchange, queue)


@pytest.mark.parametrize("rounds", [2, 3])
def test_a_second_death_of_the_same_kind_is_counted(arm: Arm, rounds: int) -> None:
    lane = arm.client().lane()
    dead = arm.name("dead")
    queue = _dying(arm, lane, dead)
    # What dies in the second queue comes back to the first.
    lane.queue(dead, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue})
    lane.send(queue, "x")
    for _ in range(rounds):
        for place in (queue, dead):
            fetched = lane.get(place)
            assert fetched is not None
            lane.reject(fetched.tag, requeue=False)
            arm.settle()
    letter = lane.letter(queue)
    assert letter.deaths == [(dead, "rejected", rounds), (queue, "rejected", rounds)]
    assert letter.headers["x-first-death-queue"] == queue


def test_another_reason_is_another_entry_and_the_others_turn_round(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = arm.name("dead")
    queue = _dying(arm, lane, dead)
    lane.queue(dead, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue})
    lane.send(queue, "x", expiration="0")
    for place in (dead, queue, dead):
        fetched = lane.get(place)
        assert fetched is not None
        lane.reject(fetched.tag, requeue=False)
        arm.settle()
    letter = lane.letter(queue)
    assert letter.deaths == [(dead, "rejected", 2), (queue, "expired", 1), (queue, "rejected", 1)]
    assert letter.headers["x-first-death-reason"] == "expired"


def test_a_circle_without_a_rejection_ends_and_one_with_goes_on(arm: Arm) -> None:
    lane = arm.client().lane()
    one, two = arm.name("one"), arm.name("two")
    lane.queue(one, arguments={"x-message-ttl": 200, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": two})
    lane.queue(two, arguments={"x-message-ttl": 400, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": one})
    lane.send(one, "x")
    arm.wait(1_500)
    assert (lane.counts(one), lane.counts(two)) == (Counts(0, 0), Counts(0, 0))
    lane.send(two, "y")
    fetched = lane.get(two)
    assert fetched is not None
    lane.reject(fetched.tag, requeue=False)
    arm.wait(320)  # it has gone on from the first queue to the second
    letter = lane.letter(two)
    assert letter.deaths == [(one, "expired", 1), (two, "rejected", 1)]


def test_a_queue_may_take_its_own_dead_letters_only_after_a_rejection(arm: Arm) -> None:
    lane = arm.client().lane()
    queue = arm.name("q")
    lane.queue(queue, arguments={"x-dead-letter-exchange": "", "x-max-length": 1})
    lane.send(queue, "old", "new")
    assert lane.contents(queue) == "new"
    lane.send(queue, "again")
    fetched = lane.get(queue)
    assert fetched is not None
    lane.reject(fetched.tag, requeue=False)
    letter = lane.letter(queue)
    assert (letter.body, letter.deaths) == ("again", [(queue, "rejected", 1)])


def test_what_is_no_history_is_replaced(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead, x_message_ttl=0)
    lane.send(queue, "x", application_headers={"x-death": "nonsense"})
    letter = lane.letter(dead)
    assert letter.deaths == [(queue, "expired", 1)]
    assert "x-first-death-queue" not in letter.headers


def test_several_rejected_at_once_die_in_the_order_of_their_delivery(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead)
    lane.send(queue, *range(5))
    for _ in range(5):
        lane.get(queue)
    lane.reject(3, requeue=False)
    lane.nack(0, multiple=True, requeue=False)
    assert lane.contents(dead) == "2 0 1 3 4"


def test_dead_letters_are_not_bounced_by_a_full_queue_but_lost(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"), arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    queue = _dying(arm, lane, dead, x_message_ttl=0)
    lane.send(queue, 1, 2)
    assert lane.contents(dead) == "1"


def test_a_consumer_of_the_dead_gets_a_fresh_message(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead)
    lane.consume(dead, "dead")
    lane.send(queue, "x")
    lane.get(queue)
    lane.reject(1, requeue=False)
    assert lane.bodies("dead") == "x"


def test_purged_and_deleted_messages_are_no_dead_letters(arm: Arm) -> None:
    lane = arm.client().lane()
    dead = lane.queue(arm.name("dead"))
    queue = _dying(arm, lane, dead)
    lane.send(queue, 1)
    lane.purge(queue)
    lane.send(queue, 2, 3)
    lane.get(queue)
    lane.delete_queue(queue)
    lane.reject(1, requeue=False)
    assert lane.contents(dead) == ""
