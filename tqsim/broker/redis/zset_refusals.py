"""What a real Redis 7.0 says of arguments of sorted-set commands that it does not take: :data:`ZSET_REFUSALS`.

See :mod:`refusals`.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import Any, Final

from fakeredis._helpers import SimpleError
from fakeredis.model import ExpiringMembersSet, ZSet

from tqsim.broker.redis.reading import SYNTAX, Arguments, Refusal, floating, integer, option_of, require_type

__all__ = ["ZSET_REFUSALS"]

_NO_RANGE: Final = "ERR min or max is not a float"
_NO_LEXICAL_RANGE: Final = "ERR min or max not valid string range item"
_NO_COUNT: Final = "ERR value is out of range, must be positive"


def _score_range(low: bytes, high: bytes) -> None:
    """``zslParseRange``."""
    for text in (low, high):
        bare = text.removeprefix(b"(")
        if bare:
            floating(bare, _NO_RANGE)


def _lexical_range(low: bytes, high: bytes) -> None:
    """``zslParseLexRange``."""
    for text in (low, high):
        if text not in (b"-", b"+") and text[:1] not in (b"(", b"["):
            raise SimpleError(_NO_LEXICAL_RANGE)


def _rank_range(low: bytes, high: bytes) -> None:
    for text in (low, high):
        integer(text)


_RANGES: Final = MappingProxyType({"rank": _rank_range, "score": _score_range, "lex": _lexical_range})


def _zrange(kind: str | None, at: int, database: Any, arguments: Arguments) -> None:
    """``zrangeGenericCommand``; ``kind`` is None where the arguments say it, ``at`` where the range begins."""
    low, high, *options = arguments[at : at + 2] + arguments[at + 2 :]
    is_store = at == 2
    is_limited = has_scores = False
    found = kind
    while options:
        option = option_of(options.pop(0))
        if option == b"WITHSCORES" and not is_store:
            has_scores = True
        elif option == b"LIMIT" and len(options) >= 2:
            integer(options.pop(0))
            is_limited = integer(options.pop(0)) != -1
        elif kind is None and option in (b"BYSCORE", b"BYLEX"):
            found = "score" if option == b"BYSCORE" else "lex"
        elif kind is not None or option != b"REV":
            raise SimpleError(SYNTAX)
    if is_limited and found in (None, "rank"):
        raise SimpleError("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    if has_scores and found == "lex":
        raise SimpleError("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
    _RANGES[found or "rank"](low, high)


def _zcount(kind: str, database: Any, arguments: Arguments) -> None:
    _RANGES[kind](*arguments[1:3])


def _zadd(database: Any, arguments: Arguments) -> None:
    """``zaddGenericCommand``."""
    rest = arguments[1:]
    flags = set()
    while rest and option_of(rest[0]) in (b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"):
        flags.add(option_of(rest.pop(0)))
    if not rest or len(rest) % 2:
        raise SimpleError(SYNTAX)
    if {b"NX", b"XX"} <= flags:
        raise SimpleError("ERR XX and NX options at the same time are not compatible")
    if len(flags & {b"NX", b"GT", b"LT"}) > 1:
        raise SimpleError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in flags and len(rest) > 2:
        raise SimpleError("ERR INCR option supports a single increment-element pair")
    for score in rest[::2]:
        floating(score, "ERR value is not a valid float")


def _zpop(database: Any, arguments: Arguments) -> None:
    if len(arguments) > 2:
        raise SimpleError(SYNTAX)
    if len(arguments) == 2:
        integer(arguments[1], _NO_COUNT, 0)


def _zcombine(at: int, name: str, database: Any, arguments: Arguments) -> None:
    """``zunionInterDiffGenericCommand``: the keys come before the options."""
    count = integer(arguments[at])
    if count < 1:
        raise SimpleError(f"ERR at least 1 input key is needed for '{name}' command")
    if count > len(arguments) - at - 1:
        raise SimpleError(SYNTAX)
    for key in arguments[at + 1 : at + 1 + count]:
        require_type(database, key, ZSet, ExpiringMembersSet)


ZSET_REFUSALS: Final[MappingProxyType[str, Refusal]] = MappingProxyType(
    {
        "zadd": _zadd,
        "zcount": partial(_zcount, "score"),
        "zlexcount": partial(_zcount, "lex"),
        **dict.fromkeys(("zpopmin", "zpopmax"), _zpop),
        **{name: partial(_zcombine, 0, name) for name in ("zdiff", "zinter", "zunion")},
        **{name: partial(_zcombine, 1, name) for name in ("zdiffstore", "zinterstore", "zunionstore")},
        "zrange": partial(_zrange, None, 1),
        "zrangestore": partial(_zrange, None, 2),
        **dict.fromkeys(("zrangebyscore", "zrevrangebyscore"), partial(_zrange, "score", 1)),
        **dict.fromkeys(("zrangebylex", "zrevrangebylex"), partial(_zrange, "lex", 1)),
        "zrevrange": partial(_zrange, "rank", 1),
    }
)
