"""How virtual time passes: ``run``, ``run_until_idle``, limits and the end."""

from __future__ import annotations

import datetime
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

import tqsim
from tests.apps.shop.tasks import app, charge, mail
from tests.simulation.worker_stories import make_sleeping_app


def test_run_for_stops_at_the_very_microsecond() -> None:
    with tqsim.Simulation(app) as sim:
        sim.run(for_="1.000001s")
        assert sim.elapsed == 1.000001
        assert sim.now == datetime.datetime(2030, 1, 1, 0, 0, 1, 1, tzinfo=datetime.UTC)


def test_run_until_a_moment() -> None:
    with tqsim.Simulation(app) as sim:
        sim.run(until=datetime.datetime(2030, 1, 1, 6, tzinfo=datetime.UTC))
        assert sim.elapsed == 6 * 3600


def test_run_until_a_predicate_stops_at_the_event_that_makes_it_true() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = charge.delay(1)
        sim.run(until=result.ready)
        assert sim.elapsed == 2.0


def test_a_predicate_that_never_comes_true_is_no_progress() -> None:
    def paid() -> bool:
        return False

    with tqsim.Simulation(app) as sim, pytest.raises(tqsim.NoProgress) as caught:
        sim.run(until=paid, limit="1h")
    assert str(caught.value).startswith(
        "run(until=paid): not true within 1h of virtual time, and nothing more happens before. Still there: nothing.\n"
    )


def test_a_run_past_its_limit_names_what_it_waited_for() -> None:
    with tqsim.Simulation(app, seed=3) as sim:
        charge.delay(1)
        with pytest.raises(tqsim.NoProgress) as caught:
            sim.run_until_idle(limit="1d")
    assert re.fullmatch(
        r"Not idle after 1d of virtual time\. Still there: 1 ready in queue 'celery' \(nobody consumes it\)\. "
        r'If nobody is meant to consume it, as a queue of dead letters, give ignore_queues=\["celery"\]\.\n'
        r"Reproduce: seed=3 policy=fifo start=2030-01-01T00:00:00\+00:00 celery=\S+ kombu=\S+ tqsim-celery=\S+",
        str(caught.value),
    )


@pytest.mark.parametrize("broker", [tqsim.RabbitMQ(), tqsim.Redis()])
def test_queues_that_are_ignored_do_not_keep_a_simulation_from_being_idle(
    broker: tqsim.RabbitMQ | tqsim.Redis,
) -> None:
    shop = make_sleeping_app()
    work = shop.tasks["late"]
    with tqsim.Simulation(shop, broker=broker) as sim:
        sim.worker("w1", queues=["celery"])
        work.apply_async(queue="dead")
        work.apply_async(queue="other")
        result = work.apply_async()
        with pytest.raises(tqsim.NoProgress) as caught:
            sim.run_until_idle(limit="1m", ignore_queues=["dead"])
        assert (
            "1 ready in queue 'other' (nobody consumes it). If nobody is meant to consume it, as a queue of dead "
            in (str(caught.value))
        )
        assert 'give ignore_queues=["dead", "other"].' in str(caught.value)
        sim.run_until_idle(limit="1m", ignore_queues=["dead", "other"])
        assert (result.state, sim.elapsed) == ("SUCCESS", 60.0)
        assert sim.queue("dead").ready_count == 1


@pytest.mark.parametrize("queues", ["dead", ["dead", 3]])
def test_ignored_queues_are_a_list_of_names(queues: Any) -> None:
    with tqsim.Simulation(app) as sim, pytest.raises(tqsim.UsageError) as caught:
        sim.run_until_idle(ignore_queues=queues)
    assert str(caught.value) == (
        f'ignore_queues={queues!r}: expected names of queues in a list, such as ["commands.dead"].'
    )


def test_idle_waits_for_countdowns_running_tasks_and_clients_but_not_for_beat() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        sim.beat()
        mail.apply_async((1,), countdown=100)
        client = sim.client(lambda: charge.apply_async((2,), countdown=200).get())
        sim.run_until_idle()
        assert client.result() == "paid"
        assert 202.0 <= sim.elapsed < 260.0


def test_a_client_that_has_not_finished_says_what_it_waits_for() -> None:
    with tqsim.Simulation(app) as sim:
        client = sim.client(lambda: charge.delay(1).get())
        sim.run(for_=1)
        with pytest.raises(tqsim.UsageError) as caught:
            client.result()
    assert str(caught.value).startswith("Client 'client1' has not finished: it waits for ")


def test_a_naive_moment_is_in_the_time_zone_of_the_simulation() -> None:
    with tqsim.Simulation(app, start="2030-07-01T12:00:00", timezone="Europe/Berlin") as sim:
        assert sim.now == datetime.datetime(2030, 7, 1, 10, tzinfo=datetime.UTC)
        sim.run(until=datetime.datetime(2030, 7, 1, 13))
        assert sim.elapsed == 3600
        assert sim.client(datetime.datetime.now) is not None
        with pytest.raises(tqsim.UsageError) as caught:
            sim.run(until=datetime.datetime(2030, 7, 1, 12, 30))
    assert str(caught.value) == (
        "run(until=datetime.datetime(2030, 7, 1, 12, 30)) is in the past; it is 2030-07-01T13:00:00+02:00 now."
    )


def spin() -> None:
    """Give way for ever without letting time pass."""
    while True:
        time.sleep(0)  # virtual


def run_a_spinning_client(sim: tqsim.Simulation) -> None:
    """Run into the livelock guard."""
    sim.client(spin)
    sim.run(for_=1)


@pytest.mark.parametrize(
    "wait",
    [run_a_spinning_client, lambda sim: threading.Event().wait(), lambda sim: charge.delay(1).get()],
    ids=["livelock", "nothing left", "result"],
)
def test_every_verdict_of_no_progress_ends_with_the_line_that_reproduces_it(
    wait: Callable[[tqsim.Simulation], object],
) -> None:
    with tqsim.Simulation(app, seed=5, still_events_max=1000) as sim, pytest.raises(tqsim.NoProgress) as caught:
        wait(sim)
    assert str(caught.value).splitlines()[1:] == [sim.history.info.line]
    assert sim.history.info.line.startswith("Reproduce: seed=5 policy=fifo ")


def fail() -> None:
    """Raise after two seconds."""
    time.sleep(2)  # virtual
    raise ValueError("no stock")


def test_an_error_in_a_client_is_recorded_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with tqsim.Simulation(app) as sim:
        shopper = sim.client(fail, "shopper")
        sim.client(sys.exit, "visitor")
        sim.client(lambda: time.sleep(9), "sleeper").kill()  # virtual
        sim.run_until_idle()
        with pytest.raises(ValueError, match=r"^no stock$"):
            shopper.result()
    ends = [moment for moment in sim.history.moments if moment.fields.get("kind") == "client"][3:]
    assert [(moment.at, moment.name, moment.process, moment.fields.get("error")) for moment in ends] == [
        (0.0, "process.killed", "sleeper", None),
        (0.0, "process.stopped", "visitor", None),
        (2.0, "process.crashed", "shopper", "ValueError: no stock"),
    ]
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "Client 'shopper' ended with an error"
    ]


def test_an_error_in_a_client_that_nobody_asked_for_is_raised_at_the_end() -> None:
    def simulate(client: Callable[[], object]) -> None:
        with tqsim.Simulation(app) as sim:
            sim.client(client, "shopper")
            sim.run_until_idle()

    with pytest.raises(ValueError, match="no stock") as caught:
        simulate(fail)
    assert caught.value.__notes__ == ["Raised in client 'shopper' at 2s; result() would have raised it sooner."]
    with pytest.raises(tqsim.UsageError) as left:
        simulate(lambda: sys.exit(3))
    assert str(left.value) == "Client 'shopper' ended with sys.exit(3) at 0s."


def test_an_error_in_the_function_of_a_load_is_raised_too() -> None:
    def simulate() -> None:
        with tqsim.Simulation(app) as sim:
            sim.load(tqsim.load.constant(1, for_=5), lambda number: 1 / 0)
            sim.run_until_idle()

    with pytest.raises(ZeroDivisionError):
        simulate()


def test_a_killed_client_has_no_result() -> None:
    with tqsim.Simulation(app) as sim:
        client = sim.client(lambda: time.sleep(9))  # virtual
        sim.run(for_=1)
        client.kill()
        with pytest.raises(tqsim.UsageError) as caught:
            client.result()
    assert str(caught.value) == "Client 'client1' has no result: it was killed before it had finished."


def test_a_client_in_the_background_does_not_keep_the_simulation_from_being_idle() -> None:
    """A monitor such as Flower receives events for ever (celery/events/receiver.py, EventReceiver.capture)."""
    seen: list[str] = []

    def watch() -> None:
        with app.connection() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
            receiver.capture(limit=None, timeout=None, wakeup=False)

    with tqsim.Simulation(app) as sim:
        sim.client(watch, "flower", background=True)
        sim.worker("w1", task_events=True)
        sim.run(for_=1)
        mail.delay(1)
        sim.run_until_idle(limit="1h")
        sim.run(for_=1)
    assert seen[-3:] == ["task-received", "task-started", "task-succeeded"]


def test_an_error_in_a_client_is_raised_by_its_result() -> None:
    def fails() -> None:
        raise ValueError("no stock")

    with tqsim.Simulation(app) as sim:
        client = sim.client(fails)
        sim.run(for_=1)
        with pytest.raises(ValueError, match=r"^no stock$"):
            client.result()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, 'run() takes for_="10m" or until=<datetime or predicate>, and only one of them.'),
        (
            {"for_": "ten"},
            (
                "for_='ten' is not a duration; expected seconds as a number, a timedelta, or text such as "
                '"1.5s", "10m", "2h30m" or "1d".'
            ),
        ),
        ({"until": 7}, "run(until=7): expected a datetime or a function without arguments."),
    ],
)
def test_a_wrong_run_names_the_argument(arguments: dict[str, object], message: str) -> None:
    with tqsim.Simulation(app) as sim, pytest.raises(tqsim.UsageError, match=f"^{re.escape(message)}$"):
        sim.run(**arguments)  # type: ignore[arg-type]


def test_after_the_end_nothing_runs() -> None:
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1")
    with pytest.raises(tqsim.ClosedError, match=r"^The simulation has ended; nothing can happen in it any more\.$"):
        sim.run(for_=1)
    with pytest.raises(tqsim.ClosedError):
        worker.kill()


def test_the_tests_own_exception_is_not_masked() -> None:
    def fails_inside() -> None:
        with tqsim.Simulation(app) as sim:
            sim.worker("w1")
            charge.delay(1)
            sim.run(for_=1)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails_inside()


def test_a_queue_that_goes_with_its_consumers_is_work_when_it_carries_tasks() -> None:
    other = Celery("brief", broker="memory://", backend="cache+memory://", set_as_current=False)
    other.conf.task_queues = [Queue("celery", auto_delete=True)]

    @other.task(name="brief.work", shared=False)
    def work() -> str:
        return "done"

    with tqsim.Simulation(other) as sim:
        sim.worker("w1", task_events=True)
        result = work.apply_async(countdown=100)
        sim.run_until_idle(limit="1h")
        assert (result.state, sim.elapsed) == ("SUCCESS", 100.0)


def test_queues_are_found_in_the_vhost_of_the_applications_url() -> None:
    one = Celery("one", broker="amqp://guest@localhost/shop", set_as_current=False)
    two = Celery("two", broker="amqp://guest@localhost/depot", set_as_current=False)

    def work() -> None:
        """Do nothing."""

    for application in (one, two):
        application.task(work, name="work", shared=False)
    with tqsim.Simulation(one) as sim:
        one.tasks["work"].delay()
        assert sim.queue("celery").ready_count == 1
        sim.worker("w2", app=two)
        sim.run(for_=1)
        two.tasks["work"].apply_async(countdown=60)
        sim.run(for_=1)
        with pytest.raises(tqsim.UsageError) as twice:
            sim.queue("celery")
        assert sim.queue("celery", vhost="depot").unacked_count == 1
        with pytest.raises(tqsim.UsageError) as nowhere:
            sim.queue("celery", vhost="/")
    assert str(twice.value) == ("queue='celery' exists in several vhosts: 'shop', 'depot'; name one with vhost=...")
    assert str(nowhere.value) == "queue='celery' does not exist; the queues of vhost '/' are: none."
    queued = sim.history.moments_named("message.queued")
    assert [moment.fields["queue"] for moment in queued] == ["celery", "depot:celery"]


def test_a_task_that_goes_through_an_exchange_is_known_by_the_queue_that_took_it() -> None:
    media = Exchange("media", type="topic")
    other = Celery("video", broker="memory://", set_as_current=False)
    other.conf.update(
        task_queues=[Queue("ingest", media, routing_key="media.ingest.#")],
        task_routes={"video.take": {"exchange": "media", "routing_key": "media.ingest.upload"}},
    )

    @other.task(name="video.take", shared=False)
    def take() -> None:
        """Do nothing."""

    with tqsim.Simulation(other) as sim:
        sim.worker("w1", queues=["ingest"])
        sim.run(for_=1)
        take.delay()
        sim.run_until_idle()
        (life,) = sim.history.tasks(take)
    assert (life.queue, life.publishes[0].queue, life.state) == ("ingest", "ingest", "succeeded")
