"""What ``sim.worker(...)`` accepts, and in which words it refuses."""

from __future__ import annotations

import time
from typing import Any

import click
import pytest
from kombu import Queue

import tqsim
from tests.simulation.worker_stories import make_app, starts

ACCEPTED = (
    "app, autoscale, concurrency, disable_prefetch, exclude_queues, gossip, heartbeat, heartbeat_interval, "
    "include, loglevel, max_tasks_per_child, mingle, optimization, pool, prefetch_multiplier, purge, queues, "
    "soft_time_limit, task_events, time_limit"
)
COUNT = "a whole number of at least 1"


def _app(**settings: Any) -> Any:
    app = make_app(**settings)

    @app.task(name="work")
    def work() -> str:
        time.sleep(1)
        return "done"

    return app


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurency": 4}, f"concurency=4 is not an option of a worker; accepted are: {ACCEPTED}."),
        ({"concurrency": 0}, f"concurrency=0 is not possible; expected {COUNT}."),
        ({"concurrency": "4"}, f"concurrency='4' is not possible; expected {COUNT}."),
        ({"concurrency": True}, f"concurrency=True is not possible; expected {COUNT}."),
        ({"concurrency": 2.0}, f"concurrency=2.0 is not possible; expected {COUNT}."),
        ({"max_tasks_per_child": -1}, f"max_tasks_per_child=-1 is not possible; expected {COUNT}."),
        (
            {"prefetch_multiplier": -1},
            "prefetch_multiplier=-1 is not possible; expected a whole number of at least 0.",
        ),
        ({"time_limit": "5s"}, "time_limit='5s' is not possible; expected a number of seconds above 0."),
        ({"queues": [1]}, "queues=[1] is not possible; expected a list of names."),
        ({"queues": ""}, "queues='' is not possible; expected a list of names."),
        ({"task_events": "yes"}, "task_events='yes' is not possible; expected True or False."),
        (
            {"autoscale": (1, 3)},
            "autoscale=(1, 3) is not possible; expected two numbers, the most and the least: (10, 3).",
        ),
        ({"pool": "nobody"}, "pool='nobody' is not a pool; expected 'prefork', 'solo' or 'threads'."),
        ({"pool": "os:path"}, "pool='os:path' is not a pool; expected 'prefork', 'solo' or 'threads'."),
        ({"pool": 3}, "pool=3 is not possible; expected 'prefork', 'solo' or 'threads'."),
        ({"pool": "gevent"}, "pool='gevent' is not simulated yet; expected 'prefork', 'solo' or 'threads'."),
        ({"beat": True}, "beat=True is not simulated: start it with sim.beat()."),
        (
            {"without_gossip": True},
            "without_gossip=True is not simulated: gossip is off unless gossip=True.",
        ),
        ({"hostname": "x"}, "hostname='x' is not simulated: the first argument of sim.worker() is its name."),
    ],
)
def test_a_wrong_option_is_named_with_what_is_expected(options: dict[str, Any], message: str) -> None:
    """celery/bin/worker.py: the options; celery/worker/worker.py takes any keyword."""
    with tqsim.Simulation(_app()) as sim:
        with pytest.raises(tqsim.UsageError) as caught:
            sim.worker("w1", **options)
        assert str(caught.value) == f"worker 'w1': {message}"
        # The name is free: nothing has been started.
        sim.worker("w1")
        sim.run(for_=1)
        assert len(sim.history.moments_named("process.started")) == 1


def test_an_unknown_queue_is_the_callers_mistake_and_not_a_traceback() -> None:
    """celery/worker/worker.py, setup_queues: ImproperlyConfigured without task_create_missing_queues."""
    app = _app(task_create_missing_queues=False, task_queues=[Queue("one")], task_default_queue="one")
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1", queues=["two"])
        with pytest.raises(tqsim.UsageError) as caught:
            sim.run(for_=1)
        assert str(caught.value) == (
            "worker 'w1' cannot start: Trying to select queue subset of ['two'], but queue 'two' isn't defined in "
            "the `task_queues` setting. If you want to automatically declare unknown queues you can enable the "
            "`task_create_missing_queues` setting."
        )
        assert not worker.is_alive
        sim.worker("w2", queues=["one"])
        assert app.tasks["work"].delay().get(timeout=5) == "done"


def test_the_options_of_the_command_line_are_all_known_or_refused_by_name() -> None:
    """celery/bin/worker.py: a new version's option must not be swallowed."""
    from celery.bin.worker import worker as command  # the command line is needed nowhere else

    with tqsim.Simulation(_app()) as sim:
        for name in sorted({str(parameter.name) for parameter in command.params}):
            with pytest.raises(tqsim.UsageError) as caught:
                sim.worker(f"w-{name}", **{name: object()})
            assert "is not an option of a worker" not in str(caught.value), name


def test_an_option_that_the_application_adds_is_accepted() -> None:
    """celery/app/base.py, Celery.user_options."""
    app = _app()
    app.user_options["worker"].add(click.Option(["--colour"]))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", colour="red")
        assert app.tasks["work"].delay().get(timeout=5) == "done"


def test_a_worker_without_a_number_has_one_slot_on_every_machine() -> None:
    """celery/worker/worker.py, setup_instance would count the processors."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        ids = [app.tasks["work"].delay().id for _ in range(3)]
        sim.run_until_idle()
        assert starts(sim, ids) == [0.0, 1.0, 2.0]


def test_the_settings_of_the_application_are_the_defaults() -> None:
    """celery/worker/worker.py, setup_defaults."""
    app = _app(worker_concurrency=3, worker_prefetch_multiplier=1, worker_pool="threads")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        ids = [app.tasks["work"].delay().id for _ in range(4)]
        sim.run_until_idle()
        assert starts(sim, ids) == [0.0, 0.0, 0.0, 1.0]
        started = sim.history.moments_named("process.started")[0]
        assert (started.fields["kind"], started.fields["concurrency"]) == ("worker", 3)


def test_queues_may_be_text_with_commas_as_on_the_command_line() -> None:
    """celery/utils/text.py, str_to_list."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", queues="one,two")
        sim.run(for_=1)
        results = [app.tasks["work"].apply_async(queue=queue) for queue in ("one", "two")]
        assert [result.get(timeout=5) for result in results] == ["done", "done"]


def test_purge_empties_the_queues_first(capsys: pytest.CaptureFixture[str]) -> None:
    """celery/apps/worker.py, Worker.purge_messages."""
    app = _app()
    with tqsim.Simulation(app) as sim:
        lost = app.tasks["work"].delay()
        app.tasks["work"].delay()
        sim.worker("w1", purge=True)
        sim.run_until_idle()
        assert lost.state == "PENDING"
    assert capsys.readouterr().out == ""
