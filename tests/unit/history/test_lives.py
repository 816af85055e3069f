from __future__ import annotations

import pytest

from tests.unit.history.story import Story
from tqsim.history import History, RunInfo


def only_attempt_words(history: History, task_id: str = "a") -> list[str | None]:
    return [attempt.outcome for attempt in history.task(task_id).attempts]


def test_a_task_that_succeeds_has_one_attempt_with_exact_times() -> None:
    story = Story().publish("a", 1, args="(1,)", kwargs="{}", root_id="r", parent_id="p", group_id="g")
    story.run("a", 2.000001, 5.5)
    history = story.history()

    (life,) = history.tasks()
    (attempt,) = life.attempts

    assert (life.id, life.name, life.queue, life.args, life.kwargs) == (
        "a",
        "shop.charge",
        "celery",
        "(1,)",
        "{}",
    )
    assert (life.root_id, life.parent_id, life.group_id) == ("r", "p", "g")
    assert (life.state, life.is_terminal, life.published) == ("succeeded", True, 1.0)
    assert (life.wait_us, life.duration) == (1_000_001, 4.5)
    assert (attempt.number, attempt.retries, attempt.worker, attempt.child) == (1, 0, "w1", 5_000_001)
    assert (attempt.received, attempt.started, attempt.ended) == (2.000001, 2.000001, 5.5)
    assert (attempt.duration_us, attempt.outcome, attempt.error) == (3_499_999, "succeeded", None)
    assert life.runs == life.attempts


def test_tasks_are_listed_in_the_order_of_first_publish_and_by_name() -> None:
    story = Story().publish("b", 1).publish("a", 0, task="shop.mail").publish("c", 2)
    story.run("c", 3, 4)

    history = story.history()

    assert [life.id for life in history.tasks()] == ["a", "b", "c"]
    assert [life.id for life in history.tasks("shop.charge")] == ["b", "c"]
    assert history.tasks("shop.none") == []


def test_retries_are_attempts_of_one_life_with_the_delays_between_them() -> None:
    story = Story().publish("a")
    story.run("a", 0, 1, "retried", error="Timeout()")
    story.publish("a", 1, retries=1, countdown=2, eta=3).run("a", 3, 4, "retried", retries=1)
    story.publish("a", 4, retries=2, countdown=4.5, eta="2030-01-01T00:00:08.500000+00:00")
    story.run("a", 9, 10, retries=2)

    life = story.history().task("a")

    assert [attempt.outcome for attempt in life.attempts] == ["retried", "retried", "succeeded"]
    assert [attempt.retries for attempt in life.attempts] == [0, 1, 2]
    assert life.attempts[0].error == "Timeout()"
    assert [(publish.retries, publish.at, publish.eta, publish.countdown) for publish in life.publishes] == [
        (0, 0.0, None, None),
        (1, 1.0, 3.0, 2.0),
        (2, 4.0, 8.5, 4.5),
    ]
    assert life.delays == (2.0, 5.0)


def test_the_run_after_a_retry_is_the_one_with_the_next_retry_number() -> None:
    # A duplicate of the first message runs between the retry and its run.
    story = Story().publish("a")
    story.run("a", 0, 1, "retried")
    story.publish("a", 1, retries=1)
    story.run("a", 2, 2.5, "failed")
    story.run("a", 3, 4, retries=1)

    assert story.history().task("a").delays == (2.0,)


@pytest.mark.parametrize(
    ("outcome", "state", "is_terminal"),
    [
        ("succeeded", "succeeded", True),
        ("failed", "failed", True),
        ("rejected", "rejected", True),
        ("ignored", "ignored", True),
        ("revoked", "revoked", True),
        ("terminated", "terminated", True),
        ("lost", "lost", False),
    ],
)
def test_an_outcome_decides_the_state(outcome: str, state: str, is_terminal: bool) -> None:
    story = Story().publish("a")
    story.run("a", 1, 2, outcome)

    life = story.history().task("a")

    assert (life.attempts[0].outcome, life.state, life.is_terminal) == (outcome, state, is_terminal)


def test_a_message_in_a_queue_or_with_a_worker_leaves_its_task_pending() -> None:
    story = Story().publish("a").publish("b")
    story.receive("b", 1)
    history = story.history()

    assert [(life.state, life.wait) for life in history.tasks()] == [("pending", None), ("pending", None)]
    (attempt,) = history.task("b").attempts
    assert (attempt.received, attempt.started, attempt.ended, attempt.outcome) == (1.0, None, None, None)
    assert history.task("b").runs == ()


def test_a_run_without_an_end_is_running() -> None:
    story = Story().publish("a")
    story.run("a", 1)

    life = story.history().task("a")

    assert (life.state, life.duration, life.runs[0].duration) == ("running", None, None)


def test_a_task_between_two_tries_is_retried() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2, "retried")
    story.publish("a", 2, retries=1)

    assert story.history().task("a").state == "retried"


def test_a_requeued_rejection_leaves_the_task_pending() -> None:
    story = Story().publish("a")
    delivery = story.run("a", 1, 2, "rejected", ack=False, requeue=True)
    story.tell(2, "message.requeued", "", "a", queue="celery", delivery=delivery)

    assert story.history().task("a").state == "pending"


@pytest.mark.parametrize("end", ["process.killed", "process.crashed", "process.stopped"])
def test_the_end_of_a_worker_ends_what_it_held(end: str) -> None:
    story = Story().worker("w1").worker("w2").publish("a").publish("b").publish("c")
    story.run("a", 1)
    story.receive("b", 1)
    story.run("c", 1, worker="w2")
    story.tell(3, end, "w1")

    history = story.history()

    for task_id in ("a", "b"):
        (attempt,) = history.task(task_id).attempts
        assert (attempt.outcome, attempt.outcomes, attempt.ended) == ("lost", (), 3.0)
        # Not acked: the broker still has the message.
        assert history.task(task_id).state == "pending"
    assert history.task("c").state == "running"


def test_a_task_that_was_acked_early_is_lost_with_its_worker() -> None:
    story = Story().publish("a")
    delivery = story.run("a", 1)
    story.tell(1, "message.acked", "w1", "a", queue="celery", delivery=delivery)
    story.tell(2, "process.killed", "w1")

    life = story.history().task("a")

    assert (life.state, life.is_terminal, life.settled_us) == ("lost", False, None)


@pytest.mark.parametrize("field", ["child", "pid"])
def test_an_attempt_ends_when_its_child_died_not_when_the_worker_noticed(field: str) -> None:
    story = Story().publish("a").publish("b")
    delivery = story.run("a", 1, child=5_000_001)
    story.run("b", 1, child=5_000_002)
    story.tell(2, "child.ended", "w1", None, **{field: 5_000_001})
    story.tell(3, "task.lost", "w1", "a", delivery=delivery)
    story.tell(3, "task.failed", "w1", "a", delivery=delivery, error="WorkerLostError()")

    history = story.history()

    (attempt,) = history.task("a").attempts
    assert (attempt.outcome, attempt.outcomes) == ("lost", ("lost", "failed"))
    assert (attempt.ended, attempt.error) == (2.0, "WorkerLostError()")
    assert history.task("a").state == "failed"
    assert history.task("b").state == "running"


def test_a_child_that_ends_after_its_work_changes_nothing() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2)
    story.tell(3, "child.ended", "w1", child=5_000_001)

    assert only_attempt_words(story.history()) == ["succeeded"]


def test_how_a_run_was_cut_off_goes_before_what_celery_made_of_it() -> None:
    story = Story().publish("a")
    delivery = story.run("a", 1)
    story.tell(2, "task.failed", "w1", "a", delivery=delivery)
    story.tell(2, "task.terminated", "w1", "a", delivery=delivery)
    story.tell(2, "task.revoked", "w1", "a", delivery=delivery)

    life = story.history().task("a")

    assert life.attempts[0].outcome == "terminated"
    assert life.attempts[0].outcomes == ("failed", "terminated", "revoked")
    assert life.state == "revoked"


def test_a_success_stays_whatever_a_duplicate_does() -> None:
    story = Story().publish("a")
    story.run("a", 1, 4)
    story.run("a", 2, 5, "failed", worker="w2", redelivered=True)

    life = story.history().task("a")

    assert (life.state, life.settled_us) == ("succeeded", 4_000_000)
    assert [attempt.redelivered for attempt in life.attempts] == [False, True]


def test_a_failure_gives_way_to_a_later_run() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2, "failed", ack=False)
    story.run("a", 3, worker="w2", redelivered=True)
    assert story.history().task("a").state == "running"

    story.tell(4, "task.succeeded", "w2", "a", delivery=2)
    assert story.history().task("a").state == "succeeded"


def test_moments_without_a_delivery_belong_to_the_unfinished_attempt_of_their_worker() -> None:
    history = History()
    for at_us, name, worker in [
        (1, "task.received", "w1"),
        (2, "task.received", "w2"),
        (3, "task.started", "w1"),
        (4, "task.started", "w2"),
        (5, "task.failed", "w1"),
        (6, "task.succeeded", "w2"),
    ]:
        history.record(name, at_us=at_us, process=worker, task_id="a", task="shop.charge")

    attempts = history.task("a").attempts
    assert [(item.worker, item.started_us, item.ended_us, item.outcome) for item in attempts] == [
        ("w1", 3, 5, "failed"),
        ("w2", 4, 6, "succeeded"),
    ]


def test_a_delivery_that_is_known_only_at_the_start_joins_what_was_received() -> None:
    history = History()
    history.record("task.received", at_us=1, process="w1", task_id="a")
    history.record("task.started", at_us=2, process="w1", task_id="a", delivery=9)

    (attempt,) = history.task("a").attempts
    assert (attempt.delivery, attempt.received_us, attempt.started_us) == (9, 1, 2)


def test_an_id_whose_publish_was_not_recorded_begins_with_its_first_moment() -> None:
    history = History()
    history.record("task.received", at_us=5, process="w1", task_id="a", delivery=1)

    life = history.task("a")
    assert (life.name, life.published_us, life.publishes) == ("", 5, ())


def test_a_message_that_is_no_task_has_no_life() -> None:
    history = History()
    history.record("message.queued", at_us=0, task_id="reply", queue="celery.pidbox", message=1)

    assert history.tasks() == []


def test_lives_go_on_when_asked_in_between() -> None:
    history = History()
    asked: list[str] = []
    for at_us, name in enumerate(["task.published", "task.received", "task.started", "task.succeeded"]):
        history.record(name, at_us=at_us, process="w1", task_id="a", delivery=1)
        asked.append(history.task("a").state)

    assert asked == ["pending", "pending", "running", "succeeded"]
    assert history.task("a") is history.task("a")


def test_retries_of_an_attempt_default_to_those_of_the_latest_publish() -> None:
    history = History()
    history.record("task.published", at_us=0, task_id="a", retries=4)
    history.record("task.received", at_us=1, process="w1", task_id="a", delivery=1)

    assert history.task("a").attempts[0].retries == 4


def test_instants_without_an_offset_are_utc_and_what_is_no_instant_is_none() -> None:
    history = History(RunInfo(start="2030-01-01T02:00:00+02:00"))
    for expires in ("2030-01-01T00:00:01", "2030-01-01T01:00:01+01:00", 1, 1.0, "soon", True, None, [1]):
        history.record("task.published", at_us=0, task_id="a", expires=expires)

    assert [publish.expires for publish in history.task("a").publishes] == [
        1,
        1,
        1,
        1,
        None,
        None,
        None,
        None,
    ]
