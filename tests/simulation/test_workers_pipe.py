"""What crosses the pipes between a worker and its children, and what cannot (tqsim/worker/pipes.py)."""

from __future__ import annotations

import os
from typing import Any

import pytest
from billiard.pool import MaybeEncodingError
from celery import signals
from celery.exceptions import Ignore, Reject
from celery.utils.serialization import UnpickleableExceptionWrapper

import tqsim
from tests.simulation.worker_stories import broker_story, make_app


class Stop(BaseException):
    """An exception that Celery's tracer lets pass, and that can be pickled."""


class _Closed:
    """Something that cannot be pickled, such as a connection."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle this")


def _raise_local() -> None:
    class Local(BaseException):
        pass

    raise Local("here")


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (_raise_local, "_raise_local.<locals>.Local"),
        (lambda: _raise(Reject(_Closed(), requeue=True)), "cannot pickle this"),
        (lambda: _raise(Reject(_Closed(), requeue=False)), "cannot pickle this"),
        (lambda: _raise(Ignore(_Closed())), "cannot pickle this"),
    ],
    ids=["BaseException", "Reject and requeue", "Reject", "Ignore"],
)
@pytest.mark.parametrize("acks_late", [False, True], ids=["early", "late"])
def test_an_outcome_that_cannot_be_pickled_fails_the_task(act: Any, reason: str, acks_late: bool) -> None:
    """billiard/pool.py, Worker.workloop, MaybeEncodingError; measured with each of these, early and late.

    A message that was to be requeued is acknowledged: the worker never learns what the task wanted.
    """
    app = make_app()

    @app.task(name="work", acks_late=acks_late)
    def work() -> None:
        act()

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert result.state == "FAILURE"
        assert isinstance(result.result, MaybeEncodingError)
        assert reason in str(result.result)
        assert "Error sending result: " in str(result.result)
        assert [name for name in broker_story(sim, result.id) if name.startswith("message.")][-1] == "message.acked"
        assert len(sim.history.task(result.id).attempts) == 1
        assert sim.history.moments_named("child.ended") == []


def test_an_exception_beyond_exception_is_a_failure_like_any_other() -> None:
    """billiard/pool.py, Worker.workloop: reported to the worker, which stores it (measured)."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        raise Stop("enough")

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert (result.state, repr(result.result)) == ("FAILURE", "Stop('enough')")
        assert sim.history.task(result.id).attempts[0].outcome == "failed"


def test_an_ordinary_exception_is_replaced_by_one_that_can_be_pickled() -> None:
    """celery/utils/serialization.py, get_pickleable_exception: before anything is written to the pipe."""
    app = make_app()
    seen: list[Any] = []

    @app.task(name="work")
    def work() -> None:
        class Local(Exception):
            pass

        raise Local("here")

    def on_failure(exception: Any, **kwargs: Any) -> None:
        seen.append(exception)

    signals.task_failure.connect(on_failure, weak=False)
    try:
        with tqsim.Simulation(app) as sim:
            sim.worker("w1", concurrency=1)
            result = work.delay()
            sim.run_until_idle()
            assert result.state == "FAILURE"
    finally:
        signals.task_failure.disconnect(on_failure)
    assert [type(error) for error in seen] == [UnpickleableExceptionWrapper]


def test_what_a_task_does_to_its_request_stays_in_its_child() -> None:
    """celery/concurrency/asynpool.py, send_job: the request is pickled."""
    app = make_app()
    requests: list[Any] = []

    @app.task(name="work", bind=True)
    def work(self: Any) -> list[Any]:
        self.request.trace["hops"].append(os.getpid())
        self.request.delivery_info["priority"] = 9
        return list(self.request.trace["hops"])

    def on_received(request: Any, **kwargs: Any) -> None:
        requests.append(request)

    signals.task_received.connect(on_received, weak=False)
    try:
        with tqsim.Simulation(app) as sim:
            sim.worker("w1", concurrency=1)
            result = work.apply_async(headers={"trace": {"hops": [1]}})
            assert len(result.get(timeout=5)) == 2
    finally:
        signals.task_received.disconnect(on_received)
    assert requests[0].request_dict["trace"] == {"hops": [1]}
    assert requests[0].request_dict["delivery_info"]["priority"] != 9
