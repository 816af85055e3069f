"""Chance is keyed by who draws: taking one task out of a load leaves every other as it was."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

import tqsim
from tests.determinism.story import POLICIES
from tests.determinism.story_app import app, draw, pay

LOAD = 12


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("left_out", [0, 5, LOAD - 1])
def test_a_task_less_leaves_ids_draws_and_retry_delays_of_the_others(policy: str, left_out: int) -> None:
    everybody = _run(policy, range(LOAD))
    others = _run(policy, [number for number in range(LOAD) if number != left_out])
    del everybody[left_out]
    assert others == everybody


def test_the_retry_delays_that_are_compared_are_drawn() -> None:
    delays = [delay for task in _run("fifo", range(LOAD)).values() for delay in task["delays"]]
    assert len(delays) > 5
    assert len(set(delays)) > 2


def _run(policy: str, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
    """Run the load, one client per number, and return what each number's tasks drew."""
    with tqsim.Simulation(app, seed=21, policy=policy) as sim:
        for name in ("w1", "w2"):
            sim.worker(name, concurrency=2)
        clients = {number: sim.client(_customer(number), f"customer {number}") for number in numbers}
        sim.run_until_idle()
        payments = {number: sim.history.task(client.result()[0]) for number, client in clients.items()}
        return {
            number: {
                "ids": client.result()[:2],
                "drawn": client.result()[2],
                "delays": _retry_delays(payments[number]),
                "state": payments[number].state,
            }
            for number, client in clients.items()
        }


def _customer(number: int) -> Callable[[], tuple[str, str, list[Any]]]:
    def shop() -> tuple[str, str, list[Any]]:
        payment = pay.delay(number)
        drawing = draw.delay(f"customer {number}")
        # When it was, and the time-based uuid, depend on who else keeps the workers busy.
        tag, letters, value, random_id, _, token, octets, _ = drawing.get(timeout=3_600)
        return payment.id, drawing.id, [tag, letters, value, random_id, token, octets]

    return shop


def _retry_delays(life: Any) -> list[int]:
    """The countdowns that were asked for, in whole seconds; one of zero leaves no ETA."""
    return [0 if retry.eta is None else round(retry.eta - retry.at) for retry in life.publishes[1:]]
