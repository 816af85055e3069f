"""Hypothesis draws programs of an application's own redis-py clients: :func:`command_programs`.

Left out, and named in ``docs/explanation/fidelity.md``: HyperLogLogs, ``OBJECT``, ``CONFIG SET``, ``ZRANGEBYLEX`` and
``ZLEXCOUNT`` where scores differ, ``DBSIZE``; and replies that are drawn by lot (``SPOP``, ``RANDOMKEY``).
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from tests.conformance import redis_command_programs as steps
from tests.conformance.redis_command_programs import CommandProgram, Words

__all__ = ["TEMPLATES", "command_programs"]

_PARTS_MIN: Final = 6
_PARTS_MAX: Final = 24
_CLIENTS: Final = st.integers(0, 2)
#: A key of each type, and one that any command may make.
_KEYS: Final = ("{string}", "{list}", "{hash}", "{set}", "{zset}", "{stream}")
_ANY_KEY: Final = st.sampled_from((*_KEYS, "other"))
_VALUES: Final = ("a", "b", "c", "10", "3.5", "")
#: What stands for a value in a template, and what it may become.
_PLACES: Final = {
    "v": _VALUES,
    "f": ("f", "g", "h"),
    "m": ("a", "b", "c", "d"),
    "i": ("0", "1", "2", "-1", "5", "100"),
    "n": ("1", "2", "3"),
    "r": ("1", "2", "2.5", "-1", "10", "inf"),
    "w": ("100", "1000"),
    "id": ("1-1", "1-2", "2-1", "5-0", "0"),
}
#: Of these an argument is never dropped: WITHSCORES would become a key, which fakeredis takes for the option.
_WHOLE: Final = ("ZUNION",)
#: Never 20 digits for these: the sum of a real server has more than 17 (a ``long double``).
_SHORT: Final = ("INCRBYFLOAT", "HINCRBYFLOAT")
#: What an argument may be replaced by.
_ODD: Final = ("x", "", "-1", "1.5", "99999999999999999999", "nan", "0")

TEMPLATES: Final = tuple(
    tuple(line.split())
    for line in """
    SET {string} v | SET {string} v NX | SET {string} v XX GET | SET {string} v EX w | SET {string} v KEEPTTL
    GET {string} | GETSET {string} v | GETDEL {string} | GETEX {string} EX w | GETEX {string} PERSIST
    SETNX {string} v | SETEX {string} w v | PSETEX {string} 100000 v | APPEND {string} v | STRLEN {string}
    INCR {string} | DECR {string} | INCRBY {string} i | DECRBY {string} i | INCRBYFLOAT {string} r
    GETRANGE {string} i i | SETRANGE {string} n v | MSET {string} v other v | MSETNX other v {string} v
    MGET {string} other {list} | SETBIT {string} n 1 | GETBIT {string} i | BITCOUNT {string} | BITPOS {string} 1
    LPUSH {list} v v | RPUSH {list} v | LPUSHX {list} v | RPUSHX {list} v | LPOP {list} | RPOP {list} | LPOP {list} n
    RPOP {list} n | LLEN {list} | LRANGE {list} i i | LINDEX {list} i | LSET {list} i v | LREM {list} i v
    LTRIM {list} i i | LINSERT {list} BEFORE v v | LPOS {list} v | RPOPLPUSH {list} other
    LMOVE {list} other LEFT RIGHT | LMPOP n {list} other LEFT | LMPOP 1 {list} RIGHT COUNT n | HSET {hash} f v
    HSET {hash} f v f v | HGET {hash} f | HMGET {hash} f f | HGETALL {hash} | HKEYS {hash} | HVALS {hash}
    HLEN {hash} | HEXISTS {hash} f | HSTRLEN {hash} f | HINCRBY {hash} f i | HINCRBYFLOAT {hash} f r
    HSETNX {hash} f v | HDEL {hash} f f | HMSET {hash} f v | SADD {set} m m | SREM {set} m | SCARD {set}
    SISMEMBER {set} m | SMISMEMBER {set} m m | SMEMBERS {set} | SINTER {set} other | SUNION {set} other
    SDIFF {set} other | SINTERSTORE other {set} | SUNIONSTORE other {set} other | SDIFFSTORE other {set} {set}
    SINTERCARD 1 {set} | SMOVE {set} other m | ZADD {zset} r m | ZADD {zset} r m r m | ZADD {zset} NX r m
    ZADD {zset} XX CH r m | ZADD {zset} GT r m | ZADD {zset} INCR r m | ZSCORE {zset} m | ZMSCORE {zset} m m
    ZINCRBY {zset} r m | ZCARD {zset} | ZREM {zset} m | ZRANGE {zset} i i | ZRANGE {zset} i i WITHSCORES
    ZRANGE {zset} i i REV | ZREVRANGE {zset} i i | ZRANGEBYSCORE {zset} r r | ZRANGEBYSCORE {zset} -inf +inf LIMIT 0 n
    ZREVRANGEBYSCORE {zset} r r WITHSCORES | ZRANGE {zset} r r BYSCORE | ZCOUNT {zset} r r | ZRANK {zset} m
    ZREVRANK {zset} m | ZPOPMIN {zset} | ZPOPMAX {zset} n | ZREMRANGEBYSCORE {zset} r r | ZREMRANGEBYRANK {zset} i i
    ZUNIONSTORE other 2 {zset} {zset} | ZINTERSTORE other 1 {zset} WEIGHTS n | ZRANGESTORE other {zset} i i
    ZUNION 2 {zset} other WITHSCORES | ZINTER 1 {zset} | ZDIFF 2 {zset} other | ZMPOP 1 {zset} MIN COUNT n
    XADD {stream} id f v | XADD {stream} * f v | XADD {stream} MAXLEN 2 * f v | XLEN {stream} | XRANGE {stream} - +
    XRANGE {stream} id + COUNT n | XREVRANGE {stream} + - | XREAD COUNT n STREAMS {stream} id | XDEL {stream} id
    XTRIM {stream} MAXLEN n | XGROUP CREATE {stream} grp 0 | XGROUP CREATE {stream} grp $ MKSTREAM
    XGROUP CREATECONSUMER {stream} grp me | XGROUP DELCONSUMER {stream} grp me | XGROUP DESTROY {stream} grp
    XGROUP SETID {stream} grp id | XREADGROUP GROUP grp me STREAMS {stream} >
    XREADGROUP GROUP grp me COUNT n STREAMS {stream} 0 | XACK {stream} grp id id | XPENDING {stream} grp
    XCLAIM {stream} grp you 0 id JUSTID | XAUTOCLAIM {stream} grp you 0 0 JUSTID | DEL {string} {list} | UNLINK {hash}
    EXISTS {string} {list} | TYPE {zset} | EXPIRE {string} w | EXPIRE {list} w NX | PEXPIRE {hash} 100000
    TTL {string} | PERSIST {string} | EXPIREAT {set} 9999999999 | RENAME {string} other | RENAMENX {list} other
    COPY {string} other | COPY {string} other REPLACE | KEYS * | TOUCH {string} {list} | SORT {list} ALPHA
    SORT {list} DESC | SORT {list} LIMIT 0 n | ECHO v | PING | PING v | SELECT 10 | FLUSHDB | PUBLISH ch v
    PUBSUB NUMSUB ch | PUBSUB CHANNELS | PUBSUB NUMPAT | EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
    SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff | CLIENT GETNAME | CLIENT SETNAME v | CONFIG GET maxmemory
    """.replace("\n", "|").split("|")
    if line.strip()
)
_BLOCKING: Final = tuple(
    tuple(line.split())
    for line in """
    BLPOP {list} 0 | BRPOP {list} other 0 | BRPOP other {list} 10 | BLMOVE {list} other LEFT RIGHT 0
    BRPOPLPUSH {list} other 0 | BLMPOP 0 2 {list} other LEFT COUNT 2 | BZPOPMIN {zset} 0 | BZPOPMAX {zset} other 10
    BZMPOP 0 1 {zset} MAX | XREAD BLOCK 0 STREAMS {stream} $ | XREADGROUP GROUP grp me BLOCK 0 STREAMS {stream} >
    """.replace("\n", "|").split("|")
    if line.strip()
)


@st.composite
def _words(draw: st.DrawFn, templates: tuple[Words, ...] = TEMPLATES, oddity: int = 5) -> Words:
    """A command as its template has it, or, once in ``oddity``, with an argument too many, too few or odd."""
    template = draw(st.sampled_from(templates))
    words = [template[0]]
    for word in template[1:]:
        if word in _KEYS:
            words.append(word if draw(st.integers(0, 5)) else draw(_ANY_KEY))
        else:
            words.append(draw(st.sampled_from(_PLACES[word])) if word in _PLACES else word)
    if not draw(st.integers(0, oddity - 1)):
        changes = ("add", "replace", "replace", "replace") + (() if template[0] in _WHOLE else ("drop",))
        change = draw(st.sampled_from(changes))
        place = draw(st.integers(1, max(1, len(words) - 1)))
        odd = [] if change == "drop" else [draw(st.sampled_from(_ODD))]
        if template[0] in _SHORT:
            odd = [text[:9] for text in odd]
        words[place : place + (change != "add")] = odd
    return tuple(words)


@st.composite
def _pipelines(draw: st.DrawFn) -> tuple[Any, ...]:
    watched = draw(st.sampled_from(((), ("{string}",), ("{list}", "{hash}"))))
    return (
        steps.Pipeline(
            draw(_CLIENTS),
            tuple(draw(st.lists(_words(oddity=8), min_size=1, max_size=4))),
            transaction=draw(st.booleans()) or bool(watched),
            watched=watched,
            meanwhile=draw(st.sampled_from((None, ("SET", "{string}", "m"), ("DEL", "{list}"), ("PING",)))),
            raises=draw(st.booleans()),
        ),
    )


@st.composite
def _blocks(draw: st.DrawFn) -> tuple[Any, ...]:
    """One or two clients wait; another one does something that may serve them; they receive."""
    waiting = draw(st.lists(_CLIENTS, min_size=1, max_size=2, unique=True))
    sent = [steps.Send(client, draw(_words(_BLOCKING, 12))) for client in waiting]
    pushes = draw(st.lists(st.builds(steps.Call, _CLIENTS, _words(_SERVING, 30)), min_size=1, max_size=3))
    received = [steps.Receive(client, draw(st.sampled_from((False, False, True)))) for client in waiting]
    return (*sent, *pushes, *received)


_SERVING: Final = tuple(
    template for template in TEMPLATES
    if template[0] in ("LPUSH", "RPUSH", "ZADD", "XADD", "RENAME", "LMOVE", "RPOPLPUSH", "COPY", "XGROUP", "SET", "DEL")
)  # fmt: skip
_LOCKS: Final = st.tuples(
    st.builds(
        steps.Lock, _CLIENTS, st.sampled_from(("lock", "lock", "{string}")),
        st.sampled_from(("acquire", "acquire", "release", "extend", "reacquire", "owned", "locked")),
    )
)  # fmt: skip
_NAMES: Final = st.lists(st.sampled_from(("ch", "other")), min_size=1, max_size=2, unique=True).map(tuple)
_SUBSCRIPTIONS: Final = st.one_of(
    st.builds(steps.Subscribe, _CLIENTS, _NAMES),
    # Of these one at most matches: which pattern of a client comes first is up to a hash table too.
    st.builds(steps.Subscribe, _CLIENTS, st.sampled_from((("c*",), ("[ab]h", "x?"))), st.just(True)),
    # Not from all at once: the server goes through them in the order of a hash table (pubsub.c).
    st.builds(steps.Unsubscribe, _CLIENTS, st.just(("ch",))),
    st.builds(steps.Unsubscribe, _CLIENTS, st.just(("c*",)), st.just(True)),
)


@st.composite
def _conversations(draw: st.DrawFn) -> tuple[Any, ...]:
    client = draw(_CLIENTS)
    return (
        draw(_SUBSCRIPTIONS),
        steps.Subscribe(client, ("ch",)),
        steps.Call(draw(_CLIENTS), ("PUBLISH", "ch", draw(st.sampled_from(_VALUES)))),
        draw(_SUBSCRIPTIONS),
        steps.Listen(client),
    )


_SCRIPTS: Final = st.tuples(
    st.builds(steps.Script, _CLIENTS, st.integers(0, 20), st.tuples(_ANY_KEY), st.tuples(st.sampled_from(_VALUES)))
)  # fmt: skip
_EVALS: Final = st.tuples(
    st.builds(
        steps.Call, _CLIENTS,
        st.sampled_from(
            (
                ("EVAL", "return 1", "0"), ("EVAL", "return redis.call('INCR', KEYS[1])", "1", "{list}"),
                ("EVAL", "return 1", "x"), ("EVAL", "return 1", "-1"), ("EVAL", "return 1", "5"), ("EVAL", "return 1"),
                ("EVAL", "return nosuch", "0"), ("EVAL", "return redis.call('NOSUCH')", "0"), ("EVAL", "x x", "0"),
                ("EVAL", "return redis.call('GET')", "0"), ("EVAL", "error('mine')", "0"),
                ("EVAL", "return redis.pcall('GET')", "0"),
                ("EVAL", "return redis.call('BLPOP', KEYS[1], 0)", "1", "no"),
                ("EVAL", "return #ARGV", "0", "a", "b"), ("EVAL", "return redis.call('SUBSCRIBE', 'x')", "0"),
                ("EVAL", "return {err='E x'}", "0"), ("EVAL", "return {ok='fine'}", "0"),
            )
        ),
    )
)  # fmt: skip
_SCANS: Final = st.tuples(
    st.builds(
        lambda client, kind, match: steps.Scan(client, kind[0], kind[1], match),
        _CLIENTS,
        st.sampled_from(
            (("scan", ""), ("sscan", "{set}"), ("hscan", "{hash}"), ("zscan", "{zset}"), ("sscan", "{list}"))
        ),
        st.sampled_from((None, "*", "a*", "{*")),
    )
)  # fmt: skip
_EXPIRIES: Final = st.tuples(st.builds(steps.Expire, _CLIENTS, _ANY_KEY))
_CALLS: Final = st.builds(steps.Call, _CLIENTS, _words()).map(lambda call: (call,))
_PARTS: Final = (
    *[_CALLS] * 12, _pipelines(), _pipelines(), _blocks(), _blocks(), _LOCKS, _LOCKS, _conversations(),
    _SCRIPTS, _SCRIPTS, _EVALS, _SCANS, _EXPIRIES,
)  # fmt: skip
#: What most programs begin with: something of every type.
_FILLING: Final = (
    ("SET", "{string}", "10"), ("RPUSH", "{list}", "a", "b", "c"), ("HSET", "{hash}", "f", "1", "g", "x"),
    ("SADD", "{set}", "a", "b"), ("ZADD", "{zset}", "1", "a", "2", "b", "2", "c"),
    ("XADD", "{stream}", "1-1", "f", "v"), ("XGROUP", "CREATE", "{stream}", "grp", "0"),
)  # fmt: skip


@st.composite
def command_programs(draw: st.DrawFn) -> CommandProgram:
    """Any program."""
    filled = [words for words in _FILLING if draw(st.integers(0, 3))]
    count = draw(st.integers(_PARTS_MIN, _PARTS_MAX))
    drawn = [draw(draw(st.sampled_from(_PARTS))) for _ in range(count)]
    return CommandProgram(
        steps=(*(steps.Call(0, words) for words in filled), *(step for part in drawn for step in part)),
        clients=tuple(draw(st.lists(st.sampled_from((2, 3)), min_size=2, max_size=3))),
    )
