from __future__ import annotations

import pytest

from tests.unit.history.story import Story
from tqsim.history import History


def told(*moments: tuple[int, str, dict[str, object]]) -> History:
    history = History()
    for at_us, name, fields in moments:
        history.record(name, at_us=at_us, process="", task_id="a", **{"queue": "celery", **fields})
    return history


def depths(history: History) -> list[tuple[int, int]]:
    return [(at_us, depth) for at_us, _, depth in history.queue("celery").changes]


def test_the_depth_counts_ready_messages() -> None:
    story = Story().publish("a", 1).publish("b", 2)
    story.run("a", 3, 9)
    history = story.history()

    life = history.queue("celery")

    assert depths(history) == [(1_000_000, 1), (2_000_000, 2), (3_000_000, 1)]
    assert (life.queued, life.depth_max) == (2, 2)
    # One message for a second, two for a second, one for six, out of nine seconds.
    assert life.depth_mean(history.end_us) == 1.0


def test_a_change_names_its_moment() -> None:
    history = Story().publish("a", 1).history()

    ((_, order, _),) = history.queue("celery").changes

    assert history.moments[order].name == "message.queued"


def test_a_message_moment_that_names_no_queue_is_left_out() -> None:
    history = History()
    history.record("message.dropped", at_us=0, task_id="a", reason="no such exchange")

    assert history.queues() == []


def test_queues_are_listed_in_the_order_of_appearance() -> None:
    story = Story().tell(0, "queue.declared", queue="mail").publish("a", 1)

    assert story.history().queues() == ["mail", "celery"]
    assert story.history().queue("mail").depth_max == 0
    assert story.history().queue("mail").depth_mean(0) == 0.0


# Each story begins with one ready message; a message is known by itself or counted.
@pytest.mark.parametrize("known", [{"message": 7}, {}])
@pytest.mark.parametrize(
    ("names", "ready"),
    [
        (["delivered"], 0),
        (["delivered", "acked"], 0),
        (["delivered", "rejected"], 0),
        (["delivered", "requeued"], 1),
        (["delivered", "rejected", "requeued"], 1),
        (["delivered", "requeued", "acked"], 1),
        (["delivered", "dropped"], 0),
        (["dropped"], 0),
        (["expired"], 0),
        (["dropped", "expired"], 0),
        (["delivered", "rejected", "dropped"], 0),
    ],
)
def test_a_message_is_ready_until_it_is_taken_or_leaves(known: dict[str, object], names: list[str], ready: int) -> None:
    moments = [(at_us, f"message.{name}", {**known, "delivery": 1}) for at_us, name in enumerate(names, start=1)]
    history = told((0, "message.queued", known), *moments)

    assert ([1] + [depth for _, depth in depths(history)])[-1] == ready


def test_a_copy_of_the_same_message_that_is_ready_is_not_dropped_with_a_rejected_one() -> None:
    # RabbitMQ's recorder says "rejected" and then "dropped" of one copy, while another message waits.
    history = told(
        (0, "message.queued", {"message": 1}),
        (1, "message.queued", {"message": 2}),
        (2, "message.delivered", {"message": 1}),
        (3, "message.rejected", {"message": 1}),
        (3, "message.dropped", {"message": 1}),
    )

    assert depths(history) == [(0, 1), (1, 2), (2, 1)]


def test_deleting_a_queue_empties_it() -> None:
    history = told((0, "message.queued", {}), (1, "message.queued", {"message": 1}), (5, "queue.deleted", {}))

    assert depths(history) == [(0, 1), (1, 2), (5, 0)]


@pytest.mark.parametrize("known", [{"message": 7}, {}])
@pytest.mark.parametrize(
    ("moments", "state"),
    [
        ([("message.queued", {}), ("message.delivered", {}), ("message.acked", {})], "lost"),
        ([("message.queued", {}), ("message.delivered", {"no_ack": True})], "lost"),
        ([("message.queued", {}), ("message.delivered", {})], "pending"),
        ([("message.queued", {}), ("message.dropped", {})], "lost"),
        ([("message.queued", {}), ("message.expired", {})], "lost"),
        ([("message.queued", {}), ("message.expired", {}), ("message.queued", {"queue": "dead"})], "pending"),
        ([("message.queued", {}), ("message.queued", {"queue": "copy"}), ("message.dropped", {})], "pending"),
        ([("message.published", {})], "pending"),
        ([("message.published", {}), ("message.unroutable", {})], "lost"),
        ([("message.published", {}), ("message.returned", {})], "lost"),
    ],
)
def test_a_task_whose_last_copy_is_gone_is_lost(
    known: dict[str, object], moments: list[tuple[str, dict[str, object]]], state: str
) -> None:
    history = told(
        (0, "task.published", {}),
        *((at_us, name, {**known, "delivery": 1, **fields}) for at_us, (name, fields) in enumerate(moments)),
    )

    assert history.task("a").state == state


def test_a_message_that_the_network_dropped_is_lost() -> None:
    history = told((0, "task.published", {}), (0, "message.published", {}), (1, "message.dropped", {}))

    assert history.task("a").state == "lost"
