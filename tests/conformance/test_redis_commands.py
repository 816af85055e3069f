"""Generated programs of redis-py clients get the same replies in the simulation and on a real Redis 7.0.

There is one for two of ``test_redis_programs.py``, with its ``--broker-programs N`` and ``--hypothesis-seed=S``.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.conformance import redis_command_programs
from tests.conformance.redis_command_programs import (
    Call,
    CommandProgram,
    Expire,
    Listen,
    Lock,
    Pipeline,
    Receive,
    Scan,
    Script,
    Send,
    Subscribe,
)  # fmt: skip
from tests.conformance.redis_command_runner import run_command_program
from tests.conformance.redis_command_strategies import command_programs
from tests.conformance.redis_program_arms import RealArm, SimulatedArm
from tests.conformance.redis_program_search import assert_same, check_each, difference, for_each_program
from tests.conformance.redis_server_arm import RealRedis
from tqsim.broker.redis.commands import RedisCommands

_ALONE: Final = 10


def simulated(program: CommandProgram, port: int = 6379) -> list[str]:
    """What the simulation shows."""
    with SimulatedArm(port=port) as arm:
        return run_command_program(program, arm)


def compare(program: CommandProgram, server: RealRedis) -> str | None:
    """Run it on both arms; return how they differ, or ``None``."""
    with RealArm(server) as arm:
        expected = run_command_program(program, arm)
    return difference(program, expected, simulated(program, server.port))


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.timeout(3_600)
def test_generated_programs_get_the_same_replies_on_both(real_redis: RealRedis, request: pytest.FixtureRequest) -> None:
    count = request.config.getoption("--broker-programs") // 2
    check_each(command_programs(), count, lambda program: compare(program, real_redis), request.node)


#: Found by the generator, or what it should find.
_PROGRAMS: Final = {
    "a reader of a group that waits no time": CommandProgram(
        (
            Call(0, ("XGROUP", "CREATE", "x", "g", "0", "MKSTREAM")),
            Call(0, ("XADD", "x", "1-1", "f", "v")),
            Send(1, ("XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "x", ">")),
            Receive(1),
            Call(0, ("XPENDING", "x", "g")),
        )
    ),
    "a client that popped and then reads a stream": CommandProgram(
        (
            Call(1, ("BRPOP", "q", "0.01")),
            Send(1, ("XREAD", "BLOCK", "0", "STREAMS", "x", "$")),
            Call(0, ("XADD", "x", "1-1", "f", "v")),
            Receive(1),
        )
    ),
    "pairs that are none, in a transaction": CommandProgram(
        (
            Pipeline(0, (("SET", "k", "1"), ("MSET", "a", "1", "b")), raises=False),
            Pipeline(0, (("SET", "k", "2"), ("XTRIM", "k", "MAXLEN")), raises=False),
            Call(0, ("GET", "k")),
        )
    ),
    "a watched key that changes": CommandProgram(
        (
            Pipeline(0, (("SET", "k", "1"),), watched=("k",), meanwhile=("SET", "k", "2")),
            Pipeline(1, (("INCR", "k"), ("LPUSH", "k", "x")), watched=("k",)),
            Call(1, ("GET", "k")),
        )
    ),
    "two who wait for one list": CommandProgram(
        (
            Send(0, ("BLPOP", "q", "0")),
            Send(1, ("BRPOP", "r", "q", "0")),
            Call(2, ("RPUSH", "q", "a", "b", "c")),
            Receive(1, with_error=True),
            Receive(0),
            Call(2, ("LRANGE", "q", "0", "-1")),
        ),
        (2, 3, 3),
    ),
    "locks": CommandProgram(
        tuple(Lock(client, "lock", call) for client, call in (
            (0, "acquire"), (1, "acquire"), (1, "release"), (0, "extend"), (0, "owned"), (0, "release"), (0, "release"),
            (1, "acquire"), (0, "reacquire"), (1, "locked"),
        ))
    ),
    "channels, patterns, scripts, scans, expiry": CommandProgram(
        (
            Subscribe(0, ("ch",)),
            Subscribe(1, ("c*",), patterns=True),
            Call(2, ("PUBLISH", "ch", "x")),
            Listen(0),
            Listen(1),
            *(Script(0, number, ("k",), ("v",)) for number in range(12)),
            Call(0, ("RPUSH", "l", "a")),
            Script(1, 1, ("l",), ("v",)),
            Scan(1, "scan", "", "*"),
            Scan(1, "sscan", "l"),
            Expire(0, "l"),
            Call(1, ("LLEN", "l")),
        ),
        (2, 3, 3),
    ),
}  # fmt: skip


@pytest.mark.conformance
@pytest.mark.parametrize("name", _PROGRAMS)
def test_written_programs_get_the_same_replies_on_both(name: str, real_redis: RealRedis) -> None:
    assert compare(_PROGRAMS[name], real_redis) is None


def test_a_planted_difference_is_reported_with_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    program = _PROGRAMS["two who wait for one list"]
    expected = simulated(program)
    real = RedisCommands._bpop
    monkeypatch.setattr(
        RedisCommands, "_bpop", lambda session, args, op: real(session, args, lambda items: items.pop())
    )
    with pytest.raises(AssertionError, match="--- real server") as caught:
        assert_same(program, expected, simulated(program))
    printed = str(caught.value).partition("The program:")[2].strip()
    assert eval(printed, vars(redis_command_programs)) == program


def test_a_program_gives_the_same_record_again() -> None:
    """Nothing of a simulation depends on the one before it, and nothing in it is the server's own failure."""
    records = []

    def check(program: CommandProgram) -> None:
        record = simulated(program)
        assert "the simulated server failed" not in "\n".join(record)
        assert simulated(program) == record
        records.append(record)

    for_each_program(command_programs(), _ALONE, 0, check, shrinks=False)
    assert len(records) == _ALONE
