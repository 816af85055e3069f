"""Hypothesis draws programs of kombu clients on Redis: :func:`kombu_programs`."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from tests.conformance import redis_programs as steps
from tests.conformance.redis_program_runner import REFUSED
from tests.conformance.redis_programs import EXCHANGES, QUEUES, ClientOptions, KombuProgram

__all__ = ["kombu_programs", "peaceful_kombu_programs"]

_STEPS_MIN: Final = 8
_STEPS_MAX: Final = 40
_CLIENTS: Final = st.integers(0, 2)
_INDEXES: Final = st.integers(0, 7)
_QUEUES: Final = st.sampled_from(QUEUES)
_EXCHANGES: Final = st.sampled_from(tuple(EXCHANGES))
_KEYS: Final = st.sampled_from(("k", "k.l", "k.#", "*.l", "#", ""))
_PRIORITIES: Final = st.sampled_from((None, 0, 3, 4, 9, 12, -1))
_MOST_OFTEN_NOT: Final = st.sampled_from((False, False, True))

_DECLARE: Final = st.builds(
    steps.Declare, _CLIENTS, _QUEUES, _EXCHANGES, _KEYS, st.sampled_from((None, None, 3600)), _MOST_OFTEN_NOT
)
_PUBLISH: Final = st.one_of(
    st.builds(steps.Publish, _CLIENTS, st.just(""), _QUEUES, _PRIORITIES, st.sampled_from((None, "x"))),
    st.builds(steps.Publish, _CLIENTS, _EXCHANGES, _KEYS, _PRIORITIES),
)
_CONSUME: Final = st.builds(steps.Consume, _CLIENTS, _QUEUES, _MOST_OFTEN_NOT)
_DRAIN: Final = st.builds(steps.Drain, _CLIENTS)
_GET: Final = st.builds(steps.Get, _CLIENTS, _QUEUES, _MOST_OFTEN_NOT)
_SETTLE: Final = st.one_of(
    st.builds(steps.Ack, _CLIENTS, _INDEXES),
    st.builds(steps.Reject, _CLIENTS, _INDEXES, st.booleans()),
    st.builds(steps.Recover, _CLIENTS, st.sampled_from((True, True, False))),
)
_CALM: Final = st.one_of(
    st.builds(steps.Cancel, _CLIENTS, _INDEXES),
    st.builds(steps.Prefetch, _CLIENTS, st.integers(0, 3)),
    st.builds(steps.Size, _CLIENTS, _QUEUES),
    st.builds(steps.CloseChannel, _CLIENTS),
    st.builds(steps.CloseConnection, _CLIENTS),
)
_LOSSES: Final = st.one_of(
    st.builds(steps.Purge, _CLIENTS, _QUEUES),
    st.builds(steps.Delete, _CLIENTS, _QUEUES, st.booleans()),
    st.builds(steps.Unbind, _CLIENTS, _QUEUES, _EXCHANGES, _KEYS),
    st.builds(steps.DropExchange, _CLIENTS, _EXCHANGES),
)
_OVERDUE: Final = st.one_of(
    st.builds(steps.Age, st.sampled_from((10, 4000))),
    st.builds(steps.Sweep, _CLIENTS),
    # At most two waits a program: they are real in one arm.
    st.just(steps.Wait(0.003)),
)
_FAILURES: Final = st.one_of(
    st.builds(steps.Kill, _CLIENTS),
    st.builds(steps.Reset, _CLIENTS),
    st.builds(steps.Refused, _CLIENTS, st.sampled_from(tuple(REFUSED))),
)
#: What an application may do to kombu's keys.
_RAW: Final = st.builds(
    steps.Raw,
    st.sampled_from(
        (
            ("LLEN", "@a"), ("LRANGE", "@a", "0", "-1"), ("DEL", "@a"), ("RENAME", "@a", "@b"), ("RPOP", "@b"),
            ("TYPE", "@unacked"), ("HLEN", "@unacked"), ("DEL", "@unacked"), ("DEL", "@unacked_index"),
            ("RPUSH", "@a", "no message"), ("LPUSH", "@b", "{}"), ("RPUSH", "@c", "[]"), ("SET", "@a", "x"),
            ("HSET", "@b", "f", "v"), ("SET", "@unacked", "x"), ("SET", "@unacked_index", "x"), ("EXPIRE", "@a", "9"),
            ("EXPIRE", "@unacked", "9"), ("SADD", "@_kombu.binding.d", "odd"), ("SET", "@_kombu.binding.t", "x"),
            ("DEL", "@_kombu.binding.t"), ("PUBLISH", "@/10.f", "no message"), ("FLUSHDB",),
            ("SET", "@unacked_mutex", "held"), ("SMOVE", "@a", "@b"), ("NOSUCH", "@a"),
        )
    ),
)  # fmt: skip
_RESTART: Final = st.sampled_from(((steps.Stop(), steps.Start()), (steps.Stop(),), (steps.Start(),)))
#: Longer than the visibility timeout and the pop of ``_IMPATIENT``, by enough for a slow machine.
_LONG_WAIT: Final = (steps.Wait(1.3),)
_IMPATIENT: Final = st.builds(
    ClientOptions,
    visibility_s=st.just(1),
    throttle=st.just(1),
    pop_s=st.sampled_from((1, 30)),
    order=st.sampled_from(("round_robin", "sorted", "priority")),
)
_PATIENT: Final = st.builds(
    ClientOptions,
    order=st.sampled_from(("round_robin", "sorted", "priority")),
    ack_emulation=st.sampled_from((True, True, True, False)),
    throttle=st.sampled_from((1, 10)),
)


def _one(step: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(step)


_COMMON: Final = (
    _one(_DECLARE), _one(_PUBLISH), _one(_PUBLISH), _one(_PUBLISH), _one(_CONSUME), _one(_DRAIN), _one(_DRAIN),
    _one(_GET), _one(_SETTLE), _one(_SETTLE), _one(_CALM), _one(_OVERDUE),
)  # fmt: skip


@st.composite
def kombu_programs(draw: st.DrawFn) -> KombuProgram:
    """Any program; one in twelve restarts the server, and one in twenty waits for its visibility timeout."""
    parts = [*_COMMON, _one(_LOSSES), _one(_FAILURES), _one(_RAW)]
    is_impatient = draw(st.integers(0, 19)) == 19
    restarts = draw(st.integers(0, 11)) == 11
    options = _IMPATIENT if is_impatient else _PATIENT
    drawn = draw(st.lists(st.one_of(*parts), min_size=_STEPS_MIN, max_size=_STEPS_MAX))
    for rare in (*[_LONG_WAIT] * is_impatient, *([draw(_RESTART), draw(_RESTART)] if restarts else [])):
        drawn.insert(draw(st.integers(0, len(drawn))), rare)
    return KombuProgram(
        steps=tuple(step for part in drawn for step in part),
        clients=tuple(draw(st.lists(options, min_size=1, max_size=3))),
        prefix=draw(st.sampled_from(("", "", "shop:"))),
        priority_steps=draw(st.sampled_from(((0, 3, 6, 9), (0,), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)))),
        persistence=draw(st.sampled_from(("none", "rdb", "aof"))) if restarts else "none",
    )


@st.composite
def peaceful_kombu_programs(draw: st.DrawFn) -> KombuProgram:
    """A program in which no message may be lost: nothing is purged, killed, restarted or touched from outside."""
    drawn = draw(st.lists(st.one_of(*_COMMON), min_size=_STEPS_MIN, max_size=_STEPS_MAX))
    return KombuProgram(
        steps=tuple(step for part in drawn for step in part),
        clients=tuple(draw(st.lists(_PATIENT, min_size=1, max_size=3))),
    )
