"""Arguments that a real Redis 7.0 refuses otherwise than fakeredis: checked before the command runs.

The main name is :data:`REFUSALS`: by command, a function of the database and the arguments that raises what the
server says (the names of its functions are in the docstrings); and :data:`COUNTS`, how many arguments a command takes.
Most commands read their options before they look at the key, so that a syntax error wins over a wrong type.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import Any, Final

from fakeredis import _msgs as messages
from fakeredis._helpers import SimpleError
from fakeredis.model import ZSet

from tqsim.broker.redis.reading import (
    SYNTAX,
    Arguments,
    Refusal,
    floating,
    integer,
    option_of,
    read_timeout,
    refuse_count,
    require_type,
)
from tqsim.broker.redis.stream_refusals import STREAM_REFUSALS
from tqsim.broker.redis.zset_refusals import ZSET_REFUSALS

__all__ = ["COUNTS", "PAIRED", "REFUSALS", "unpaired"]

_FEW_KEYS: Final = "ERR numkeys should be greater than 0"
_FEW_ELEMENTS: Final = "ERR count should be greater than 0"
_TIMES: Final = (b"EX", b"PX", b"EXAT", b"PXAT")
_DIGEST: Final = 40
_ENDS: Final = (b"LEFT", b"RIGHT")


def _timed(at: int, database: Any, arguments: Arguments) -> None:
    read_timeout(arguments[at])


def _mpop(at: int, ends: tuple[bytes, bytes], kind: type, database: Any, arguments: Arguments) -> None:
    """``lmpopGenericCommand`` and ``zmpopGenericCommand``."""
    count = integer(arguments[at], _FEW_KEYS, 1)
    rest = arguments[at + 1 + count :]
    if not rest or option_of(rest.pop(0)) not in ends:
        raise SimpleError(SYNTAX)
    is_counted = False
    while rest:
        if option_of(rest.pop(0)) != b"COUNT" or is_counted or not rest:
            raise SimpleError(SYNTAX)
        integer(rest.pop(0), _FEW_ELEMENTS, 1)
        is_counted = True
    if at:
        read_timeout(arguments[0])
    for key in arguments[at + 1 : at + 1 + count]:
        if require_type(database, key, kind) is not None:
            return


def _lmove(database: Any, arguments: Arguments) -> None:
    if option_of(arguments[2]) not in _ENDS or option_of(arguments[3]) not in _ENDS:
        raise SimpleError(SYNTAX)
    if len(arguments) == 5:
        read_timeout(arguments[4])


def _lpos(database: Any, arguments: Arguments) -> None:
    """``lposCommand``."""
    rest = arguments[2:]
    while rest:
        if option_of(rest.pop(0)) not in (b"RANK", b"COUNT", b"MAXLEN") or not rest:
            raise SimpleError(SYNTAX)
        rest.pop(0)


def _bitpos(database: Any, arguments: Arguments) -> None:
    if integer(arguments[1]) not in (0, 1):
        raise SimpleError("ERR The bit argument must be 1 or 0.")


def _lindex(database: Any, arguments: Arguments) -> None:
    require_type(database, arguments[0], list)


def _sintercard(database: Any, arguments: Arguments) -> None:
    """``sinterCardCommand``."""
    count = integer(arguments[0], _FEW_KEYS, 1)
    if count > len(arguments) - 1:
        raise SimpleError("ERR Number of keys can't be greater than number of args")
    rest = arguments[1 + count :]
    while rest:
        if option_of(rest.pop(0)) != b"LIMIT" or not rest:
            raise SimpleError(SYNTAX)
        integer(rest.pop(0), "ERR LIMIT can't be negative", 0)


def _hincrbyfloat(database: Any, arguments: Arguments) -> None:
    """``hincrbyfloatCommand``."""
    increment = floating(arguments[2], "ERR value is not a valid float")
    if increment in (float("inf"), float("-inf")):
        raise SimpleError("ERR value is NaN or Infinity")
    item = database.get(arguments[0])
    if item is not None and hasattr(item.value, "get") and not isinstance(item.value, ZSet):
        held = item.value.get(arguments[1])
        if held is not None:
            floating(held, "ERR hash value is not a float")


def _getex(database: Any, arguments: Arguments) -> None:
    """``getexCommand``, whose time is looked at when there is something to get."""
    options = arguments[1:]
    is_one = len(options) == 1 and option_of(options[0]) == b"PERSIST"
    is_two = len(options) == 2 and option_of(options[0]) in _TIMES
    if options and not (is_one or is_two):
        raise SimpleError(SYNTAX)


def _expire(database: Any, arguments: Arguments) -> None:
    """``parseExtendedExpireArgumentsOrReply``."""
    flags = set()
    for text in arguments[2:]:
        option = option_of(text)
        if option not in (b"NX", b"XX", b"GT", b"LT"):
            raise SimpleError(f"ERR Unsupported option {text.decode(errors='replace')}")
        flags.add(option)
    if b"NX" in flags and len(flags) > 1:
        raise SimpleError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if {b"GT", b"LT"} <= flags:
        raise SimpleError("ERR GT and LT options at the same time are not compatible")


def _hincrby(database: Any, arguments: Arguments) -> None:
    integer(arguments[2])


def _string_first(database: Any, arguments: Arguments) -> None:
    require_type(database, arguments[0], bytes)


def _linsert(database: Any, arguments: Arguments) -> None:
    if option_of(arguments[1]) not in (b"BEFORE", b"AFTER"):
        raise SimpleError(SYNTAX)


def _setrange(database: Any, arguments: Arguments) -> None:
    if integer(arguments[1]) < 0:
        raise SimpleError("ERR offset is out of range")


def _set(database: Any, arguments: Arguments) -> None:
    """``parseExtendedStringArgumentsOrReply``."""
    rest = arguments[2:]
    flags = set()
    while rest:
        option = option_of(rest.pop(0))
        if option in _TIMES and rest:
            rest.pop(0)
            option = b"KEEPTTL"  # there may be one of these
        elif option not in (b"NX", b"XX", b"GET", b"KEEPTTL"):
            raise SimpleError(SYNTAX)
        if option == b"KEEPTTL" and option in flags:
            raise SimpleError(SYNTAX)
        flags.add(option)
    if {b"NX", b"XX"} <= flags:
        raise SimpleError(SYNTAX)


def _evalsha(database: Any, arguments: Arguments) -> None:
    """``evalShaCommand``: what is no digest is no script."""
    if len(arguments[0]) != _DIGEST:
        raise SimpleError(messages.NO_MATCHING_SCRIPT_MSG)


def _sort(database: Any, arguments: Arguments) -> None:
    """``sortCommandGeneric``."""
    rest = arguments[1:]
    while rest:
        option = option_of(rest.pop(0))
        if option in (b"ASC", b"DESC", b"ALPHA"):
            continue
        if option == b"LIMIT" and len(rest) >= 2:
            integer(rest.pop(0))
            integer(rest.pop(0))
        elif option in (b"STORE", b"BY", b"GET") and rest:
            rest.pop(0)
        else:
            raise SimpleError(SYNTAX)


def unpaired(name: str, database: Any, arguments: Arguments) -> None:
    """Refuse arguments that are no pairs."""
    raise SimpleError(SYNTAX) if name.endswith("scan") else refuse_count(name)


def _pop(name: str, database: Any, arguments: Arguments) -> None:
    """``popGenericCommand``, which is queued with more arguments than it takes."""
    if len(arguments) > 2:
        raise refuse_count(name)


def _select(database: Any, arguments: Arguments) -> None:
    integer(arguments[0])


def _swapdb(database: Any, arguments: Arguments) -> None:
    for text, which in zip(arguments, ("first", "second"), strict=True):
        integer(text, f"ERR invalid {which} DB index")


def _scan(database: Any, arguments: Arguments) -> None:
    if not arguments[0].isdigit():
        raise SimpleError("ERR invalid cursor")


REFUSALS: Final[MappingProxyType[str, Refusal]] = MappingProxyType(
    {
        **STREAM_REFUSALS,
        **ZSET_REFUSALS,
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
        "zmpop": partial(_mpop, 0, (b"MIN", b"MAX"), ZSet),
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
