"""When a worker acknowledges, and what becomes of messages that it cannot run."""

from __future__ import annotations

import time
from typing import Any

import pytest
from celery import signals
from celery.backends.base import DisabledBackend
from celery.exceptions import Ignore, Reject
from kombu import Producer

import tqsim
from tests.simulation.worker_stories import broker_story, make_app, story

ACK, START, END = "message.acked", "task.started", "task.succeeded"
REJECTED = ["message.rejected", "message.dropped"]


def test_an_early_ack_goes_out_when_a_child_has_taken_the_task() -> None:
    """celery/worker/request.py, Request.on_accepted."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        time.sleep(2)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert story(sim, result.id, ACK, START, END) == [(0.0, ACK), (0.0, START), (2.0, END)]


def test_a_late_ack_goes_out_after_the_result_is_stored() -> None:
    """celery/worker/request.py, Request.on_success."""
    app = make_app()

    @app.task(name="work", acks_late=True)
    def work() -> None:
        time.sleep(2)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert story(sim, result.id, ACK, START, END) == [(0.0, START), (2.0, END), (2.0, ACK)]


def test_a_late_ack_task_that_fails_is_acked_unless_told_otherwise() -> None:
    """celery/worker/request.py, Request.on_failure: acks_on_failure_or_timeout."""
    app = make_app(task_acks_late=True)

    @app.task(name="fail")
    def fail() -> None:
        raise ValueError("no")

    @app.task(name="keep", acks_on_failure_or_timeout=False)
    def keep() -> None:
        raise ValueError("no")

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        acked, rejected = fail.delay(), keep.delay()
        sim.run_until_idle()
        assert broker_story(sim, acked.id)[-1] == ACK
        assert broker_story(sim, rejected.id)[-2:] == REJECTED
        assert sim.queue("celery").ready_count == 0


def test_reject_with_requeue_runs_the_message_again_and_says_so() -> None:
    """celery/worker/request.py, Request.on_failure: Reject."""
    app = make_app()
    seen: list[bool] = []

    @app.task(name="work", bind=True, acks_late=True)
    def work(self: Any) -> str:
        redelivered = bool(self.request.delivery_info["redelivered"])
        seen.append(redelivered)
        if not redelivered:
            raise Reject("not yet", requeue=True)
        return "done"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        assert result.get(timeout=5) == "done"
        assert seen == [False, True]
        attempts = sim.history.tasks("work")[0].attempts
        assert [(item.outcome, item.redelivered) for item in attempts] == [("rejected", False), ("succeeded", True)]


def test_reject_without_requeue_is_a_failure_and_the_message_is_gone() -> None:
    """celery/worker/request.py, Request.on_failure: mark_as_failure since 5.7."""
    app = make_app()
    failures: list[str] = []

    @app.task(name="work", acks_late=True)
    def work() -> None:
        raise Reject("never", requeue=False)

    def on_failure(task_id: str, **kwargs: Any) -> None:
        failures.append(task_id)

    with tqsim.Simulation(app) as sim:
        signals.task_failure.connect(on_failure)
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert result.state == "FAILURE"
        assert failures == [result.id]
        assert broker_story(sim, result.id)[-2:] == REJECTED
    signals.task_failure.disconnect(on_failure)


def test_ignore_acks_and_stores_nothing() -> None:
    """celery/app/trace.py, build_tracer: Ignore; celery/worker/request.py, Request.on_failure."""
    app = make_app()

    @app.task(name="work", acks_late=True)
    def work() -> None:
        raise Ignore

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert result.state == "PENDING"
        assert broker_story(sim, result.id)[-2:] == ["task.ignored", ACK]


def test_an_unknown_task_is_rejected_and_the_worker_goes_on() -> None:
    """celery/worker/consumer/consumer.py, Consumer.on_unknown_task."""
    app = make_app()
    unknown: list[tuple[str, str]] = []

    @app.task(name="work")
    def work() -> str:
        return "done"

    def on_unknown(name: str, id: str, **kwargs: Any) -> None:  # noqa: A002 - the signal's name
        unknown.append((name, id))

    with tqsim.Simulation(app) as sim:
        signals.task_unknown.connect(on_unknown)
        sim.worker("w1", concurrency=1)
        lost = app.send_task("nobody.knows")
        assert work.delay().get(timeout=5) == "done"
        assert lost.state == "FAILURE"
        assert unknown == [("nobody.knows", lost.id)]
        assert broker_story(sim, lost.id)[-3:] == [*REJECTED, "task.unknown"]
    signals.task_unknown.disconnect(on_unknown)


def _publish(app: Any, body: Any, **options: Any) -> None:
    with app.connection_for_write() as connection:
        Producer(connection).publish(body, routing_key="celery", **options)


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b"{not json", {"content_type": "application/json", "content_encoding": "utf-8"}),
        (b"\x80\x04", {"content_type": "application/x-python-serialize", "content_encoding": "binary"}),
        ({"hello": "world"}, {"serializer": "json"}),
        ("plain", {"content_type": "text/plain", "content_encoding": "utf-8"}),
    ],
    ids=["undecodable", "type not accepted", "no task", "text"],
)
def test_a_message_that_is_no_task_is_thrown_away(body: Any, options: Any) -> None:
    """celery/worker/consumer/consumer.py, create_task_handler: on_decode_error, on_unknown_message."""
    app = make_app()

    @app.task(name="work")
    def work() -> str:
        return "done"

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        _publish(app, body, **options)
        assert work.delay().get(timeout=5) == "done"
        sim.run_until_idle()
        queue = sim.queue("celery")
        assert (queue.ready_count, queue.unacked_count) == (0, 0)


def test_a_task_with_a_content_type_that_is_not_accepted_is_rejected() -> None:
    """celery/worker/consumer/consumer.py, Consumer.on_invalid_task: ContentDisallowed."""
    app = make_app(accept_content=["json"])
    rejected: list[str] = []

    @app.task(name="work")
    def work(x: int) -> int:
        return x

    def on_rejected(exc: Any, **kwargs: Any) -> None:
        rejected.append(type(exc).__name__)

    with tqsim.Simulation(app) as sim:
        signals.task_rejected.connect(on_rejected)
        sim.worker("w1", concurrency=1)
        result = work.apply_async((1,), serializer="pickle")
        assert work.delay(2).get(timeout=5) == 2
        sim.run_until_idle()
        # The worker cannot tell whose the message is, so no result says what became of it.
        assert (result.state, rejected) == ("PENDING", ["ContentDisallowed"])
        assert broker_story(sim, result.id)[-2:] == REJECTED
        assert sim.queue("celery").unacked_count == 0
    signals.task_rejected.disconnect(on_rejected)


def test_a_result_that_cannot_be_serialised_is_a_failure() -> None:
    """celery/app/trace.py, build_tracer: EncodeError of mark_as_done becomes a failure."""
    app = make_app()

    @app.task(name="work")
    def work() -> object:
        return object()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert result.state == "FAILURE"
        assert type(result.result).__name__ == "EncodeError"
        assert sim.history.tasks("work")[0].state == "failed"


class TwoArguments(Exception):
    """An exception whose pickle does not load: it is made with more than it keeps."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def test_an_exception_that_pickles_badly_is_still_a_failure_with_its_name() -> None:
    """celery/utils/serialization.py, get_pickleable_exception."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        raise TwoArguments(7, "seven")

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        with pytest.raises(Exception, match="seven"):
            result.get(timeout=5)
        assert result.state == "FAILURE"
        assert work.delay().id != result.id
        sim.run_until_idle()
        assert [life.state for life in sim.history.tasks("work")] == ["failed", "failed"]


def test_a_task_that_expires_in_the_queue_is_dropped_by_the_broker() -> None:
    """celery/app/amqp.py, as_task_v2 and kombu's Producer.publish: ``expires`` is the message's expiration too."""
    app = make_app()
    runs: list[int] = []

    @app.task(name="work")
    def work() -> None:
        runs.append(1)

    with tqsim.Simulation(app) as sim:
        result = work.apply_async(expires=5)
        sim.run(for_=6)
        assert sim.queue("celery").ready_count == 0
        sim.worker("w1", concurrency=1)
        sim.run_until_idle()
        assert (runs, result.state) == ([], "PENDING")
        assert [moment.at for moment in sim.history.moments_named("message.expired")] == [5.0]


def test_a_task_that_expires_while_it_waits_in_the_worker_does_not_run() -> None:
    """celery/worker/request.py, Request.execute_using_pool calls revoked()."""
    app = make_app()

    @app.task(name="slow")
    def slow() -> None:
        time.sleep(10)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        slow.delay()
        second = slow.apply_async(expires=4)
        sim.run_until_idle()
        life = sim.history.task(second.id)
        assert second.state == "REVOKED"
        assert life.attempts[0].received == 0.0
        assert (life.attempts[0].started, life.attempts[0].ended) == (None, 10.0)


def test_an_error_outside_the_task_is_internal_and_the_worker_survives() -> None:
    """celery/app/trace.py, build_tracer: report_internal_error, task_internal_error."""
    app = make_app()
    internal: list[str] = []

    class Broken(DisabledBackend):
        def mark_as_done(self, *args: Any, **kwargs: Any) -> None:
            raise KeyError("backend")

    @app.task(name="work", backend=Broken(app))
    def work() -> str:
        return "done"

    @app.task(name="next")
    def following() -> str:
        return "done"

    def on_internal(task_id: str, exception: Exception, **kwargs: Any) -> None:
        internal.append(type(exception).__name__)

    signals.task_internal_error.connect(on_internal)
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        with pytest.warns(RuntimeWarning, match="Exception raised outside body"):
            sim.run_until_idle()
        assert sim.history.task(result.id).state == "failed"
        assert following.delay().get(timeout=5) == "done"
    signals.task_internal_error.disconnect(on_internal)
    assert internal == ["KeyError"]
