from __future__ import annotations

from tests.unit.checks.reading import texts, times
from tests.unit.history.story import Story
from tqsim.checks import nothing_lost


def test_finished_tasks_are_not_lost() -> None:
    story = Story()
    for task_id, outcome in enumerate(["succeeded", "failed", "rejected", "ignored", "revoked", "terminated"]):
        story.publish(str(task_id))
        story.run(str(task_id), 1, 2, outcome)

    verdict = nothing_lost()(story.history())

    assert (verdict.passed, verdict.judged) == (True, 6)


def test_a_task_that_died_with_its_worker_after_an_early_ack_is_lost() -> None:
    story = Story().publish("a")
    delivery = story.run("a", 1)
    story.tell(1, "message.acked", "w1", "a", queue="celery", delivery=delivery)
    story.tell(5, "process.killed", "w1")

    verdict = nothing_lost()(story.history())

    assert texts(verdict) == ["a: attempt 1 on w1 was cut off; it is lost, nothing holds it any more."]
    assert times(verdict) == [
        (0, "task.published"),
        (1, "task.received"),
        (1, "task.started"),
        (1, "message.acked"),
        (5, "process.killed"),
    ]


def test_a_message_that_the_broker_dropped_is_lost() -> None:
    story = Story().publish("a").tell(3, "message.dropped", "", "a", queue="celery")

    verdict = nothing_lost()(story.history())

    assert texts(verdict) == ["a: it is lost, nothing holds it any more."]
    assert times(verdict) == [(0, "task.published"), (3, "message.dropped")]


def test_a_task_that_waits_in_a_queue_is_reported_with_its_last_moment() -> None:
    story = Story().publish("a").publish("b", eta=60, queue="later")

    verdict = nothing_lost()(story.history())

    assert texts(verdict) == [
        "a: it still waits in queue 'celery'.",
        "b: it still waits in queue 'later'; its ETA is 1m.",
    ]
    assert times(verdict) == [(0, "task.published"), (0, "message.queued")]


def test_a_task_that_a_worker_keeps_for_later_is_reported() -> None:
    story = Story().publish("a", eta=3600)
    story.receive("a", 1)

    assert texts(nothing_lost()(story.history())) == ["a: w1 holds it and has not started it; its ETA is 1h."]


def test_a_task_that_still_runs_is_reported() -> None:
    story = Story().publish("a")
    story.run("a", 1, worker="w2")

    assert texts(nothing_lost()(story.history())) == ["a: it still runs on w2."]


def test_a_task_that_waits_for_its_retry_is_reported() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2, "retried")
    story.publish("a", 2, retries=1)

    assert texts(nothing_lost()(story.history())) == ["a: it waits for its retry."]


def test_a_task_that_is_to_be_delivered_again_is_reported() -> None:
    story = Story().publish("a")
    story.run("a", 1)
    story.tell(2, "process.killed", "w1")

    assert texts(nothing_lost()(story.history())) == ["a: attempt 1 on w1 was cut off; it waits to be delivered again."]


def story_of_a_lost_child() -> Story:
    story = Story().publish("a")
    delivery = story.run("a", 1, 2, "lost")
    return story.tell(2, "task.failed", "w1", "a", delivery=delivery, error="WorkerLostError()")


def test_a_task_whose_child_died_is_lost_though_celery_calls_it_failed() -> None:
    assert texts(nothing_lost()(story_of_a_lost_child().history())) == [
        "a: attempt 1 on w1 was cut off; it was marked failed, and nobody runs it again."
    ]


def test_celery_s_word_for_a_lost_child_can_be_taken() -> None:
    assert nothing_lost(worker_lost_is_failure=True)(story_of_a_lost_child().history()).passed


def test_a_redelivered_task_is_not_lost() -> None:
    story = Story().publish("a")
    story.run("a", 1)
    story.tell(2, "process.killed", "w1")
    story.run("a", 3, 4, worker="w2", redelivered=True)

    assert nothing_lost()(story.history()).passed


def test_only_the_chosen_tasks_are_judged() -> None:
    story = Story().publish("a", task="shop.mail").publish("b")
    story.run("b", 1, 2)
    history = story.history()

    assert nothing_lost(task="shop.charge")(history).passed
    assert not nothing_lost(task="shop.mail")(history).passed
