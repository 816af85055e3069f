from __future__ import annotations

import pytest

from tests.unit.history.story import INFO, Story
from tests.unit.refusals import refusal
from tqsim.history import History
from tqsim.report import FaultSummary, QueueSummary, Spread, Summary, TaskSummary, WorkerSummary, summary


def test_tasks_are_counted_by_name_and_state() -> None:
    story = Story()
    for task_id in "abcdef":
        story.publish(task_id)
    story.publish("m", task="shop.mail")
    story.run("a", 1, 2)
    story.run("b", 1, 3, "failed")
    story.run("c", 1, 2, "retried")
    story.publish("c", 2, retries=1)
    story.run("d", 1, 2, "lost")
    story.run("e", 2, 3, "revoked")

    charge, mail = summary(story.history()).tasks

    assert (charge.name, charge.published, charge.runs) == ("shop.charge", 6, 5)
    assert (charge.succeeded, charge.failed, charge.retried, charge.lost) == (1, 1, 1, 1)
    assert (charge.waiting, charge.discarded) == (2, 1)
    assert mail == TaskSummary(
        name="shop.mail",
        published=1,
        runs=0,
        succeeded=0,
        failed=0,
        retried=0,
        lost=0,
        waiting=1,
        discarded=0,
        wait=None,
        run=None,
        end_to_end=None,
    )


def test_times_are_spread_by_nearest_rank_over_what_has_ended() -> None:
    story = Story()
    for number in range(1, 5):
        story.publish(str(number))
        story.run(str(number), number, 2 * number)
    story.publish("5")
    story.run("5", 5)

    (task,) = summary(story.history()).tasks

    second = 1_000_000
    assert task.wait == Spread(5, 3 * second, 5 * second, 5 * second, 5 * second)
    assert task.run == Spread(4, 2 * second, 4 * second, 4 * second, 4 * second)
    assert task.end_to_end == Spread(4, 4 * second, 8 * second, 8 * second, 8 * second)


def test_a_worker_s_utilisation_is_its_busy_time_over_the_time_of_its_slots() -> None:
    story = Story().worker("w1", at=2, concurrency=2).publish("a").publish("b")
    story.run("a", 3, 5)
    story.run("b", 3)
    story.tell(12, "note.written")

    (worker,) = summary(story.history()).workers

    # Ten seconds of two slots, of which two and nine were busy.
    assert worker == WorkerSummary("w1", 2, 2, busy_us=11_000_000, capacity_us=20_000_000)
    assert worker.utilisation == 0.55


@pytest.mark.parametrize("start", ["process.started", "process.restarted"])
def test_a_dead_worker_has_no_capacity_until_it_is_restarted(start: str) -> None:
    story = Story().worker("w1", concurrency=1).publish("a")
    story.run("a", 1)
    story.tell(3, "process.killed", "w1")
    story.tell(10, start, "w1", kind="worker", concurrency=2)
    story.tell(11, "process.stopped", "w1")
    story.tell(20, "note.written")

    (worker,) = summary(story.history()).workers

    assert (worker.slots, worker.busy_us, worker.capacity_us) == (2, 2_000_000, 5_000_000)


def test_a_worker_without_known_slots_has_no_utilisation() -> None:
    story = Story().publish("a")
    story.run("a", 1, 2)

    (worker,) = summary(story.history()).workers

    assert (worker.name, worker.slots, worker.capacity_us, worker.utilisation) == ("w1", None, 0, None)


def test_queues_have_their_depth_over_the_whole_run() -> None:
    story = Story().publish("a", 1).publish("b", 1).publish("m", 3, queue="mail")
    story.run("a", 2, 4)

    assert summary(story.history()).queues == (
        QueueSummary("celery", 2, 2, 1.0),
        QueueSummary("mail", 1, 1, 0.25),
    )


def test_faults_have_the_times_of_their_strokes_and_repairs() -> None:
    story = Story()
    for name in ("outage", "reset", "reset", "late"):
        story.tell(0, "fault.installed", "faults", fault=name)
    story.tell(1, "fault.struck", "faults", fault="outage", verb="service.fail", target="payments")
    story.tell(2, "fault.struck", "faults", fault="reset", verb="link.reset", target="w1 to broker")
    story.tell(3, "fault.struck", "faults", fault="outage", verb="service.recover", target="payments")
    story.tell(4, "fault.struck", "faults", fault="reset", verb="link.reset", target="w1 to broker")
    story.tell(5, "fault.struck", "faults", fault="outage", verb="service.fail", target="payments")

    second = 1_000_000
    assert summary(story.history()).faults == (
        FaultSummary("outage", second, 3 * second),
        FaultSummary("reset", 2 * second),
        FaultSummary("reset", 4 * second),
        FaultSummary("late"),
        FaultSummary("outage", 5 * second),
    )


def test_a_run_without_moments_has_an_empty_summary() -> None:
    assert summary(History(INFO)) == Summary(INFO, 0, 0, (), (), ())


def test_a_history_that_is_switched_off_has_no_summary() -> None:
    assert refusal(lambda: summary(History(enabled=False))) == (
        "This simulation keeps no history; open it with Simulation(..., history=True) to ask for moments, "
        "tasks, checks or a digest."
    )
