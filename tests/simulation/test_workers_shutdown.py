"""How long the end of a worker takes, and what is read and acknowledged meanwhile.

Measured on real workers, from the beginning of ``TaskPool.on_stop`` to its end: 1.50 s when idle, with 1, 2
and 4 children; 3.00 s when a task ended 1.21 s after the beginning; 1.00 s after SIGQUIT with one busy
child, 1.50 s with an idle one beside it.
"""

from __future__ import annotations

import signal

import pytest
from celery import signals

import tqsim
from tests.simulation.worker_stories import make_sleeping_app, story


class Stop(BaseException):
    """It can be pickled but not unpickled: two arguments to make it, one kept."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def _stopped_at(sim: tqsim.Simulation) -> float:
    return sim.history.moments_named("process.stopped")[0].at


@pytest.mark.parametrize("concurrency", [1, 2, 4])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_an_idle_worker_takes_a_second_and_a_half_to_stop(concurrency: int, number: int) -> None:
    """billiard/pool.py, Worker._do_exit: a second; celery/concurrency/prefork.py, fire_timers_loop: its next turn."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=concurrency)
        assert app.tasks["late"].delay(0).get(timeout=5) == "done"
        sim.run(for_=2 - sim.elapsed)
        worker.send_signal(number)
        sim.run(for_=1.4)
        assert worker.is_alive
        sim.run(for_=1)
        assert _stopped_at(sim) == 3.5
        ended = sim.history.moments_named("child.ended")
        assert [(moment.at, moment.fields["exit_code"]) for moment in ended] == [(3.0, 0)] * concurrency


def test_results_are_read_twice_a_second_during_a_warm_shutdown() -> None:
    """celery/concurrency/asynpool.py, _flush_outqueue: sleep(0.5); prefork.py, fire_timers_loop: the same.

    The result is read at 12.5, just after the turn of the thread that acknowledges.  The child sees at
    12.51 that it was read, tells of its leave to nobody, and is gone a second later; the thread ends the
    pool with its turn at 14.
    """
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        result = app.tasks["late"].delay(12.21)
        sim.run(for_=11)
        worker.stop()
        sim.run(for_=10)
        assert result.state == "SUCCESS"
        names = ("task.succeeded", "message.acked")
        assert story(sim, result.id, *names) == [(12.21, "task.succeeded"), (13.0, "message.acked")]
        ended = [(moment.at, moment.fields["exit_code"]) for moment in sim.history.moments_named("child.ended")]
        # The idle child's leave is read while the other works, and it is cut short.
        assert ended == [(11.5, 0), (pytest.approx(13.51), 0)]
        assert _stopped_at(sim) == 14.0


@pytest.mark.parametrize(("concurrency", "seconds"), [(1, 1.0), (2, 1.5)])
def test_a_cold_shutdown_ends_busy_children_within_half_a_second(concurrency: int, seconds: float) -> None:
    """celery/apps/worker.py, on_cold_shutdown; celery/concurrency/asynpool.py, on_stop_not_started."""
    app = make_sleeping_app()
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=concurrency)
        app.tasks["late"].delay()
        sim.run(for_=3)
        worker.send_signal(signal.SIGQUIT)
        sim.run(for_=5)
        assert _stopped_at(sim) == 3.0 + seconds
        assert sim.queue("celery").ready_count == 1
        assert "error" not in sim.history.moments_named("process.stopped")[0].fields  # it was asked to end


def test_a_result_that_ends_the_worker_makes_its_child_wait_half_a_minute() -> None:
    """billiard/pool.py, GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT: 300 times 0.1 s for a result that is never read.

    celery/concurrency/asynpool.py, _recv_message, raises in the event loop.  Measured: "Unrecoverable error:
    TypeError(...)", and the worker ended 31.8 s later, with these two states.
    """
    app = make_sleeping_app()

    @app.task(name="stop")
    def stop() -> None:
        raise Stop("enough", 1)

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        result, then = stop.delay(), app.tasks["late"].delay(0)
        sim.run(for_=20)
        assert worker.is_alive
        sim.run(for_=20)
        assert not worker.is_alive
        assert str(result.result) == "Worker exited prematurely: exitcode 0 Job: 0."
        assert (result.state, then.state) == ("FAILURE", "PENDING")
        assert 32 <= _stopped_at(sim) <= 33


@pytest.mark.parametrize(
    ("code", "exit_code", "error"), [(3, 3, "SystemExit: 3"), ("full", 1, "SystemExit: full"), (None, 0, None)]
)
def test_a_worker_that_an_application_ends_says_why(code: object, exit_code: int, error: str | None) -> None:
    app = make_sleeping_app()

    def leave(**kwargs: object) -> None:
        raise SystemExit(code)

    signals.worker_ready.connect(leave)
    try:
        with tqsim.Simulation(app) as sim:
            worker = sim.worker("w1", concurrency=1)
            sim.run(for_=10)
            (stopped,) = sim.history.moments_named("process.stopped")
            assert not worker.is_alive
    finally:
        signals.worker_ready.disconnect(leave)
    assert (stopped.fields["exit_code"], stopped.fields.get("error")) == (exit_code, error)
