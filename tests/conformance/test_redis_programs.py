"""Generated programs of kombu clients show the same in the simulation and on a real Redis 7.0.

``--broker-programs N`` says how many; ``--hypothesis-seed=S`` draws others.
"""

from __future__ import annotations

import json
from typing import Any, Final

import kombu.transport.redis
import pytest

from tests.conformance import redis_programs
from tests.conformance.redis_program_arms import RealArm, SimulatedArm
from tests.conformance.redis_program_runner import run_kombu_program
from tests.conformance.redis_program_search import as_python, assert_same, check_each, difference, for_each_program
from tests.conformance.redis_program_strategies import kombu_programs, peaceful_kombu_programs
from tests.conformance.redis_programs import (
    Ack,
    Age,
    CloseChannel,
    Consume,
    Declare,
    Drain,
    Get,
    Kill,
    KombuProgram,
    Publish,
    Raw,
    Recover,
    Reject,
    Reset,
    Start,
    Stop,
    Sweep,
)  # fmt: skip
from tests.conformance.redis_server_arm import RealRedis
from tqsim.broker.redis import requests
from tqsim.broker.redis.natives import NATIVES

_PEACEFUL: Final = 12


@pytest.fixture(autouse=True)
def bindings_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """On both arms kombu walks the queues of an exchange in one order.

    It asks for them with SMEMBERS, which promises none, and a real server has another at each start.
    """
    real: Any = kombu.transport.redis.Channel.get_table
    monkeypatch.setattr(
        kombu.transport.redis.Channel, "get_table", lambda channel, exchange: sorted(real(channel, exchange))
    )


def simulated(program: KombuProgram, port: int = 6379) -> list[str]:
    """What the simulation shows."""
    with SimulatedArm(program.persistence, port) as arm:
        return run_kombu_program(program, arm)


def compare(program: KombuProgram, server: RealRedis) -> str | None:
    """Run it on both arms; return how they differ, or ``None``."""
    with RealArm(server, program.persistence) as arm:
        expected = run_kombu_program(program, arm)
    return difference(program, expected, simulated(program, server.port))


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.timeout(3_600)
def test_generated_programs_show_the_same_on_both(real_redis: RealRedis, request: pytest.FixtureRequest) -> None:
    count = request.config.getoption("--broker-programs")
    check_each(kombu_programs(), count, lambda program: compare(program, real_redis), request.node)


#: Found by the generator, or what it should find.
_PROGRAMS: Final = {
    "a client that was cut off finds out by sending": KombuProgram(
        (Raw(("LLEN", "@a")), Stop(), Start(), Raw(("LLEN", "@a")), Raw(("LLEN", "@a")))
    ),
    "a reset while popping": KombuProgram(
        (Consume(0, "a"), Drain(0), Reset(0), Publish(1, "", "a"), Drain(0), Drain(0), Publish(1, "", "a"), Drain(0))
    ),
    "what a killed client leaves is swept": KombuProgram(
        (
            *(Publish(0, "", "a", priority) for priority in (0, 9, 3, 0)),
            Consume(1, "a"),
            Drain(1),
            Kill(1),
            Sweep(0),
            Age(4000),
            Sweep(0),
            *[Get(0, "a")] * 4,
        ),
        prefix="shop:",
    ),
    "a closed channel restores in order": KombuProgram(
        (
            *[Publish(0, "", "a")] * 3,
            Consume(1, "a"),
            Drain(1),
            Ack(1, 0),
            Reject(1, 1, True),
            Drain(1),
            CloseChannel(1),
        )
    ),
    "an append-only file keeps queues and what is unacknowledged": KombuProgram(
        (
            Declare(0, "a", "d", "k"),
            *[Publish(0, "d", "k")] * 3,
            Get(0, "a"),
            Stop(),
            Publish(0, "d", "k"),
            Ack(0, 0),
            Start(),
            Publish(0, "d", "k"),
            Recover(0, True),
            Get(0, "a"),
        ),
        persistence="aof",
    ),
    "without a file nothing is kept": KombuProgram(
        (*[Publish(0, "", "a")] * 3, Get(0, "a"), Stop(), Start(), Ack(0, 0), Publish(0, "", "a"), Get(1, "a"))
    ),
    "strange things in the lists": KombuProgram(
        (
            Raw(("RPUSH", "@a", "no message")),
            Raw(("RPUSH", "@a", "{}")),
            Raw(("SET", "@b", "x")),
            Get(0, "a"),
            Get(0, "a"),
            Get(0, "b"),
            Consume(1, "b"),
            Drain(1),
            Publish(0, "", "b"),
            Raw(("SET", "@unacked", "x")),
            Publish(0, "", "c"),
            Get(0, "c"),
        )
    ),
}


@pytest.mark.conformance
@pytest.mark.parametrize("name", _PROGRAMS)
def test_written_programs_show_the_same_on_both(name: str, real_redis: RealRedis) -> None:
    assert compare(_PROGRAMS[name], real_redis) is None


def wrong_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a difference: what is rejected or restored goes to the other end of its list."""
    monkeypatch.setattr(requests, "NATIVES", {**NATIVES, ("rpush", 2): NATIVES["lpush", 2]})


def test_a_planted_difference_is_reported_with_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    program = _PROGRAMS["what a killed client leaves is swept"]
    expected = simulated(program)
    wrong_end(monkeypatch)
    with pytest.raises(AssertionError, match="--- real server") as caught:
        assert_same(program, expected, simulated(program))
    printed = str(caught.value).partition("The program:")[2].strip()
    assert eval(printed, vars(redis_programs)) == program


def test_a_planted_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(program: KombuProgram) -> None:
        expected = simulated(program)
        with monkeypatch.context() as patch:
            wrong_end(patch)
            assert_same(program, expected, simulated(program))

    with pytest.raises(AssertionError, match="The program:"):
        for_each_program(kombu_programs(), 50, 0, check, shrinks=False)


def test_a_planted_loss_breaks_the_balance(monkeypatch: pytest.MonkeyPatch) -> None:
    program = KombuProgram((Publish(0, "", "a"), Consume(1, "b")))
    check_balance(program)
    monkeypatch.setattr(requests, "NATIVES", {**NATIVES, ("lpush", 2): lambda database, arguments: 1})
    with pytest.raises(AssertionError, match="m1 is nowhere"):
        check_balance(program)


def test_peaceful_programs_lose_and_double_nothing() -> None:
    balanced = []

    def check(program: KombuProgram) -> None:
        check_balance(program)
        balanced.append(program)

    for_each_program(peaceful_kombu_programs(), _PEACEFUL, 0, check, shrinks=False)
    assert len(balanced) == _PEACEFUL


def check_balance(program: KombuProgram) -> None:
    """Every message that was published to a queue was seen, or is there or unacknowledged; and at most once."""
    record = simulated(program)
    published = [line for line in record if line.startswith("Publish(")]
    seen = " ".join(line for line in record if " saw " in line)
    kept = " ".join(line for line in record if " (list" in line or line.startswith("unacked (hash"))
    for number, line in enumerate(published, 1):
        if "exchange=''" in line and line.endswith(": None"):
            copies = kept.count(json.dumps(f"m{number}"))
            assert copies or f"b'm{number}'" in seen, f"m{number} is nowhere\n{as_python(program)}"
            assert copies <= 1, f"m{number} is there {copies} times\n{as_python(program)}"
