"""ETA, retries, rate limits, prefetch and the life span of children, to the microsecond."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

import tqsim
from tests.simulation.worker_stories import make_app, starts

MICROSECOND = datetime.timedelta(microseconds=1)


@pytest.mark.parametrize("countdown", [0.000001, 0.1, 0.3, 1, 1.234567, 59.999999, 86_399.000001])
def test_a_countdown_is_exact_to_the_microsecond(countdown: float) -> None:
    """celery/worker/strategy.py, default: to_timestamp; kombu/asynchronous/timer.py, Timer.enter_at."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        """Nothing."""

    # A day is longer than RabbitMQ lets a worker hold a message.
    with tqsim.Simulation(app, broker=tqsim.RabbitMQ(consumer_timeout=None)) as sim:
        sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        result = work.apply_async(countdown=countdown)
        sim.run_until_idle()
        started_us = sim.history.task(result.id).attempts[0].started_us
        assert started_us == 1_000_000 + round(countdown * 1_000_000)


def test_every_eta_of_a_thousand_is_exact() -> None:
    """celery/worker/strategy.py, default: to_timestamp; kombu/asynchronous/timer.py, Timer.enter_at."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        """Nothing."""

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        base = sim.now
        offsets_us = [1_000_003 * n + 7 * n * n for n in range(1, 1001)]
        results = [work.apply_async(eta=base + offset * MICROSECOND) for offset in offsets_us]
        sim.run_until_idle()
        started = [sim.history.task(result.id).attempts[0].started_us for result in results]
        assert started == offsets_us


def test_an_eta_in_the_past_runs_at_once_and_other_zones_count() -> None:
    """celery/worker/strategy.py, default."""
    app = make_app(timezone="Europe/Paris", enable_utc=False)

    @app.task(name="work")
    def work() -> None:
        """Nothing."""

    with tqsim.Simulation(app, start="2030-07-01T00:00:00Z") as sim:
        sim.worker("w1", concurrency=2)
        past = work.apply_async(eta=sim.now - datetime.timedelta(hours=1))
        zone = datetime.timezone(datetime.timedelta(hours=9))
        later = work.apply_async(eta=(sim.now + datetime.timedelta(seconds=90)).astimezone(zone))
        count = work.apply_async(countdown=30)
        sim.run_until_idle()
        assert starts(sim, [past.id, later.id, count.id]) == [0.0, 90.0, 30.0]


def test_a_task_with_an_eta_stays_unacknowledged_in_the_worker_and_counts_beyond_prefetch() -> None:
    """celery/worker/strategy.py, default: qos.increment_eventually for every ETA task."""
    app = make_app(worker_prefetch_multiplier=1)

    @app.task(name="work")
    def work() -> None:
        """Nothing."""

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        for _ in range(10):
            work.apply_async(countdown=60)
        sim.run(for_=1)
        queue = sim.queue("celery")
        assert (queue.ready_count, queue.unacked_count) == (0, 10)
        assert work.delay().get(timeout=1) is None


def test_retries_wait_as_long_as_the_task_says() -> None:
    """celery/app/task.py, Task.retry: countdown, default_retry_delay 180 s."""
    app = make_app()

    @app.task(name="explicit", bind=True, max_retries=2)
    def explicit(self: Any) -> None:
        raise self.retry(countdown=2.5, exc=ValueError("no"))

    @app.task(name="default", bind=True, max_retries=2)
    def default(self: Any) -> None:
        raise self.retry(exc=ValueError("no"))

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        first, second = explicit.delay(), default.delay()
        sim.run_until_idle()
        assert sim.history.task(first.id).delays == (2.5, 2.5)
        assert sim.history.task(second.id).delays == (180.0, 180.0)
        assert (first.state, type(first.result).__name__) == ("FAILURE", "ValueError")


def test_autoretry_backs_off_exponentially_up_to_the_maximum() -> None:
    """celery/app/autoretry.py, add_autoretry_behaviour; celery/utils/time.py, get_exponential_backoff_interval."""
    app = make_app()

    @app.task(
        name="work", autoretry_for=(ValueError,), retry_backoff=3, retry_backoff_max=20, max_retries=5,
        retry_jitter=False,
    )  # fmt: skip
    def work() -> None:
        raise ValueError("no")

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        assert sim.history.task(result.id).delays == (3.0, 6.0, 12.0, 20.0, 20.0)


def _jittered(seed: int) -> tuple[float, ...]:
    app = make_app()

    @app.task(name="work", autoretry_for=(ValueError,), retry_backoff=10, max_retries=6)
    def work() -> None:
        raise ValueError("no")

    with tqsim.Simulation(app, seed=seed) as sim:
        sim.worker("w1", concurrency=1)
        result = work.delay()
        sim.run_until_idle()
        return sim.history.task(result.id).delays


def test_jitter_is_full_and_comes_from_the_seed() -> None:
    """celery/utils/time.py, get_exponential_backoff_interval: random.randrange(countdown + 1)."""
    delays = _jittered(7)
    assert delays == _jittered(7)
    assert delays != _jittered(8)
    assert len(set(delays)) > 2
    assert all(0 <= delay <= 10 * 2**n for n, delay in enumerate(delays))


def test_a_rate_limit_spaces_the_starts_evenly() -> None:
    """celery/worker/consumer/consumer.py, Consumer._schedule_bucket_request: TokenBucket of capacity 1."""
    app = make_app()

    @app.task(name="work", rate_limit="1/s")
    def work() -> None:
        """Nothing."""

    @app.task(name="slow", rate_limit="6/m")
    def slow() -> None:
        """Nothing."""

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=4)
        sim.run(for_=10)
        ids = [work.delay().id for _ in range(5)]
        slow_ids = [slow.delay().id for _ in range(3)]
        sim.run_until_idle()
        assert starts(sim, ids) == pytest.approx([10, 11, 12, 13, 14], abs=0.000_01)
        assert starts(sim, slow_ids) == pytest.approx([10, 20, 30], abs=0.000_01)


def test_a_rate_limit_holds_for_each_worker_alone() -> None:
    """celery/worker/consumer/consumer.py, Consumer.reset_rate_limits: buckets are the consumer's."""
    app = make_app(worker_prefetch_multiplier=1)

    @app.task(name="work", rate_limit="1/s")
    def work() -> None:
        """Nothing."""

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.worker("w2", concurrency=1)
        sim.run(for_=1)
        ids = [work.delay().id for _ in range(6)]
        sim.run_until_idle()
        first = {sim.history.task(task_id).attempts[0].worker for task_id in ids[:2]}
        assert first == {"w1", "w2"}
        assert max(at for at in starts(sim, ids) if at is not None) < 4.1


@pytest.mark.parametrize(("multiplier", "concurrency", "unacked"), [(1, 1, 1), (4, 2, 8), (0, 1, 50)])
def test_the_prefetch_multiplier_bounds_what_a_worker_holds(multiplier: int, concurrency: int, unacked: int) -> None:
    """celery/worker/components.py, Consumer.create: prefetch_count = concurrency * multiplier, 0 is no limit."""
    app = make_app(task_acks_late=True)

    @app.task(name="work")
    def work() -> None:
        time.sleep(10)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=concurrency, prefetch_multiplier=multiplier)
        for _ in range(50):
            work.delay()
        sim.run(for_=1)
        queue = sim.queue("celery")
        assert (queue.ready_count, queue.unacked_count) == (50 - unacked, unacked)


def test_early_ack_makes_room_for_as_many_more_as_run() -> None:
    """celery/worker/request.py, Request.on_accepted: acknowledged tasks do not count in prefetch."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        time.sleep(10)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2, prefetch_multiplier=1)
        for _ in range(10):
            work.delay()
        sim.run(for_=1)
        queue = sim.queue("celery")
        assert (queue.ready_count, queue.unacked_count) == (6, 2)


def test_a_child_is_replaced_after_its_share_of_tasks() -> None:
    """billiard/pool.py, Worker.workloop: maxtasks, EX_RECYCLE; why late: test_workers_reaping.py."""
    app = make_app()

    @app.task(name="work")
    def work(number: int) -> None:
        time.sleep(1)
        if number % 2:
            raise ValueError(number)  # a task that fails counts like any other

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, max_tasks_per_child=3)
        ids = [work.delay(number).id for number in range(9)]
        sim.run_until_idle()
        children = [sim.history.task(task_id).attempts[0].child for task_id in ids]
        assert [children.count(child) for child in dict.fromkeys(children)] == [3, 3, 3]
        # The second child begins at 5 and the third at 10, when the first and the second are found.
        assert starts(sim, ids) == [0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 10.0, 11.0, 12.0]
        sim.run(for_=1)
        ended = sim.history.moments_named("child.ended")
        assert [moment.fields["exit_code"] for moment in ended] == [155, 155, 155]


def test_the_autoscaler_grows_and_shrinks_the_pool() -> None:
    """celery/worker/autoscale.py, Autoscaler.maybe_scale."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        time.sleep(60)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", autoscale=(4, 1))
        sim.run(for_=1)
        for _ in range(8):
            work.delay()
        sim.run(for_=30)
        assert len({item.child for life in sim.history.tasks("work") for item in life.attempts} - {None}) == 4
        sim.run_until_idle()
        sim.run(for_="10m")
        alive = app.control.inspect(timeout=1).stats()["w1@sim"]["pool"]["processes"]
        assert len(alive) == 1
