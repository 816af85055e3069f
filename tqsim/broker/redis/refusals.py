"""Arguments that a real Redis 7.0 refuses otherwise than fakeredis: checked before the command runs.

The main name is :data:`REFUSALS`: by command, a function of the database and the arguments that raises what the
server says (the names of its functions are in the comments); and :data:`COUNTS`, how many arguments a command takes.
Most of them parse their options before they look at the key, so that a syntax error wins over a wrong type.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from fakeredis import _msgs as messages
from fakeredis._helpers import SimpleError
from fakeredis.model import ExpiringMembersSet, XStream, ZSet

__all__ = ["COUNTS", "PAIRED", "REFUSALS", "read_timeout", "refuse_count", "unpaired"]

_INTEGER: Final = re.compile(rb"0|-?[1-9]\d*")
_DIGITS_MAX: Final = 9
_INTEGER_MAX: Final = 2**63
_SYNTAX: Final = "ERR syntax error"
_NO_INTEGER: Final = "ERR value is not an integer or out of range"
_NO_RANGE: Final = "ERR min or max is not a float"
_NO_LEXICAL_RANGE: Final = "ERR min or max not valid string range item"
_NO_COUNT: Final = "ERR value is out of range, must be positive"
_FEW_KEYS: Final = "ERR numkeys should be greater than 0"
_FEW_ELEMENTS: Final = "ERR count should be greater than 0"
_NO_ID: Final = "ERR Invalid stream ID specified as stream command argument"
_ID: Final = re.compile(rb"(\d{1,20})(?:-(\d{1,20}))?")
_ID_MAX: Final = 2**64
_UNBALANCED: Final = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
_TIMES: Final = (b"EX", b"PX", b"EXAT", b"PXAT")
_DIGEST: Final = 40
_ENDS: Final = (b"LEFT", b"RIGHT")

_Arguments = list[bytes]
_Refusal = Callable[[Any, _Arguments], None]


def _integer(text: bytes, complaint: str = _NO_INTEGER, low: int = -_INTEGER_MAX) -> int:
    """``getLongFromObjectOrReply``: a number of 64 bits, with neither spaces nor zeros before it."""
    if not _INTEGER.fullmatch(text) or not max(low, -_INTEGER_MAX) <= int(text) < _INTEGER_MAX:
        raise SimpleError(complaint)
    return int(text)


def _float(text: bytes, complaint: str) -> float:
    try:
        number = float(text) if text and not text[:1].isspace() and b"_" not in text else float("nan")
    except ValueError:
        number = float("nan")
    if number != number:
        raise SimpleError(complaint)
    return number


def read_timeout(text: bytes) -> float:
    """``getTimeoutFromObjectOrReply``, in seconds."""
    if text.isdigit() and len(text) <= _DIGITS_MAX:
        return float(text)
    seconds = _float(text, "ERR timeout is not a float or out of range")
    if seconds < 0 or seconds * 1000 >= _INTEGER_MAX:  # which overflows
        raise SimpleError("ERR timeout is negative")
    return seconds


def _timed(at: int, database: Any, arguments: _Arguments) -> None:
    read_timeout(arguments[at])


def _option(text: bytes) -> bytes:
    return text.upper()


def _require_type(database: Any, key: bytes, *kinds: type) -> Any:
    item = database.get(key)
    if item is not None and not isinstance(item.value, kinds):
        raise SimpleError(messages.WRONGTYPE_MSG)
    return item


# -- sorted sets ------------------------------------------------------------------------------


def _score_range(low: bytes, high: bytes) -> None:
    """``zslParseRange``."""
    for text in (low, high):
        bare = text.removeprefix(b"(")
        if bare:
            _float(bare, _NO_RANGE)


def _lexical_range(low: bytes, high: bytes) -> None:
    """``zslParseLexRange``."""
    for text in (low, high):
        if text not in (b"-", b"+") and text[:1] not in (b"(", b"["):
            raise SimpleError(_NO_LEXICAL_RANGE)


def _rank_range(low: bytes, high: bytes) -> None:
    for text in (low, high):
        _integer(text)


_RANGES: Final = MappingProxyType({"rank": _rank_range, "score": _score_range, "lex": _lexical_range})


def _zrange(kind: str | None, at: int, database: Any, arguments: _Arguments) -> None:
    """``zrangeGenericCommand``; ``kind`` is None where the arguments say it, ``at`` where the range begins."""
    low, high, *options = arguments[at : at + 2] + arguments[at + 2 :]
    is_store = at == 2
    is_limited = has_scores = False
    found = kind
    while options:
        option = _option(options.pop(0))
        if option == b"WITHSCORES" and not is_store:
            has_scores = True
        elif option == b"LIMIT" and len(options) >= 2:
            _integer(options.pop(0))
            is_limited = _integer(options.pop(0)) != -1
        elif kind is None and option in (b"BYSCORE", b"BYLEX"):
            found = "score" if option == b"BYSCORE" else "lex"
        elif kind is not None or option != b"REV":
            raise SimpleError(_SYNTAX)
    if is_limited and found in (None, "rank"):
        raise SimpleError("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    if has_scores and found == "lex":
        raise SimpleError("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
    _RANGES[found or "rank"](low, high)


def _zcount(kind: str, database: Any, arguments: _Arguments) -> None:
    _RANGES[kind](*arguments[1:3])


def _zadd(database: Any, arguments: _Arguments) -> None:
    """``zaddGenericCommand``."""
    rest = arguments[1:]
    flags = set()
    while rest and _option(rest[0]) in (b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"):
        flags.add(_option(rest.pop(0)))
    if not rest or len(rest) % 2:
        raise SimpleError(_SYNTAX)
    if {b"NX", b"XX"} <= flags:
        raise SimpleError("ERR XX and NX options at the same time are not compatible")
    if len(flags & {b"NX", b"GT", b"LT"}) > 1:
        raise SimpleError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in flags and len(rest) > 2:
        raise SimpleError("ERR INCR option supports a single increment-element pair")
    for score in rest[::2]:
        _float(score, "ERR value is not a valid float")


def _zpop(database: Any, arguments: _Arguments) -> None:
    if len(arguments) > 2:
        raise SimpleError(_SYNTAX)
    if len(arguments) == 2:
        _integer(arguments[1], _NO_COUNT, 0)


def _zcombine(at: int, name: str, database: Any, arguments: _Arguments) -> None:
    """``zunionInterDiffGenericCommand``: the keys come before the options."""
    count = _integer(arguments[at])
    if count < 1:
        raise SimpleError(f"ERR at least 1 input key is needed for '{name}' command")
    if count > len(arguments) - at - 1:
        raise SimpleError(_SYNTAX)
    for key in arguments[at + 1 : at + 1 + count]:
        _require_type(database, key, ZSet, ExpiringMembersSet)


# -- lists, sets, hashes, strings -------------------------------------------------------------


def _mpop(at: int, ends: tuple[bytes, bytes], kind: type, database: Any, arguments: _Arguments) -> None:
    """``lmpopGenericCommand`` and ``zmpopGenericCommand``."""
    count = _integer(arguments[at], _FEW_KEYS, 1)
    rest = arguments[at + 1 + count :]
    if not rest or _option(rest.pop(0)) not in ends:
        raise SimpleError(_SYNTAX)
    is_counted = False
    while rest:
        if _option(rest.pop(0)) != b"COUNT" or is_counted or not rest:
            raise SimpleError(_SYNTAX)
        _integer(rest.pop(0), _FEW_ELEMENTS, 1)
        is_counted = True
    if at:
        read_timeout(arguments[0])
    for key in arguments[at + 1 : at + 1 + count]:
        if _require_type(database, key, kind) is not None:
            return


def _lmove(database: Any, arguments: _Arguments) -> None:
    if _option(arguments[2]) not in _ENDS or _option(arguments[3]) not in _ENDS:
        raise SimpleError(_SYNTAX)
    if len(arguments) == 5:
        read_timeout(arguments[4])


def _lpos(database: Any, arguments: _Arguments) -> None:
    """``lposCommand``."""
    rest = arguments[2:]
    while rest:
        if _option(rest.pop(0)) not in (b"RANK", b"COUNT", b"MAXLEN") or not rest:
            raise SimpleError(_SYNTAX)
        rest.pop(0)


def _bitpos(database: Any, arguments: _Arguments) -> None:
    if _integer(arguments[1]) not in (0, 1):
        raise SimpleError("ERR The bit argument must be 1 or 0.")


def _lindex(database: Any, arguments: _Arguments) -> None:
    _require_type(database, arguments[0], list)


def _sintercard(database: Any, arguments: _Arguments) -> None:
    """``sinterCardCommand``."""
    count = _integer(arguments[0], _FEW_KEYS, 1)
    if count > len(arguments) - 1:
        raise SimpleError("ERR Number of keys can't be greater than number of args")
    rest = arguments[1 + count :]
    while rest:
        if _option(rest.pop(0)) != b"LIMIT" or not rest:
            raise SimpleError(_SYNTAX)
        _integer(rest.pop(0), "ERR LIMIT can't be negative", 0)


def _hincrbyfloat(database: Any, arguments: _Arguments) -> None:
    """``hincrbyfloatCommand``."""
    increment = _float(arguments[2], "ERR value is not a valid float")
    if increment in (float("inf"), float("-inf")):
        raise SimpleError("ERR value is NaN or Infinity")
    item = database.get(arguments[0])
    if item is not None and hasattr(item.value, "get") and not isinstance(item.value, ZSet):
        held = item.value.get(arguments[1])
        if held is not None:
            _float(held, "ERR hash value is not a float")


def _getex(database: Any, arguments: _Arguments) -> None:
    """``getexCommand``, whose time is looked at when there is something to get."""
    options = arguments[1:]
    is_one = len(options) == 1 and _option(options[0]) == b"PERSIST"
    is_two = len(options) == 2 and _option(options[0]) in _TIMES
    if options and not (is_one or is_two):
        raise SimpleError(_SYNTAX)


def _expire(database: Any, arguments: _Arguments) -> None:
    """``parseExtendedExpireArgumentsOrReply``."""
    flags = set()
    for text in arguments[2:]:
        option = _option(text)
        if option not in (b"NX", b"XX", b"GT", b"LT"):
            raise SimpleError(f"ERR Unsupported option {text.decode(errors='replace')}")
        flags.add(option)
    if b"NX" in flags and len(flags) > 1:
        raise SimpleError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if {b"GT", b"LT"} <= flags:
        raise SimpleError("ERR GT and LT options at the same time are not compatible")


def _hincrby(database: Any, arguments: _Arguments) -> None:
    _integer(arguments[2])


def _string_first(database: Any, arguments: _Arguments) -> None:
    _require_type(database, arguments[0], bytes)


def _linsert(database: Any, arguments: _Arguments) -> None:
    if _option(arguments[1]) not in (b"BEFORE", b"AFTER"):
        raise SimpleError(_SYNTAX)


def _setrange(database: Any, arguments: _Arguments) -> None:
    if _integer(arguments[1]) < 0:
        raise SimpleError("ERR offset is out of range")


def _set(database: Any, arguments: _Arguments) -> None:
    """``parseExtendedStringArgumentsOrReply``."""
    rest = arguments[2:]
    flags = set()
    while rest:
        option = _option(rest.pop(0))
        if option in _TIMES and rest:
            rest.pop(0)
            option = b"KEEPTTL"  # there may be one of these
        elif option not in (b"NX", b"XX", b"GET", b"KEEPTTL"):
            raise SimpleError(_SYNTAX)
        if option == b"KEEPTTL" and option in flags:
            raise SimpleError(_SYNTAX)
        flags.add(option)
    if {b"NX", b"XX"} <= flags:
        raise SimpleError(_SYNTAX)


def _evalsha(database: Any, arguments: _Arguments) -> None:
    """``evalShaCommand``: what is no digest is no script."""
    if len(arguments[0]) != _DIGEST:
        raise SimpleError(messages.NO_MATCHING_SCRIPT_MSG)


def _sort(database: Any, arguments: _Arguments) -> None:
    """``sortCommandGeneric``."""
    rest = arguments[1:]
    while rest:
        option = _option(rest.pop(0))
        if option in (b"ASC", b"DESC", b"ALPHA"):
            continue
        if option == b"LIMIT" and len(rest) >= 2:
            _integer(rest.pop(0))
            _integer(rest.pop(0))
        elif option in (b"STORE", b"BY", b"GET") and rest:
            rest.pop(0)
        else:
            raise SimpleError(_SYNTAX)


# -- streams ----------------------------------------------------------------------------------


def _identify(texts: _Arguments) -> None:
    if not all(map(_is_id, texts)):
        raise SimpleError(_NO_ID)


def _is_id(text: bytes) -> bool:
    """``streamParseStrictIDOrReply``."""
    found = _ID.fullmatch(text)
    return found is not None and all(int(part) < _ID_MAX for part in found.groups(b"0"))


def _group(database: Any, key: bytes, name: bytes) -> Any:
    item = _require_type(database, key, XStream)
    return None if item is None else item.value.group_get(name)


def _no_group(key: bytes, name: bytes) -> SimpleError:
    return SimpleError(
        f"NOGROUP No such key '{key.decode(errors='replace')}' or consumer group '{name.decode(errors='replace')}'"
    )


def _xack(database: Any, arguments: _Arguments) -> None:
    if _group(database, arguments[0], arguments[1]) is not None:
        _identify(arguments[2:])


def _xclaim(database: Any, arguments: _Arguments) -> None:
    """``xclaimCommand``."""
    key, group = arguments[:2]
    if _group(database, key, group) is None:
        raise _no_group(key, group)
    _integer(arguments[3], "ERR Invalid min-idle-time argument for XCLAIM")
    rest = list(itertools.dropwhile(_is_id, arguments[4:]))
    while rest:
        option = rest.pop(0)
        if _option(option) in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID") and rest:
            rest.pop(0)
        elif _option(option) not in (b"FORCE", b"JUSTID"):
            raise SimpleError(f"ERR Unrecognized XCLAIM option '{option.decode(errors='replace')}'")


def _xautoclaim(database: Any, arguments: _Arguments) -> None:
    """``xautoclaimCommand``."""
    _integer(arguments[3], "ERR Invalid min-idle-time argument for XAUTOCLAIM")
    _identify(arguments[4:5])
    rest = arguments[5:]
    while rest:
        option = _option(rest.pop(0))
        if option == b"COUNT" and rest:
            _integer(rest.pop(0), "ERR COUNT must be > 0", 1)
        elif option != b"JUSTID":
            raise SimpleError(_SYNTAX)


def _xpending(database: Any, arguments: _Arguments) -> None:
    """``xpendingCommand``."""
    if len(arguments) != 2 and not 5 <= len(arguments) <= 8:
        raise SimpleError(_SYNTAX)


def _xgroup(name: str, switches: tuple[bytes, ...], database: Any, arguments: _Arguments) -> None:
    """``xgroupCommand``."""
    rest = arguments[3:]
    while rest:
        option = _option(rest.pop(0))
        if option == b"ENTRIESREAD" and rest:
            rest.pop(0)
        elif option not in switches:
            raise SimpleError(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try XGROUP HELP.")


def _xread(is_group: bool, database: Any, arguments: _Arguments) -> None:
    """``xreadCommand``."""
    rest, group = list(arguments), None
    while rest:
        option = _option(rest.pop(0))
        if option == b"BLOCK" and rest:
            if _integer(rest.pop(0), "ERR timeout is not an integer or out of range") < 0:
                raise SimpleError("ERR timeout is negative")
        elif option == b"COUNT" and rest:
            _integer(rest.pop(0))
        elif is_group and option == b"GROUP" and len(rest) >= 2:
            group = rest.pop(0)
            rest.pop(0)
        elif option == b"STREAMS" and rest:
            break
        elif not (is_group and option == b"NOACK"):
            raise SimpleError(_SYNTAX)
    if not rest:
        raise SimpleError(_SYNTAX)
    if len(rest) % 2:
        raise SimpleError(_UNBALANCED)
    if is_group and group is None:
        raise SimpleError("ERR Missing GROUP option for XREADGROUP")
    for key in rest[: len(rest) // 2]:
        if group is not None and _group(database, key, group) is None:
            error = _no_group(key, group)
            error.value += " in XREADGROUP with GROUP option"
            raise error
        _require_type(database, key, XStream)


# -- the server -------------------------------------------------------------------------------


def refuse_count(name: str) -> SimpleError:
    """Return the error of a wrong number of arguments."""
    return SimpleError(f"ERR wrong number of arguments for '{name.replace(' ', '|')}' command")


def unpaired(name: str, database: Any, arguments: _Arguments) -> None:
    """Refuse arguments that are no pairs."""
    raise SimpleError(_SYNTAX) if name.endswith("scan") else refuse_count(name)


def _pop(name: str, database: Any, arguments: _Arguments) -> None:
    """``popGenericCommand``, which is queued with more arguments than it takes."""
    if len(arguments) > 2:
        raise refuse_count(name)


def _select(database: Any, arguments: _Arguments) -> None:
    _integer(arguments[0])


def _swapdb(database: Any, arguments: _Arguments) -> None:
    for text, which in zip(arguments, ("first", "second"), strict=True):
        _integer(text, f"ERR invalid {which} DB index")


def _scan(database: Any, arguments: _Arguments) -> None:
    if not arguments[0].isdigit():
        raise SimpleError("ERR invalid cursor")


REFUSALS: Final[MappingProxyType[str, _Refusal]] = MappingProxyType(
    {
        "bitpos": _bitpos,
        "blmove": _lmove,
        "blmpop": partial(_mpop, 1, _ENDS, list),
        "brpoplpush": partial(_timed, 2),
        "bzmpop": partial(_mpop, 1, (b"MIN", b"MAX"), ZSet),
        **dict.fromkeys(("bzpopmin", "bzpopmax"), partial(_timed, -1)),
        **dict.fromkeys(("expire", "pexpire", "expireat", "pexpireat"), _expire),
        "getex": _getex,
        "evalsha": _evalsha,
        "hincrby": _hincrby,
        "hincrbyfloat": _hincrbyfloat,
        "incrbyfloat": _string_first,
        "lindex": _lindex,
        "linsert": _linsert,
        "lmove": _lmove,
        "lmpop": partial(_mpop, 0, _ENDS, list),
        "lpos": _lpos,
        **{name: partial(_pop, name) for name in ("lpop", "rpop")},
        "scan": _scan,
        "select": _select,
        "set": _set,
        "setrange": _setrange,
        "sintercard": _sintercard,
        "sort": _sort,
        "swapdb": _swapdb,
        "xack": _xack,
        "xautoclaim": _xautoclaim,
        "xclaim": _xclaim,
        "xgroup create": partial(_xgroup, "CREATE", (b"MKSTREAM",)),
        "xgroup setid": partial(_xgroup, "SETID", ()),
        "xpending": _xpending,
        "xread": partial(_xread, False),
        "xreadgroup": partial(_xread, True),
        "zadd": _zadd,
        "zcount": partial(_zcount, "score"),
        "zlexcount": partial(_zcount, "lex"),
        "zmpop": partial(_mpop, 0, (b"MIN", b"MAX"), ZSet),
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
#: Commands that look at whether their arguments are pairs only when they run, and so not while they are queued.
PAIRED: Final = frozenset({"hmset", "hset", "mset", "msetnx", "scan", "sscan", "zscan"})
#: How many arguments there may be, where fakeredis takes more or fewer (COMMAND INFO, ``arity``).
COUNTS: Final = MappingProxyType(
    {
        "bitop": (3, None), "blmpop": (4, None), "bzmpop": (4, None), "geoadd": (4, None), "georadius": (5, None),
        "georadiusbymember": (4, None), "geosearch": (6, None), "geosearchstore": (7, None), "lmpop": (3, None),
        "script exists": (1, None), "script load": (1, 1), "sintercard": (2, None), "xack": (3, None),
        "xadd": (4, None), "xdel": (2, None), "xread": (3, None), "xreadgroup": (6, None), "xtrim": (3, None),
        "zmpop": (3, None), "zrank": (2, 2), "zrevrank": (2, 2),
    }
)  # fmt: skip
