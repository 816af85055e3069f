"""Generated programs of kombu clients do the same in the simulation and on a real RabbitMQ 3.10.

``--broker-programs N`` says how many.  A program that goes differently is made smaller and printed as the text
that builds it: paste that into a test of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.conformance.program_chances import Chances
from tests.conformance.rabbitmq_node import Node
from tests.conformance.rabbitmq_program_arms import RealArm, run_both, run_simulated
from tests.conformance.rabbitmq_program_desk import Seen
from tests.conformance.rabbitmq_program_differences import difference, smallest
from tests.conformance.rabbitmq_program_invariants import duplicates, losses
from tests.conformance.rabbitmq_program_strategies import programs
from tests.conformance.rabbitmq_programs import (
    Ack,
    CloseChannel,
    Consume,
    DeclareQueue,
    Get,
    Program,
    Publish,
    Qos,
    Reject,
    Restart,
    Wait,
)
from tests.conformance.rabbitmq_site import Site

_SEED: Final = 20_261_125
#: Of so many programs one restarts the server, on a node of its own.
_RESTARTS_ONE_IN: Final = 20
_SIMULATED_ALONE: Final = 100
#: The virtual host "/", as it stands in a URL.
_ROOT: Final = "%2f"

_EXAMPLE: Final = Program(
    steps=(
        DeclareQueue(0, "q", arguments=(("x-message-ttl", 60_000),)),
        Qos(1, 2),
        Consume(1, "q", "c"),
        Publish(0, "", "q", "m", copies=4, mandatory=True),
        Reject(0, 0, requeue=True),
        Get(2, "q"),
        Ack(0, 1, multiple=True),
        Wait(),
    ),
    confirming=(0,),
)


def _each(strategy: SearchStrategy[Program], number: int, check: Callable[[Program], None]) -> None:
    """Check so many programs, the same ones each time."""

    @seed(_SEED)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(program=strategy)
    def check_one(program: Program) -> None:
        check(program)

    check_one()


def _compare(program: Program, arm: RealArm) -> str | None:
    return difference(*run_both(program, arm))


def _check_all(strategy: SearchStrategy[Program], number: int, arm: RealArm, node: pytest.Item) -> None:
    """Run programs on both servers; the first that differs is made smaller, and all are counted.

    None may differ each time, and few by chance.
    """
    different: list[Program] = []
    chances = Chances(number)

    def check(program: Program) -> None:
        if chances.difference(lambda: _compare(program, arm)) is not None:
            different.append(program)

    _each(strategy, number, check)
    if different:
        small = smallest(different[0], lambda program: _compare(program, arm) is not None)
        text = _compare(small, arm) or f"It went well the next time:\n{different[0]}"
        pytest.fail(f"{len(different)} of {number} programs differ.\n{text}", pytrace=False)
    chances.conclude(node)


@pytest.fixture
def shared_server(rabbitmq_site: Site) -> Iterator[RealArm]:
    """The server that this machine has, in a vhost of our own."""
    arm = RealArm(rabbitmq_site, turn=rabbitmq_site.shared)
    yield arm
    arm.close()


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.timeout(3_600)
def test_programs_do_the_same_on_both_servers(request: pytest.FixtureRequest, shared_server: RealArm) -> None:
    _check_all(programs(), request.config.getoption("--broker-programs"), shared_server, request.node)


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealArm]:
    """A server that may be restarted."""
    missing = Node.missing()
    if missing is not None:
        pytest.skip(missing)
    node = Node(tmp_path_factory.mktemp("restarted") / "node")
    node.open()
    site = Site(node=node)
    arm = RealArm(site, restart=node.restart)
    yield arm
    arm.close()
    site.close()
    node.close()


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.timeout(3_600)
def test_programs_with_a_restart_do_the_same_on_both_servers(
    request: pytest.FixtureRequest, own_server: RealArm
) -> None:
    number = max(2, request.config.getoption("--broker-programs") // _RESTARTS_ONE_IN)
    _check_all(programs(restarts=True), number, own_server, request.node)


# --- what they found of restarts -------------------------------------------------------------------

#: A message is lost with the restart before it was delivered; of those behind it none is ever marked as redelivered.
_GAP: Final = Program(
    steps=(
        DeclareQueue(0, "q", durable=True),
        Publish(0, "", "q", "kept", persistent=True),
        Publish(0, "", "q", "lost"),
        Publish(0, "", "q", "late", persistent=True),
        Restart(),
        Publish(0, "", "q", "new"),
        Consume(1, "q", "c"),
        CloseChannel(1),
    )
)
#: What came back to a full queue that rejects publishes is dropped by the restart, and is a dead letter.
_OVERFULL: Final = Program(
    steps=(
        DeclareQueue(0, "d", durable=True),
        DeclareQueue(
            0,
            "q",
            durable=True,
            arguments=(
                ("x-max-length", 1),
                ("x-overflow", "reject-publish"),
                ("x-dead-letter-exchange", ""),
                ("x-dead-letter-routing-key", "d"),
            ),
        ),
        Consume(1, "q", "c"),
        Publish(0, "", "q", "a", persistent=True),
        Publish(0, "", "q", "b", persistent=True),
        Restart(),
    )
)


def _left(seen: list[Seen], queue: str) -> list[tuple[str, bool]]:
    return [(letter.body, redelivered) for redelivered, letter in seen[-1].left[queue]]


def test_after_a_gap_nothing_is_marked_as_redelivered() -> None:
    assert _left(run_simulated(_GAP, _ROOT), "q") == [("kept", True), ("late", False), ("new", False)]


def test_a_restart_drops_what_is_too_much_from_a_queue_that_rejects() -> None:
    seen = run_simulated(_OVERFULL, _ROOT)
    assert (_left(seen, "q"), _left(seen, "d")) == ([("b", True)], [("a", False)])


@pytest.mark.conformance
@pytest.mark.parametrize("program", [_GAP, _OVERFULL], ids=["gap", "overfull"])
def test_what_was_found_of_restarts_is_so_on_a_real_server(program: Program, own_server: RealArm) -> None:
    assert _compare(program, own_server) is None


# --- the simulation alone --------------------------------------------------------------------------


def test_nothing_is_lost_or_doubled_in_the_simulation() -> None:
    checked = [0]

    def check(program: Program) -> None:
        seen = run_simulated(program, "v")
        assert duplicates(program, seen) == []
        lost, kept = losses(program, seen)
        assert lost == [], str(program)
        checked[0] += kept

    _each(programs(), _SIMULATED_ALONE, check)
    # The rule speaks of plain queues alone; that it spoke of some is part of the test.
    assert checked[0] > _SIMULATED_ALONE // 2


def test_the_same_program_goes_the_same_way_again() -> None:
    def check(program: Program) -> None:
        assert run_simulated(program, "v") == run_simulated(program, "v")

    _each(programs(restarts=True), 20, check)


# --- the comparison itself -------------------------------------------------------------------------


def _swapped(seen: list[Seen]) -> list[Seen]:
    """The same, but that the first consumer that got two messages at once got them in the other order."""
    for one in seen:
        for letters in one.deliveries.values():
            if len(letters) > 1:
                letters[0], letters[1] = letters[1], letters[0]
                return seen
    return seen


def test_two_swapped_deliveries_are_reported() -> None:
    found = difference(_EXAMPLE, run_simulated(_EXAMPLE, "v"), _swapped(run_simulated(_EXAMPLE, "v")))
    assert found is not None
    head = found.splitlines()[:2]
    assert head == [f"The simulation and the real server differ at {_EXAMPLE.steps[3]!r}:", "  deliveries"]
    assert found.endswith(str(_EXAMPLE))


def test_two_equal_courses_are_not_reported() -> None:
    assert difference(_EXAMPLE, run_simulated(_EXAMPLE, "v"), run_simulated(_EXAMPLE, "v")) is None


def test_a_program_is_made_smaller_while_it_differs() -> None:
    def differs(program: Program) -> bool:
        return difference(program, run_simulated(program, "v"), _swapped(run_simulated(program, "v"))) is not None

    small = smallest(_EXAMPLE, differs)
    assert small.steps == (_EXAMPLE.steps[0], _EXAMPLE.steps[2], _EXAMPLE.steps[3])


def test_a_program_prints_as_the_text_that_builds_it() -> None:
    names = {kind.__name__: kind for kind in (Program, *map(type, _EXAMPLE.steps))}
    assert eval(str(_EXAMPLE), names) == _EXAMPLE


def test_a_slower_program_lives_and_waits_twice_as_long() -> None:
    steps = (
        DeclareQueue(0, "q", arguments=(("x-message-ttl", 400),)),
        Publish(0, "", "q", "m", expiration="400"),
        Wait(),
    )
    once = Program(steps).slower()
    assert once.steps == (
        DeclareQueue(0, "q", arguments=(("x-message-ttl", 800),)),
        Publish(0, "", "q", "m", expiration="800"),
        Wait(2),
    )
    assert once.slower().factor == 4


def test_a_loss_and_a_double_are_found() -> None:
    seen = run_simulated(_EXAMPLE, "v")
    assert (duplicates(_EXAMPLE, seen), losses(_EXAMPLE, seen)) == ([], ([], 4))
    for one in seen:
        one.deliveries.pop("c", None)
    assert losses(_EXAMPLE, seen) == (["m.0", "m.1"], 4)
    again = run_simulated(_EXAMPLE, "v")
    again[3].deliveries["c"].append(again[3].deliveries["c"][0])
    assert duplicates(_EXAMPLE, again) == ["q: m.0"]
