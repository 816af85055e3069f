"""A user's mistake gets a message that names the argument, the value and what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

import tqsim
from tests.apps.shop.tasks import app, capture, mail


def _takes_nothing() -> int:
    return 1


_EMPTY = """
import tqsim
from celery import Celery

with tqsim.Simulation(Celery("empty", broker="memory://")) as sim:
    try:
        sim.worker("w1")
    except tqsim.UsageError as error:
        print(error)
"""


def test_an_application_without_tasks() -> None:
    """In an interpreter of its own: Celery shares the tasks of all applications of one."""
    done = subprocess.run([sys.executable, "-c", _EMPTY], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "The application 'empty' has no tasks; a worker would have nothing to run. Import the modules that define "
        "them before opening the simulation, or name them in Celery(include=[...]) or app.autodiscover_tasks().\n"
    )


def test_something_that_is_no_application() -> None:
    with pytest.raises(tqsim.UsageError) as caught:
        tqsim.Simulation("shop.tasks:app")
    assert str(caught.value) == (
        "app='shop.tasks:app' is not a Celery application; expected an instance of celery.Celery."
    )


def test_a_task_that_is_not_registered() -> None:
    # Celery gives an application the shared tasks of every other one in the interpreter.
    names = sorted(name for name in app.tasks if not name.startswith("celery."))
    assert "shop.charge" in names
    with tqsim.Simulation(app) as sim, pytest.raises(tqsim.UsageError) as caught:
        sim.cost("shop.chrage", "1s")
    assert str(caught.value) == f"task='shop.chrage' is not registered; registered are: {', '.join(names)}."


def test_a_queue_that_does_not_exist() -> None:
    with tqsim.Simulation(app) as sim:
        capture.apply_async((1,), countdown=60)
        with pytest.raises(tqsim.UsageError) as caught:
            sim.queue("emials")
    assert str(caught.value) == "queue='emials' does not exist; the broker's queues are: celery."


def test_a_simulation_inside_another() -> None:
    with tqsim.Simulation(app), pytest.raises(tqsim.UsageError) as caught, tqsim.Simulation(app):
        raise AssertionError("it opened")
    assert str(caught.value) == (
        "A simulation is open already; two cannot share one interpreter's clock. Leave the first with-block before "
        "opening the next, or give the first one another worker: sim.worker(..., app=other_app)."
    )


def test_the_same_simulation_twice() -> None:
    sim = tqsim.Simulation(app)
    with sim:
        pass
    with pytest.raises(tqsim.UsageError) as caught, sim:
        raise AssertionError("it opened")
    assert str(caught.value) == "A simulation can be opened once; make a new Simulation(...) for another run."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": "7"}, "seed='7' is not a seed; expected a whole number."),
        (
            {"policy": "lifo"},
            (
                'policy=\'lifo\' is not a scheduling policy; expected "fifo", "random" or "pct(depth)", for '
                'example "pct(3)".'
            ),
        ),
        (
            {"start": "tomorrow"},
            "start='tomorrow' is not a date and time; expected ISO 8601 such as \"2030-01-01T00:00:00Z\".",
        ),
        (
            {"timezone": "Mars/Olympus"},
            'timezone=\'Mars/Olympus\' is not a known time zone; expected a name such as "UTC" or "Europe/Paris".',
        ),
        ({"broker": "redis"}, "broker='redis' is not a broker profile; expected tqsim.RabbitMQ() or tqsim.Redis()."),
        (
            {"allow_network": "localhost:5432"},
            "allow_network='localhost:5432' is text; expected a list such as [\"localhost:5432\"].",
        ),
    ],
)
def test_a_wrong_setting(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(tqsim.UsageError, match=f"^{re.escape(message)}$"):
        tqsim.Simulation(app, **arguments)


def test_a_broker_that_is_not_simulated() -> None:
    sqs = Celery("cloud", broker="sqs://", set_as_current=False)
    with pytest.raises(tqsim.UnsupportedError) as caught:
        tqsim.Simulation(sqs)
    assert str(caught.value) == (
        "The application's broker URL names 'sqs', which is not simulated; simulated are: amqp, amqps, pyamqp, "
        "librabbitmq, memory, redis, rediss, sentinel. Pass Simulation(app, broker=tqsim.RabbitMQ()) or "
        "broker=tqsim.Redis() to run it on a simulated server all the same."
    )


def test_a_name_that_is_taken() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        with pytest.raises(tqsim.UsageError) as caught:
            sim.beat("w1")
    assert str(caught.value) == "A process called 'w1' exists already; restart() it or choose another name."


def test_a_fault_for_a_worker_that_does_not_exist() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        with pytest.raises(tqsim.UsageError) as caught:
            sim.faults.add(tqsim.faults.worker_kill("w2", at="1s"))
    assert str(caught.value) == "There is no worker called 'w2' in this simulation; there are: w1."


def test_history_that_was_switched_off() -> None:
    with tqsim.Simulation(app, history=False) as sim, pytest.raises(tqsim.UsageError) as caught:
        sim.check(tqsim.checks.nothing_lost())
    assert str(caught.value) == (
        "This simulation keeps no history; open it with Simulation(..., history=True) to ask for moments, tasks, "
        "checks or a digest."
    )


def test_a_published_task_that_no_worker_knows_is_named_with_who_rejected_it() -> None:
    """celery/worker/consumer/consumer.py, on_unknown_task: the message is rejected, the result is NotRegistered."""
    with tqsim.Simulation(app, seed=3) as sim:
        sim.worker("w1")
        result = app.send_task("shop.charg", (1,))
        sim.run_until_idle()
        assert (result.state, type(result.result).__name__) == ("FAILURE", "NotRegistered")
        with pytest.raises(tqsim.CheckFailed) as caught:
            sim.check(tqsim.checks.nothing_lost())
    assert str(caught.value).splitlines()[:2] == [
        "nothing_lost() failed: 1 violation.",
        (
            f"  shop.charg {result.id}: it is lost, w1 knows no task of that name and rejected it: "
            "is its module imported there?"
        ),
    ]


def test_a_task_in_a_queue_that_nobody_consumes_is_named_with_the_queue() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", queues=["celery"])
        mail.apply_async((1,), queue="emials")
        with pytest.raises(tqsim.NoProgress) as caught:
            sim.run_until_idle(limit="1h")
    assert str(caught.value).splitlines()[0] == (
        "Not idle after 1h of virtual time. Still there: 1 ready in queue 'emials' (nobody consumes it). "
        'If nobody is meant to consume it, as a queue of dead letters, give ignore_queues=["emials"].'
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history": "yes"}, "history='yes'; expected True or False."),
        ({"isolate_globals": "no"}, "isolate_globals='no'; expected True or False."),
        ({"still_events_max": 0}, "still_events_max=0; expected a whole number of events, at least 1."),
        (
            {"allow_network": ["http://localhost"]},
            (
                'allow_network has \'http://localhost\'; expected "host:port" such as "localhost:5432", a host, or '
                "the path of a Unix socket."
            ),
        ),
    ],
)
def test_a_wrong_setting_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(tqsim.UsageError, match=f"^{re.escape(message)}$"):
        tqsim.Simulation(app, **options)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda sim: sim.worker("w1").send_signal(999),
            "worker 'w1': send_signal(999): expected the number of a signal, such as signal.SIGTERM.",
        ),
        (
            lambda sim: sim.worker("w1").send_signal("SIGTERM"),
            "worker 'w1': send_signal('SIGTERM'): expected the number of a signal, such as signal.SIGTERM.",
        ),
        (
            lambda sim: sim.worker("w1", loglevel="LOUD"),
            (
                "worker 'w1': loglevel='LOUD' is not possible; expected a level of logging, such as 'INFO' or "
                "logging.INFO."
            ),
        ),
        (
            lambda sim: sim.worker("broker"),
            "name='broker' is taken: moments of the broker bear it. Choose another name.",
        ),
        (
            lambda sim: sim.beat(scheduler="nowhere:Scheduler"),
            (
                "beat 'beat': scheduler='nowhere:Scheduler' cannot be loaded (No module named 'nowhere'); expected a "
                "class, or the path of one."
            ),
        ),
        (
            lambda sim: sim.service("payments", error=[]),
            "service 'payments': error=[]; expected a class of exceptions, or a function from text to one.",
        ),
        (
            lambda sim: sim.service("payments", replaces="shop"),
            "replaces='shop' is no path of a function; expected \"package.module:function\".",
        ),
        (
            lambda sim: sim.service("payments", replaces="nowhere:pay"),
            "replaces='nowhere:pay': No module named 'nowhere'; expected a module that can be imported.",
        ),
        (
            lambda sim: sim.service("payments", replaces="tests.apps.shop.tasks:pay"),
            (
                "replaces='tests.apps.shop.tasks:pay': module 'tests.apps.shop.tasks' has nothing of that name; "
                "expected a function."
            ),
        ),
        (
            lambda sim: sim.service("payments", replaces="tests.apps.shop.tasks:__name__"),
            (
                "replaces='tests.apps.shop.tasks:__name__': module 'tests.apps.shop.tasks' has "
                "'tests.apps.shop.tasks' there; expected a function."
            ),
        ),
        (
            lambda sim: sim.cost(mail, _takes_nothing),
            (
                f"seconds={_takes_nothing!r} does not take one argument; expected a function from a random.Random to "
                "microseconds."
            ),
        ),
    ],
)
def test_a_wrong_call_is_named(act: Any, message: str) -> None:
    with tqsim.Simulation(app) as sim, pytest.raises(tqsim.UsageError, match=f"^{re.escape(message)}$"):
        act(sim)


def test_a_task_that_does_not_exist_is_named_with_those_that_do() -> None:
    with tqsim.Simulation(app) as sim, pytest.raises(tqsim.UsageError) as caught:
        sim.cost(3, 1)
    # Celery shares tasks with every application of the interpreter, so that those of other tests may be there too.
    beginning, _, names = str(caught.value).partition("registered are: ")
    assert beginning == "task=3 is not registered; "
    assert {"shop.capture", "shop.mail"} <= set(names.rstrip(".").split(", "))


def test_a_service_whose_error_is_no_exception_is_named_at_the_call() -> None:
    with tqsim.Simulation(app) as sim:
        service = sim.service("payments", error=str, error_rate=1)
        with pytest.raises(tqsim.UsageError) as caught:
            service()
    assert str(caught.value) == (
        "service 'payments': error=<class 'str'> gave 'payments failed (at 0s)'; expected an exception."
    )


def test_a_history_that_cannot_be_written_names_the_file(tmp_path: Path) -> None:
    with tqsim.Simulation(app) as sim:
        pass
    path = tmp_path / "nowhere" / "run.jsonl"
    with pytest.raises(tqsim.UsageError) as caught:
        sim.history.save(path)
    assert str(caught.value) == (
        f"{path} cannot be written ([Errno 2] No such file or directory: {str(path)!r}); expected a file in a folder "
        "that exists."
    )


_bank = Celery("bank", broker="memory://", backend="cache+memory://", set_as_current=False)


@_bank.task(name="shop.call_bank", shared=False)
def call_bank() -> None:
    """Reach for the real world, as task code with a forgotten client does."""
    urllib.request.urlopen("http://bank.example:8080/pay")


def test_a_real_connection_from_a_task_is_refused_with_the_task_and_the_remedy() -> None:
    with tqsim.Simulation(_bank) as sim:
        sim.worker("w1")
        result = call_bank.apply_async(countdown=3)
        with pytest.raises(Exception, match="real connection") as caught:
            result.get(timeout=10)
    assert str(caught.value) == (
        f"A real connection to bank.example:8080 was refused at 3s in task shop.call_bank[{result.id}]: a simulation "
        "has no network. Answer it with sim.service(...), replace the client in the test, or allow it with "
        'Simulation(allow_network=["bank.example:8080"]).'
    )
