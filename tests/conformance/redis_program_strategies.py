"""Hypothesis draws programs of kombu clients on Redis: :func:`kombu_programs`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hypothesis import strategies as st

from tests.conformance import redis_programs as steps
from tests.conformance.redis_program_runner import REFUSED
from tests.conformance.redis_programs import EXCHANGES, ClientOptions, KombuProgram

__all__ = ["kombu_programs", "peaceful_kombu_programs"]

_PARTS_MIN: Final = 4
_PARTS_MAX: Final = 14
_CLIENTS: Final = st.integers(0, 2)
_INDEXES: Final = st.integers(0, 7)
_QUEUES: Final = st.sampled_from(("a", "a", "b", "b", "c", "n"))
_EXCHANGES: Final = st.sampled_from(tuple(EXCHANGES))
_KEYS: Final = st.sampled_from(("k", "k.l", "k.#", "*.l", "#", ""))
#: Keys that messages are sent with; of ``_KEYS`` some match them all.
_ROUTED: Final = ("k", "k", "k.l", "l", "")
_PRIORITIES: Final = st.sampled_from((None, 0, 3, 4, 9, 12, -1))
_MOST_OFTEN_NOT: Final = st.sampled_from((False, False, True))

_EXPIRY: Final = st.sampled_from((None, None, 3600))
_ROUTES: Final = st.one_of(
    st.tuples(st.sampled_from("abc"), st.sampled_from("dt"), _KEYS),
    st.tuples(st.sampled_from("abc"), st.sampled_from("dt"), _KEYS),
    st.tuples(st.sampled_from("nnnna"), st.just("f"), st.sampled_from(("", "", "k", "#"))),
)
_DECLARE: Final = st.tuples(_CLIENTS, _ROUTES, _EXPIRY, _MOST_OFTEN_NOT).map(
    lambda drawn: steps.Declare(drawn[0], *drawn[1], *drawn[2:])
)
_DRAIN: Final = st.builds(steps.Drain, _CLIENTS)
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
_RESTART: Final = st.sampled_from(
    ((steps.Stop(), steps.Start()), (steps.Stop(), steps.Start()), (steps.Stop(),), (steps.Start(),))
)
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


def _parts(step: st.SearchStrategy[Any], most: int = 1) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(step, min_size=1, max_size=most).map(tuple)


@st.composite
def _sendings(draw: st.DrawFn) -> tuple[Any, ...]:
    """Some messages in a row by one client, to one queue or by way of an exchange."""
    if draw(st.booleans()):
        return _sent(draw, draw(_CLIENTS), draw(_QUEUES))
    client, exchange = draw(_CLIENTS), draw(_EXCHANGES)
    keys = draw(st.lists(st.sampled_from(("", "", "k") if exchange == "f" else _ROUTED), min_size=1, max_size=3))
    return tuple(steps.Publish(client, exchange, key, draw(_PRIORITIES)) for key in keys)


def _sent(draw: st.DrawFn, client: int, queue: str) -> tuple[Any, ...]:
    return tuple(
        steps.Publish(client, "", queue, priority, draw(st.sampled_from((None, None, "x"))))
        for priority in draw(st.lists(_PRIORITIES, min_size=1, max_size=4))
    )


@st.composite
def _receipts(draw: st.DrawFn) -> tuple[Any, ...]:
    """One client consumes a queue, or fetches from it, and settles some of what it sees."""
    return _received(draw, draw(_CLIENTS), draw(_QUEUES))


def _received(draw: st.DrawFn, client: int, queue: str) -> tuple[Any, ...]:
    taken: list[Any] = []
    if draw(st.integers(0, 3)):
        if not draw(st.integers(0, 3)):
            taken.append(steps.Prefetch(client, draw(st.integers(0, 3))))
        taken += [steps.Consume(client, queue, draw(_MOST_OFTEN_NOT)), steps.Drain(client)]
    else:
        taken += [steps.Get(client, queue, draw(_MOST_OFTEN_NOT))] * draw(st.integers(1, 3))
    return (*taken, *(draw(_settling(st.just(client))) for _ in range(draw(st.integers(0, 2)))))


@st.composite
def _transfers(draw: st.DrawFn) -> tuple[Any, ...]:
    """Messages to a queue, and somebody who takes them; the other way round where that one waits already."""
    queue, sender, receiver = draw(_QUEUES), draw(_CLIENTS), draw(_CLIENTS)
    sent, received = _sent(draw, sender, queue), _received(draw, receiver, queue)
    return (*sent, *received) if draw(st.booleans()) else (*received, *sent, steps.Drain(receiver))


def _settling(clients: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(steps.Ack, clients, _INDEXES),
        st.builds(steps.Reject, clients, _INDEXES, st.booleans()),
        st.builds(steps.Recover, clients, st.sampled_from((True, True, True, False))),
    )


@st.composite
def _overdue(draw: st.DrawFn) -> tuple[Any, ...]:
    """What is unacknowledged becomes old, and somebody looks."""
    return (steps.Age(draw(st.sampled_from((4000, 4000, 10)))), steps.Sweep(draw(_CLIENTS)))


_COMMON: Final = (
    _parts(_DECLARE, 2), _sendings(), _sendings(), _sendings(), _receipts(), _receipts(), _transfers(), _transfers(),
    _transfers(), _parts(_settling(_CLIENTS), 2), _parts(_DRAIN), _parts(_CALM), _overdue(),
)  # fmt: skip


@st.composite
def _topologies(draw: st.DrawFn) -> tuple[Any, ...]:
    """What programs begin with: all exchanges bound, and somebody who listens to the fanout; or anything."""
    if not draw(st.integers(0, 3)):
        return tuple(draw(st.lists(_DECLARE, max_size=4)))
    first, second = draw(st.permutations("abc"))[:2]
    expires_s = draw(_EXPIRY)
    bound = ((first, "d", "k"), (second, "t", "k.#"), ("n", "f", ""))
    listening = draw(_CLIENTS)
    return (
        *(steps.Declare(client, *route, expires_s) for route in bound for client in (0, 1, 2)),
        steps.Consume(listening, "n"),
        steps.Drain(listening),
    )


def _drawn(draw: st.DrawFn, parts: tuple[st.SearchStrategy[Any], ...]) -> list[tuple[Any, ...]]:
    """Parts of a program; which kind comes next is drawn evenly, where ``one_of`` prefers what is simple."""
    count = draw(st.integers(_PARTS_MIN, _PARTS_MAX))
    return [draw(_topologies()), draw(_transfers()), *(draw(draw(st.sampled_from(parts))) for _ in range(count))]


@st.composite
def kombu_programs(draw: st.DrawFn) -> KombuProgram:
    """Any program; one in twelve restarts the server, and one in twenty waits for its visibility timeout."""
    is_impatient = draw(st.integers(0, 19)) == 7
    restarts = draw(st.integers(0, 11)) == 7
    options = _IMPATIENT if is_impatient else _PATIENT
    drawn = _drawn(draw, (*_COMMON, _parts(_LOSSES), _parts(_FAILURES), _parts(_RAW)))
    for rare in (*[_LONG_WAIT] * is_impatient, *([draw(_RESTART), draw(_RESTART)] if restarts else [])):
        drawn.insert(draw(st.integers(0, len(drawn))), rare)
    return KombuProgram(
        steps=tuple(step for part in drawn for step in part),
        clients=tuple(draw(st.lists(options, min_size=2, max_size=3))),
        prefix=draw(st.sampled_from(("", "", "shop:"))),
        priority_steps=draw(st.sampled_from(((0, 3, 6, 9), (0,), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)))),
        persistence=draw(st.sampled_from(("none", "rdb", "aof"))) if restarts else "none",
    )


@st.composite
def peaceful_kombu_programs(draw: st.DrawFn) -> KombuProgram:
    """A program in which no message may be lost: nothing is purged, killed, restarted or touched from outside.

    At the end every client takes in what was popped for it.  No queue is deleted with its channel (``Channel.close``).
    """
    clients = tuple(draw(st.lists(_PATIENT, min_size=2, max_size=3)))
    last = [(steps.Prefetch(client, 0), steps.Drain(client)) for client in range(len(clients))]
    drawn = [step for part in [*_drawn(draw, _COMMON), *last] for step in part]
    kept = [replace(step, auto_delete=False) if isinstance(step, steps.Declare) else step for step in drawn]
    return KombuProgram(steps=tuple(kept), clients=clients)
