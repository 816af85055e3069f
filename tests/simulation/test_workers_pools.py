"""Pools and children: what belongs to a child, what ``solo`` and ``threads`` do otherwise, and signals."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from typing import Any

import pytest
from celery import current_app, current_task, signals
from celery.result import allow_join_result

import tqsim
from tests.simulation.worker_stories import make_app, starts

VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


def test_a_tasks_pid_is_its_childs_and_the_parents_is_the_workers() -> None:
    """celery/concurrency/prefork.py: a task runs in a child process."""
    app = make_app()

    @app.task(name="work")
    def work() -> list[int]:
        time.sleep(1)
        return [os.getpid(), os.getppid()]

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=2)
        results = [work.delay(), work.delay()]
        (first, parent), (second, _) = [result.get(timeout=5) for result in results]
        assert parent == worker.pid
        assert len({first, second, worker.pid, os.getpid()}) == 4
        children = [moment.fields["pid"] for moment in sim.history.moments_named("child.started")]
        assert children == [first, second]


def test_thread_locals_and_context_variables_belong_to_a_child_and_outlive_a_task() -> None:
    """A child is one thread of one process: what a task leaves there, the next one finds."""
    app = make_app()
    local = threading.local()

    @app.task(name="work")
    def work() -> list[int]:
        time.sleep(1)
        local.count = getattr(local, "count", 0) + 1
        VARIABLE.set(VARIABLE.get() + 1)
        return [os.getpid(), local.count, VARIABLE.get()]

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2, max_tasks_per_child=3)
        results = [work.delay() for _ in range(12)]
        told: dict[int, list[list[int]]] = {}
        for pid, *counts in (result.get(timeout=60) for result in results):
            told.setdefault(pid, []).append(counts)
        share = [[1, 1], [2, 2], [3, 3]]
        assert [counts for counts in told.values() if counts != share[: len(counts)]] == []
        assert list(told.values())[:3] == [share] * 3
    assert not hasattr(local, "count")
    assert VARIABLE.get() == 0


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_pool_without_children_runs_tasks_in_the_workers_process(pool: str) -> None:
    """celery/concurrency/solo.py, thread.py."""
    app = make_app()

    @app.task(name="work", bind=True)
    def work(self: Any) -> list[Any]:
        time.sleep(2)
        return [os.getpid(), self.request.hostname, current_app.main, current_task.name]

    with tqsim.Simulation(app) as sim:
        workers = [sim.worker(name, concurrency=3, pool=pool) for name in ("w1", "w2")]
        sim.run(for_=1)
        results = [work.delay() for _ in range(6)]
        expected = [[worker.pid, worker.hostname, "shop", "work"] for worker in workers]
        told = [result.get(timeout=60) for result in results]
        assert all(told.count(item) == 3 for item in expected)
        at = starts(sim, [result.id for result in results])
        assert at == ([1.0, 1.0, 3.0, 3.0, 5.0, 5.0] if pool == "solo" else [1.0] * 6)


def test_solo_answers_remote_control_only_between_tasks() -> None:
    """celery/concurrency/solo.py, TaskPool: blocking, so the event loop stands."""
    app = make_app()

    @app.task(name="work")
    def work() -> None:
        time.sleep(10)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1, pool="solo")
        sim.run(for_=1)
        assert app.control.ping(timeout=1) == [{"w1@sim": {"ok": "pong"}}]
        work.delay()
        sim.run(for_=1)
        assert app.control.ping(timeout=1) == []
        sim.run(for_=10)
        assert app.control.ping(timeout=1) == [{"w1@sim": {"ok": "pong"}}]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_pools_without_children_shut_down_warmly(pool: str) -> None:
    """celery/concurrency/thread.py, TaskPool.on_stop: shutdown(wait=True)."""
    app = make_app()

    @app.task(name="work", acks_late=True)
    def work() -> str:
        time.sleep(10)
        return "done"

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1, pool=pool)
        results = [work.delay(), work.delay()]
        sim.run(for_=3)
        worker.stop()
        sim.run(for_=30)
        assert not worker.is_alive
        assert results[0].state == "SUCCESS"
        assert sim.queue("celery").unacked_count == 0


def test_two_tasks_of_a_thread_pool_have_thread_locals_of_their_own() -> None:
    """celery/concurrency/thread.py: one thread per slot."""
    app = make_app()
    local = threading.local()

    @app.task(name="work")
    def work(value: int) -> int:
        local.value = value
        time.sleep(1)
        return int(local.value)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2, pool="threads")
        results = [work.delay(1), work.delay(2)]
        assert [result.get(timeout=5) for result in results] == [1, 2]


def test_waiting_for_a_result_inside_a_task_is_refused_and_allowed_on_request() -> None:
    """celery/result.py, assert_will_not_block; celery/concurrency/prefork.py, process_initializer."""
    app = make_app()

    @app.task(name="inner")
    def inner() -> int:
        return 42

    @app.task(name="refused")
    def refused() -> int:
        return int(inner.delay().get())

    @app.task(name="allowed")
    def allowed() -> int:
        with allow_join_result():
            return int(inner.delay().get(timeout=5))

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        with pytest.raises(RuntimeError, match=r"Never call result\.get\(\) within a task!"):
            refused.delay().get(timeout=5)
        assert allowed.delay().get(timeout=5) == 42
        assert inner.delay().get(timeout=5) == 42


def test_the_signals_of_a_task_come_in_order_with_the_task_as_sender() -> None:
    """celery/app/trace.py, build_tracer; celery/worker/strategy.py; celery/app/task.py."""
    app = make_app()
    seen: list[tuple[str, Any]] = []
    names = (
        "before_task_publish", "after_task_publish", "task_received", "task_prerun", "task_postrun",
        "task_success", "task_failure", "task_retry", "task_revoked",
    )  # fmt: skip
    receivers = []
    for name in names:

        def receive(sender: Any = None, name: str = name, **kwargs: Any) -> None:
            seen.append((name, getattr(sender, "name", type(sender).__name__)))

        getattr(signals, name).connect(receive, weak=False)
        receivers.append((name, receive))

    @app.task(name="good")
    def good() -> None:
        """Nothing."""

    @app.task(name="again", bind=True, max_retries=1, default_retry_delay=1)
    def again(self: Any) -> None:
        raise self.retry(exc=ValueError("no"))

    try:
        with tqsim.Simulation(app) as sim:
            sim.worker("w1", concurrency=1)
            good.delay()
            sim.run_until_idle()
            ran, seen[:] = list(seen), []
            again.delay()
            sim.run_until_idle()
            retried, seen[:] = list(seen), []
            good.apply_async(expires=-1)
            sim.run_until_idle()
    finally:
        for name, receive in receivers:
            getattr(signals, name).disconnect(receive)
    assert ran == [
        ("before_task_publish", "str"), ("after_task_publish", "str"), ("task_received", "Consumer"),
        ("task_prerun", "good"), ("task_success", "good"), ("task_postrun", "good"),
    ]  # fmt: skip
    assert [name for name, _ in retried] == [
        "before_task_publish", "after_task_publish", "task_received", "task_prerun",
        "before_task_publish", "after_task_publish", "task_retry", "task_postrun",
        "task_received", "task_prerun", "task_failure", "task_postrun",
    ]  # fmt: skip
    assert seen[-1][0] == "task_revoked"


def test_the_children_of_a_worker_are_initialised_once_each() -> None:
    """celery/concurrency/prefork.py, process_initializer: worker_process_init."""
    app = make_app()
    pids: list[int] = []

    def on_init(**kwargs: Any) -> None:
        pids.append(os.getpid())

    @app.task(name="work")
    def work() -> int:
        return os.getpid()

    signals.worker_process_init.connect(on_init, weak=False)
    try:
        with tqsim.Simulation(app) as sim:
            worker = sim.worker("w1", concurrency=3)
            told = work.delay().get(timeout=5)
            assert told in pids
            assert len(set(pids)) == 3
            worker.kill_child(1)
            sim.run(for_=5)
            assert len(set(pids)) == 4
    finally:
        signals.worker_process_init.disconnect(on_init)


def test_the_statistics_of_a_pool_say_how_many_jobs_each_child_was_given() -> None:
    """celery/concurrency/asynpool.py, AsynPool.human_write_stats; the first answer is that of a real worker."""
    app = make_app()

    @app.task(name="work")
    def work(seconds: float) -> None:
        time.sleep(seconds)

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2)
        inspect = app.control.inspect(timeout=1)
        for _ in range(6):
            work.delay(0).get(timeout=5)
        expected = {
            "total": 6, "avg": "1.00", "all": "1.00", "raw": "6", "strategy": "fair",
            "inqueues": {"total": 2, "active": 0},
        }  # fmt: skip
        assert inspect.stats()["w1@sim"]["pool"]["writes"] == expected
        for result in [work.delay(1), work.delay(2)]:
            result.get(timeout=5)
        writes = inspect.stats()["w1@sim"]["pool"]["writes"]
        assert (writes["total"], writes["avg"], writes["all"], writes["raw"]) == (8, "0.50", "0.88, 0.12", "7, 1")


def test_on_failure_and_after_return_run_in_the_child() -> None:
    """celery/app/trace.py, build_tracer: task handlers."""
    app = make_app()
    seen: list[tuple[str, bool]] = []

    class Base(app.Task):  # type: ignore[name-defined]
        def on_failure(self, *args: Any, **kwargs: Any) -> None:
            seen.append(("on_failure", os.getpid() == self.request.kwargs["pid"]))

        def after_return(self, *args: Any, **kwargs: Any) -> None:
            seen.append(("after_return", os.getpid() > 0))

    @app.task(name="work", base=Base)
    def work(pid: int) -> None:
        raise ValueError(os.getpid())

    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", concurrency=1)
        sim.run(for_=1)
        work.delay(pid=worker.pid)
        sim.run_until_idle()
        assert seen == [("on_failure", False), ("after_return", True)]


def test_a_task_that_changes_its_arguments_changes_nothing_of_another_run() -> None:
    """The arguments travel as bytes (celery/app/trace.py, trace_task_ret: loads_message)."""
    app = make_app()

    @app.task(name="work", bind=True, max_retries=2, default_retry_delay=1)
    def work(self: Any, items: list[int]) -> list[int]:
        items.append(self.request.retries)
        if self.request.retries < 2:
            raise self.retry()
        return items

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        assert work.delay([7]).get(timeout=10)[-1] == 2


def test_a_pool_of_threads_ends_with_the_simulation_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """A thread of ``concurrent.futures`` logs whatever ends it, and so does the task below."""
    app = make_app()

    @app.task
    def wait() -> None:
        try:
            time.sleep(60)  # virtual
        except BaseException:
            logging.getLogger("shop").critical("interrupted")
            raise

    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=2, pool="threads")
        wait.delay()
        sim.run(for_=1)
        assert len(sim.history.moments_named("task.started")) == 1
    logging.getLogger("shop").critical("afterwards")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == ["afterwards"]
