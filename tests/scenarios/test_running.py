"""What a scenario file says happens: every kind of table in one story, and one assertion for each."""

from __future__ import annotations

import socket
from typing import Final

import pytest
from kombu import Queue

from tests.unit.refusals import refusal
from tqsim.errors import NoProgress, UnsupportedError
from tqsim.history import History
from tqsim.scenario import Outcome, load, run
from tqsim_scenarios.shop.app import app

STORY: Final = """\
title = "Everything at once"
app = "tqsim_scenarios.shop.app:app"
setup = "tqsim_scenarios.shop.ledger:clear"
start = 2031-05-06T07:08:09Z
timezone = "Europe/Berlin"
seed = 4

[run]
limit = "3h"

[broker]
profile = "rabbitmq"

[workers.one]
concurrency = 2
prefetch_multiplier = 1
queues = ["orders", "mail"]

[services.payments]
replaces = "tqsim_scenarios.shop.payments:charge"
reply = "tqsim_scenarios.shop.payments:reference"
error = "tqsim_scenarios.shop.payments:PaymentError"
latency = "1s"
capacity = 1
error_rate = 0.2

[services.warehouse]
replaces = "tqsim_scenarios.shop.warehouse:reserve"

[costs]
"shop.reserve_stock" = "4s"

[load.charges]
task = "shop.charge_fixed"
arrivals = "constant"
rate = "6/m"
for = "1m"
kwargs = { order = "order-{number}", cents = "{number}" }

[load.reservations]
task = "shop.reserve_stock"
arrivals = "constant"
rate = 0.1
for = "1m"
after = "5s"
args = ["order-{number}", "cup"]
options = { queue = "mail", countdown = "2s" }

[load.unwanted]
task = "shop.send_receipt"
rate = 1
for = "1h"
enabled = false

[faults.broker]
kind = "broker_restart"
at = "32s"
down_for = "2s"

[faults.never]
kind = "outage"
service = "payments"
at = 0
for = "1d"
enabled = false

[expect.all]
check = "nothing_lost"
"""


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return run(load(STORY, "story.toml"), reproduction="again")


@pytest.fixture(scope="module")
def history(outcome: Outcome) -> History:
    return outcome.variants[0].history


def test_the_run_is_that_of_the_file(outcome: Outcome, history: History) -> None:
    assert outcome.is_met
    assert (history.info.seed, history.info.start) == (4, "2031-05-06T07:08:09+00:00")
    assert history.info.line == "Reproduce: again"


def test_loads_arrive_at_their_times_with_their_arguments(history: History) -> None:
    charges = history.tasks("shop.charge_fixed")
    assert [life.published for life in charges] == [10.0 * number for number in range(6)]
    assert [life.kwargs for life in charges] == [
        f"{{'order': 'order-{number}', 'cents': {number}}}" for number in range(6)
    ]
    reservations = history.tasks("shop.reserve_stock")
    assert reservations[0].args == "('order-0', 'cup')"
    assert (reservations[0].published, reservations[0].queue) == (5.0, "mail")
    assert history.tasks("shop.send_receipt") == []


def test_costs_and_options_of_a_load_take_their_time(history: History) -> None:
    run_ = history.tasks("shop.reserve_stock")[0].runs[0]
    assert (run_.started, run_.ended) == (7.0, 11.0)


def test_services_answer_and_fail_as_told(history: History) -> None:
    answered = len(history.moments_named("service.answered"))
    failed = len(history.moments_named("service.failed"))
    assert (answered, failed) == (12, len(history.moments_named("service.called")) - 12)
    assert failed > 0


def test_the_broker_restarts_and_other_faults_stay_away(history: History) -> None:
    stopped = [moment.at for moment in history.moments_named("broker.stopped")]
    # The first start is that of the simulation.
    started = [moment.at for moment in history.moments_named("broker.started")]
    assert (stopped, started[-1]) == ([32.0], 34.0)
    assert {moment.fields["verb"] for moment in history.moments_named("fault.struck")} == {
        "broker.stop",
        "broker.start",
    }


@pytest.mark.parametrize("persistence", ["", 'persistence = "aof"\n'])
def test_a_story_runs_on_redis(persistence: str) -> None:
    text = STORY.replace('profile = "rabbitmq"\n', f'profile = "redis"\n{persistence}')
    found = run(load(text, "story.toml"))
    [variant] = found.variants
    assert variant.history.moments_named("task.succeeded")
    assert bool(variant.history.moments_named("message.dropped")) == (not persistence)


def test_persistence_is_for_redis() -> None:
    text = STORY.replace('profile = "rabbitmq"\n', 'profile = "rabbitmq"\npersistence = "aof"\n')
    assert refusal(lambda: run(load(text, "story.toml"))) == (
        "story.toml, line 13: broker.persistence: persistence='aof' is only for profile = \"redis\"."
    )


@pytest.mark.parametrize("key", ["consumer_timeout", "channel_tick_interval"])
def test_timeouts_of_consumers_are_for_rabbitmq(key: str) -> None:
    text = STORY.replace('profile = "rabbitmq"\n', f'profile = "redis"\n{key} = "10m"\n')
    assert refusal(lambda: run(load(text, "story.toml"))) == (
        f"story.toml, line 13: broker.{key}: {key}='10m' is only for profile = \"rabbitmq\"."
    )


def test_a_consumer_timeout_of_the_file_is_that_of_the_server() -> None:
    """The delivery that waits for its ETA is too old at the first look after 10 seconds, of one every 4 seconds."""
    text = STORY.replace('countdown = "2s"', 'countdown = "35m"').replace('limit = "3h"', 'length = "2m"')
    settings = 'consumer_timeout = "10s"\nchannel_tick_interval = "4s"\n'
    text = text.replace('profile = "rabbitmq"\n', f'profile = "rabbitmq"\n{settings}')
    (notice,) = run(load(text, "story.toml")).notices
    assert notice.startswith("worker 'one' ended by itself at 18.5s with exit code 1 (PreconditionFailed: ")
    assert "Timeout value used: 10000 ms." in notice


def test_a_load_that_cannot_send_is_noted_and_goes_on() -> None:
    found = run(load(STORY.replace('"32s"', '"29s"'), "story.toml"))
    assert found.notices == (
        "load 'charges': 1 could not be published because of OperationalError: [Errno 111] Connection refused",
    )
    assert found.troubles == ()


def leave_aside() -> None:
    """Send a task to a queue that nobody consumes."""
    app.tasks["shop.send_receipt"].apply_async(("order-1",), queue="aside")


def test_a_story_ends_although_somebody_left_what_nobody_consumes() -> None:
    text = STORY.replace("tqsim_scenarios.shop.ledger:clear", f"{__name__}:leave_aside").replace('"3h"', '"10m"')
    with pytest.raises(NoProgress, match=r'1 ready in queue .aside. .*, give ignore_queues=\["aside"\]\.'):
        run(load(text, "story.toml"))
    text = text.replace("[run]\n", '[run]\nignore_queues = ["aside"]\n').replace('"nothing_lost"', '"no_overlap"')
    assert run(load(text, "story.toml")).is_met


def test_a_worker_that_ends_by_itself_is_told() -> None:
    """The worker holds a message until its ETA, beyond RabbitMQ's timeout (celery/worker/worker.py, start)."""
    text = STORY.replace('countdown = "2s"', 'countdown = "35m"').replace('limit = "3h"', 'length = "40m"')
    notice, *others = run(load(text, "story.toml")).notices
    assert notice.startswith("worker 'one' ended by itself at 30m 35.5s with exit code 1 (")
    assert " with exit code 1 (PreconditionFailed: (0, 0): (406) PRECONDITION_FAILED - delivery ackn" in notice
    assert others == []
    text += '[variants.a]\n[variants.b]\nrun.length = "1m"\n'
    assert run(load(text, "story.toml")).notices == (f"variant 'a': {notice}",)


def test_a_run_that_never_ends_is_told() -> None:
    text = STORY.replace("error_rate = 0.2", "error_rate = 1").replace('"3h"', '"10m"')
    with pytest.raises(NoProgress) as caught:
        run(load(text, "story.toml"), reproduction="again")
    first, *_, last = str(caught.value).splitlines()
    assert first.startswith("Not idle after 10m of virtual time. Still there: ")
    assert last == "Reproduce: again"
    with pytest.raises(NoProgress) as caught:
        run(load(f"{text}[variants.a]\nseed = 5\n", "story.toml"), reproduction="again")
    first, *_, last = str(caught.value).splitlines()
    assert first.startswith("Variant 'a': Not idle after 10m of virtual time. Still there: ")
    assert last == "Reproduce: again"


def test_an_argument_that_a_check_refuses_has_its_line() -> None:
    text = STORY.replace('check = "nothing_lost"', 'check = "latency"\nof = "sleep"\np95 = 1')
    assert refusal(lambda: run(load(text, "story.toml"))) == (
        "story.toml, line 69: expect.all.of='sleep' is unknown; expected one of: 'wait', 'run', 'end_to_end'."
    )


def test_a_broker_that_is_not_simulated_has_its_remedy_in_the_words_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app.conf, "broker_url", "sqs://")
    text = STORY.replace('[broker]\nprofile = "rabbitmq"\n', "")
    with pytest.raises(UnsupportedError) as caught:
        run(load(text, "story.toml"))
    assert str(caught.value) == (
        "story.toml, line 2: app=\"tqsim_scenarios.shop.app:app\": The application's broker URL names 'sqs', which is "
        "not simulated; simulated are: amqp, amqps, pyamqp, librabbitmq, memory, redis, rediss, sentinel. Add the "
        'table [broker] with profile = "rabbitmq" or "redis" to run it on a simulated server all the same.'
    )
    assert run(load(STORY, "story.toml")).is_met


def test_what_a_worker_refuses_has_the_line_of_its_key() -> None:
    assert refusal(lambda: run(load(STORY.replace("concurrency = 2", 'pool = "nope"'), "story.toml"))) == (
        "story.toml, line 15: workers.one.pool='nope' is not a pool; expected 'prefork', 'solo' or 'threads'."
    )


def test_the_observer_sees_each_simulation_while_it_is_open() -> None:
    seen: list[tuple[str, float, int | None]] = []
    text = STORY + '[variants.a]\nrun.length = "3s"\nload.charges.enabled = false\n[variants.b]\nseed = 5\n'
    run(
        load(text, "story.toml"),
        observer=lambda name, sim, length_us: seen.append((name, sim.elapsed, length_us)),
    )
    assert seen == [("a", 0.0, 3_000_000), ("b", 0.0, None)]


def declare() -> None:
    """Declare a queue, as a scenario's ``setup`` may."""
    with app.connection_for_write() as connection:
        Queue("from-setup")(connection).declare()


def call_out() -> None:
    """Try to reach a real server."""
    with socket.create_connection(("127.0.0.1", 1)):
        pass


def test_setup_reaches_the_simulated_servers_before_anything_runs() -> None:
    text = STORY.replace("tqsim_scenarios.shop.ledger:clear", f"{__name__}:declare")
    text = text.replace('limit = "3h"', 'length = "10s"')
    [variant] = run(load(text, "story.toml")).variants
    names = [moment.name for moment in variant.history.moments]
    declared = variant.history.moments_named("queue.declared")[0]
    assert (declared.fields["queue"], declared.at_us) == ("from-setup", 0)
    assert names.index("queue.declared") < names.index("process.started")


def test_setup_cannot_reach_the_real_network() -> None:
    text = STORY.replace("tqsim_scenarios.shop.ledger:clear", f"{__name__}:call_out")
    assert refusal(lambda: run(load(text, "story.toml"))).startswith(
        f"story.toml, line 3: setup: '{__name__}:call_out' raised NetworkRefused: A real connection to 127.0.0.1:1 "
        "was refused at 0s"
    )


def test_an_error_in_the_scenarios_own_setup_is_its_authors() -> None:
    text = STORY.replace('"tqsim_scenarios.shop.ledger:clear"', '"os:getenv"')
    assert refusal(lambda: run(load(text, "story.toml"))) == (
        "story.toml, line 3: setup: 'os:getenv' raised TypeError: getenv() missing 1 required positional argument: "
        "'key'."
    )
    text = STORY.replace('"tqsim_scenarios.shop.ledger:clear"', '"os:sep"')
    assert refusal(lambda: run(load(text, "story.toml"))) == (
        "story.toml, line 3: setup: 'os:sep' is of type 'str'; expected a function without arguments."
    )
