"""Services, costs, loads and faults, against unmodified task code."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest
from celery import Celery

import tqsim
from tests.apps.shop.tasks import ProviderDown, app, capture, charge, mail, tidy

_PROVIDER = "tests.apps.shop.tasks:ask_provider"


def test_a_service_stands_in_for_a_function_of_the_application() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        payments = sim.service("payments", latency="250ms", replaces=_PROVIDER, reply=lambda order: f"captured {order}")
        result = capture.delay(7)
        assert result.get() == "captured 7"
        assert (sim.elapsed, payments.calls, payments.failures) == (0.25 + 0.25, 1, 0)
    from tests.apps.shop import tasks

    with pytest.raises(ProviderDown):
        tasks.ask_provider(7)


def test_an_outage_makes_the_real_retries_back_off() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        sim.service("payments", replaces=_PROVIDER, error=ProviderDown, reply=lambda order: "captured")
        sim.faults.add(tqsim.faults.outage("payments", at=0, for_="10s"))
        sim.run(for_=0)
        capture.delay(7)
        sim.run_until_idle()
        life = sim.history.tasks("shop.capture")[0]
        assert life.delays == (1.0, 2.0, 4.0, 8.0)
        assert life.state == "succeeded"
        sim.check(tqsim.checks.retry_delays(expected=["1s", "2s", "4s", "8s"]))


def test_capacity_serves_calls_one_after_another_in_order() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=3)
        sim.service("payments", latency="1s", capacity=1, replaces=_PROVIDER, reply=lambda order: order)
        for order in range(3):
            capture.delay(order)
        sim.run_until_idle()
        ends = [life.attempts[0].ended for life in sim.history.tasks("shop.capture")]
        assert ends == [1.0, 2.0, 3.0]


def test_a_fault_in_a_block_is_gone_after_it() -> None:
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1")
        with sim.faults.add(tqsim.faults.worker_kill("w1", at="10s")):
            sim.run(for_="5s")
        sim.run(for_="1h")
        assert worker.is_alive


def test_a_broker_restart_keeps_durable_work() -> None:
    with tqsim.Simulation(app) as sim:
        for order in range(5):
            mail.delay(order)
        sim.faults.add(tqsim.faults.broker_restart(at="1s", down_for="10s"))
        sim.run(for_="20s")
        sim.worker("w1")
        sim.run_until_idle()
        sim.check(tqsim.checks.exactly_once(), tqsim.checks.nothing_lost())


def test_cost_is_the_time_before_the_body() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1", concurrency=1)
        sim.cost(tidy, "3s")
        tidy.delay()
        tidy.delay()
        sim.run_until_idle()
        assert [life.attempts[0].ended for life in sim.history.tasks("shop.tidy")] == [3.0, 6.0]


def test_constant_load_publishes_at_equal_distances() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        load = sim.load(tqsim.load.constant(4, for_="2s", after="1s"), charge.si(1))
        sim.run_until_idle()
        assert load.result() == 8
        assert [life.published for life in sim.history.tasks("shop.charge")] == [
            1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75,
        ]  # fmt: skip


def test_a_load_goes_on_when_the_broker_is_down_for_a_while() -> None:
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        sim.faults.add(tqsim.faults.broker_restart(at="2.5s", down_for="3s"))
        load = sim.load(tqsim.load.constant(1, for_="10s"), mail.si(1))
        sim.run_until_idle()
        # The broker is away from 2.5 s to 5.5 s.  Celery tries a publish again after 0, 0.2 and 0.4 s
        # (task_publish_retry_policy): in vain at 3 s and 4 s, while that of 5 s gets through at last.
        published = [life.published for life in sim.history.tasks("shop.mail")]
        assert published == [0.0, 1.0, 2.0, 5.6, 6.0, 7.0, 8.0, 9.0]
        assert [moment.at for moment in sim.history.moments_named("task.unpublished")] == [3.6, 4.6]
        assert load.result() == 8
        sim.check(tqsim.checks.exactly_once(task="shop.mail"))


def test_poisson_load_has_its_rate_and_depends_on_the_seed() -> None:
    def published(seed: int) -> list[float]:
        with tqsim.Simulation(app, seed=seed) as sim:
            sim.load(tqsim.load.poisson(10, for_="100s"), mail.si)
            sim.run(for_="100s")
            return [life.published or 0.0 for life in sim.history.tasks("shop.mail")]

    first = published(1)
    # 1,000 expected; five standard deviations of a Poisson count are 158.
    assert 842 <= len(first) <= 1158
    assert first == published(1)
    assert first != published(2)


def test_eager_waits_for_all_that_a_publish_caused() -> None:
    from tests.apps.shop.tasks import checkout

    with tqsim.Simulation(app, broker=tqsim.RabbitMQ(consumer_timeout=None)) as sim:
        sim.worker("w1")
        sim.beat()
        with sim.eager():
            result = checkout.delay(5)
            assert (result.state, sim.elapsed) == ("SUCCESS", 3601.0)
            assert sim.history.tasks("shop.mail")[0].state == "succeeded"


def test_eager_without_a_worker_says_what_is_missing() -> None:
    with tqsim.Simulation(app) as sim, sim.eager(limit="1h"), pytest.raises(tqsim.NoProgress) as caught:
        mail.delay(1)
    assert re.fullmatch(
        r"eager: shop\.mail has not come to an end within 1h of virtual time\. Still there: shop\.mail [0-9a-f-]{36}\. "
        r"Is a worker running that consumes its queue\?\nReproduce: seed=0 .*",
        str(caught.value),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 0}, "service 'payments': capacity=0; expected a whole number >= 1, or None."),
        ({"error_rate": 2}, "service 'payments': error_rate=2; expected a probability from 0 to 1."),
    ],
)
def test_a_wrong_service_names_the_option(options: dict[str, object], message: str) -> None:
    with tqsim.Simulation(app) as sim, pytest.raises(tqsim.UsageError, match=f"^{re.escape(message)}$"):
        sim.service("payments", **options)


def test_an_eager_block_that_is_never_left_ends_with_the_simulation() -> None:
    real = Celery.send_task
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        sim.eager().__enter__()
        assert Celery.send_task is not real
    assert Celery.send_task is real


def test_a_fault_is_added_to_an_open_simulation_only() -> None:
    fault = tqsim.faults.broker_restart(at="1s")
    sim = tqsim.Simulation(app)
    with pytest.raises(tqsim.UsageError) as early:
        sim.faults.add(fault)
    with sim:
        pass
    with pytest.raises(tqsim.ClosedError) as late:
        sim.faults.add(fault)
    assert str(early.value) == "The simulation is not open; use it as: with tqsim.Simulation(app) as sim: ..."
    assert str(late.value) == "The simulation has ended; nothing can happen in it any more."


@pytest.mark.parametrize("killed_at", ["1s", "3s"])
def test_a_killed_worker_leaves_its_places_at_a_service_to_others(killed_at: str) -> None:
    """Of three calls one is served; at 3 s it is over, and the next one has just been given its place."""
    with tqsim.Simulation(app) as sim:
        payments = sim.service("payments", latency="3s", capacity=1, replaces=_PROVIDER, reply=lambda order: order)
        worker = sim.worker("w1", concurrency=3)
        results = [capture.delay(order) for order in range(3)]
        sim.run(for_=killed_at)
        worker.kill()
        assert (payments.in_service, payments.waiting) == (0, 0)
        sim.worker("w2", concurrency=1)
        last = capture.delay(3)
        assert last.get(timeout=20) == 3
        assert payments.in_service == 0
        assert [result.state for result in results[1:]] != ["SUCCESS"] * 2


def test_a_call_that_is_interrupted_while_it_waits_gives_its_turn_away() -> None:
    with tqsim.Simulation(app) as sim:
        payments = sim.service("payments", latency="10s", capacity=1, replaces=_PROVIDER, reply=lambda order: order)
        sim.worker("w1", concurrency=2)
        sim.worker("w2", concurrency=1)
        capture.delay(0)
        capture.apply_async((1,), countdown=1, soft_time_limit=4)
        last = capture.apply_async((2,), countdown=2)
        sim.run(for_="6s")
        assert (payments.in_service, payments.waiting) == (1, 1)
        assert last.get(timeout=20) == 2
        assert payments.in_service == 0


def test_capacity_bounds_what_is_served_at_once() -> None:
    with tqsim.Simulation(app) as sim:
        payments = sim.service("payments", latency="2s", capacity=2, replaces=_PROVIDER, reply=lambda order: order)
        sim.worker("w1", concurrency=5)
        for order in range(5):
            capture.delay(order)
        seen = []
        for _ in range(7):
            sim.run(for_="1s")
            seen.append((payments.in_service, payments.waiting))
        assert seen == [(2, 3), (2, 1), (2, 1), (1, 0), (1, 0), (0, 0), (0, 0)]


def test_a_fault_that_is_removed_in_the_middle_is_repaired() -> None:
    with tqsim.Simulation(app) as sim:
        worker = sim.worker("w1")
        payments = sim.service("payments", replaces=_PROVIDER)
        faults = [
            tqsim.faults.outage("payments", at="1s", for_="1h"),
            tqsim.faults.worker_kill("w1", at="2s", restart_after="1h"),
            tqsim.faults.broker_restart(at="3s", down_for="1h"),
        ]
        with ExitStack() as stack:
            for fault in faults:
                stack.enter_context(sim.faults.add(fault))
            sim.run(for_="5s")
            assert (payments.is_down, worker.is_alive) == (True, False)
        sim.run(for_="10s")
        assert (payments.is_down, worker.is_alive) == (False, True)
        assert mail.delay(1).get(timeout=60) == 1


def test_outages_of_the_broker_overlap() -> None:
    with tqsim.Simulation(app) as sim:
        for at in ("1s", "5s"):
            sim.faults.add(tqsim.faults.broker_restart(at=at, down_for="10s"))
        sim.run(for_="14s")
        sim.restart_broker()
        assert not sim.history.moments_named("broker.started")
        sim.run(for_="2s")
        assert [moment.at for moment in sim.history.moments_named("broker.stopped", "broker.started")] == [1.0, 15.0]


def test_a_reply_that_is_no_function_is_the_answer_itself() -> None:
    with tqsim.Simulation(app) as sim:
        sim.service("payments", replaces=_PROVIDER, reply="captured")
        sim.worker("w1")
        assert capture.delay(7).get(timeout=5) == "captured"
