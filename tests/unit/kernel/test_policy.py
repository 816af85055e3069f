from __future__ import annotations

import random
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel, refusal
from tqsim.errors import UsageError
from tqsim.kernel.policy import parse_policy


class Ready:
    """As much of a fiber as a policy looks at."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.priority: float | None = None


def order(text: str, seed: int, names: str) -> str:
    policy = parse_policy(text, random.Random(seed), 0)
    for name in names:
        fiber: Any = Ready(name)
        policy.add(fiber)
    return "".join(policy.pick().name for _ in range(len(policy.ready)))


def test_fifo_runs_in_the_order_of_becoming_ready() -> None:
    assert order("fifo", 1, "abcdef") == "abcdef"


def test_random_runs_in_an_order_that_only_the_seed_decides() -> None:
    orders = {seed: order("random", seed, "abcdef") for seed in range(20)}

    assert {seed: order("random", seed, "abcdef") for seed in range(20)} == orders
    assert len(set(orders.values())) > 15
    assert all(sorted(text) == list("abcdef") for text in orders.values())


def test_random_can_give_every_order() -> None:
    assert len({order("random", seed, "abc") for seed in range(200)}) == 6


def test_pct_keeps_the_priorities_of_fibers_between_its_changes() -> None:
    policy = parse_policy("pct(1)", random.Random(3), 0)
    fibers: list[Any] = [Ready(name) for name in "abcd"]
    rounds = []
    for _ in range(5):
        for fiber in fibers:
            policy.add(fiber)
        rounds.append("".join(policy.pick().name for _ in fibers))

    assert set(rounds) == {rounds[0]}
    assert policy.name == "pct(1)"


def test_pct_demotes_a_fiber_at_each_of_its_changes() -> None:
    policy = parse_policy("pct(3)", random.Random(3), 0)
    fibers: list[Any] = [Ready(name) for name in "abcd"]
    orders: list[str] = []
    for _ in range(5_000):
        for fiber in fibers:
            policy.add(fiber)
        text = "".join(policy.pick().name for _ in fibers)
        if not orders or orders[-1] != text:
            orders.append(text)

    # Two changes; one may hit the fiber that is last already.
    assert 2 <= len(orders) <= 3
    assert [fiber.priority for fiber in fibers if fiber.priority is not None and fiber.priority < 0] != []


@pytest.mark.parametrize("text", ["", "FIFO", "pct", "pct(0)", "pct(-1)", "pct(2) ", "lifo", 7, None])
def test_any_other_text_is_refused(text: Any) -> None:
    assert refusal(UsageError, lambda: parse_policy(text, random.Random(1), 0)) == (
        f'policy={text!r} is not a scheduling policy; expected "fifo", "random" or "pct(depth)", for example "pct(3)".'
    )


def test_fifo_never_holds_back() -> None:
    policy = parse_policy("fifo", random.Random(1), 10_000)

    assert {policy.hold_back_us() for _ in range(100)} == {0}


@pytest.mark.parametrize("text", ["random", "pct(2)"])
def test_one_wake_up_in_eight_is_held_back_by_at_most_the_preemption(text: str) -> None:
    policy = parse_policy(text, random.Random(1), 10_000)
    delays = [policy.hold_back_us() for _ in range(8_000)]
    held_back = [delay for delay in delays if delay]

    assert 850 < len(held_back) < 1_150
    assert (min(held_back) >= 1, max(held_back) <= 10_000) == (True, True)
    assert {parse_policy(text, random.Random(1), 0).hold_back_us() for _ in range(100)} == {0}


def test_preemption_lets_a_later_fiber_overtake_an_earlier_one() -> None:
    def sequence(seed: int) -> str:
        log = []
        with kernel(policy="random", seed=seed, preemption_us=10_000) as simulation:
            process = simulation.new_process("w")
            for number, name in enumerate("ab"):
                delay_us = 1_000 + number

                def body(name: str = name, delay_us: int = delay_us) -> None:
                    simulation.loop.sleep(delay_us)
                    log.append(name)

                simulation.loop.spawn(body, name, process)
            simulation.run_until(1_000_000)
        return "".join(log)

    orders = [sequence(seed) for seed in range(40)]
    assert set(orders) == {"ab", "ba"}
    assert orders == [sequence(seed) for seed in range(40)]
