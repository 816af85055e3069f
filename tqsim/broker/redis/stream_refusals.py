"""What a real Redis 7.0 says of arguments of stream commands that it does not take: :data:`STREAM_REFUSALS`.

See :mod:`refusals`.
"""

from __future__ import annotations

import itertools
import re
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from fakeredis._helpers import SimpleError
from fakeredis.model import XStream

from tqsim.broker.redis.reading import SYNTAX, Arguments, Refusal, integer, option_of, require_type

__all__ = ["STREAM_REFUSALS"]

_NO_ID: Final = "ERR Invalid stream ID specified as stream command argument"
_ID: Final = re.compile(rb"(\d{1,20})(?:-(\d{1,20}))?")
_ID_MAX: Final = 2**64
_UNBALANCED: Final = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."


def _identify(texts: Arguments) -> None:
    if not all(map(_is_id, texts)):
        raise SimpleError(_NO_ID)


def _is_id(text: bytes) -> bool:
    """``streamParseStrictIDOrReply``."""
    found = _ID.fullmatch(text)
    return found is not None and all(int(part) < _ID_MAX for part in found.groups(b"0"))


def _group(database: Any, key: bytes, name: bytes) -> Any:
    item = require_type(database, key, XStream)
    return None if item is None else item.value.group_get(name)


def _no_group(key: bytes, name: bytes) -> SimpleError:
    return SimpleError(
        f"NOGROUP No such key '{key.decode(errors='replace')}' or consumer group '{name.decode(errors='replace')}'"
    )


def _xack(database: Any, arguments: Arguments) -> None:
    if _group(database, arguments[0], arguments[1]) is not None:
        _identify(arguments[2:])


def _xclaim(database: Any, arguments: Arguments) -> None:
    """``xclaimCommand``."""
    key, group = arguments[:2]
    if _group(database, key, group) is None:
        raise _no_group(key, group)
    integer(arguments[3], "ERR Invalid min-idle-time argument for XCLAIM")
    rest = list(itertools.dropwhile(_is_id, arguments[4:]))
    while rest:
        option = rest.pop(0)
        if option_of(option) in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID") and rest:
            rest.pop(0)
        elif option_of(option) not in (b"FORCE", b"JUSTID"):
            raise SimpleError(f"ERR Unrecognized XCLAIM option '{option.decode(errors='replace')}'")


def _xautoclaim(database: Any, arguments: Arguments) -> None:
    """``xautoclaimCommand``."""
    integer(arguments[3], "ERR Invalid min-idle-time argument for XAUTOCLAIM")
    _identify(arguments[4:5])
    rest = arguments[5:]
    while rest:
        option = option_of(rest.pop(0))
        if option == b"COUNT" and rest:
            integer(rest.pop(0), "ERR COUNT must be > 0", 1)
        elif option != b"JUSTID":
            raise SimpleError(SYNTAX)


def _xpending(database: Any, arguments: Arguments) -> None:
    """``xpendingCommand``."""
    if len(arguments) != 2 and not 5 <= len(arguments) <= 8:
        raise SimpleError(SYNTAX)


def _xgroup(name: str, switches: tuple[bytes, ...], database: Any, arguments: Arguments) -> None:
    """``xgroupCommand``."""
    rest = arguments[3:]
    while rest:
        option = option_of(rest.pop(0))
        if option == b"ENTRIESREAD" and rest:
            rest.pop(0)
        elif option not in switches:
            raise SimpleError(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try XGROUP HELP.")


def _xread(is_group: bool, database: Any, arguments: Arguments) -> None:
    """``xreadCommand``."""
    rest, group = list(arguments), None
    while rest:
        option = option_of(rest.pop(0))
        if option == b"BLOCK" and rest:
            if integer(rest.pop(0), "ERR timeout is not an integer or out of range") < 0:
                raise SimpleError("ERR timeout is negative")
        elif option == b"COUNT" and rest:
            integer(rest.pop(0))
        elif is_group and option == b"GROUP" and len(rest) >= 2:
            group = rest.pop(0)
            rest.pop(0)
        elif option == b"STREAMS" and rest:
            break
        elif not (is_group and option == b"NOACK"):
            raise SimpleError(SYNTAX)
    if not rest:
        raise SimpleError(SYNTAX)
    if len(rest) % 2:
        raise SimpleError(_UNBALANCED)
    if is_group and group is None:
        raise SimpleError("ERR Missing GROUP option for XREADGROUP")
    for key in rest[: len(rest) // 2]:
        if group is not None and _group(database, key, group) is None:
            error = _no_group(key, group)
            error.value += " in XREADGROUP with GROUP option"
            raise error
        require_type(database, key, XStream)


STREAM_REFUSALS: Final[MappingProxyType[str, Refusal]] = MappingProxyType(
    {
        "xack": _xack,
        "xautoclaim": _xautoclaim,
        "xclaim": _xclaim,
        "xgroup create": partial(_xgroup, "CREATE", (b"MKSTREAM",)),
        "xgroup setid": partial(_xgroup, "SETID", ()),
        "xpending": _xpending,
        "xread": partial(_xread, False),
        "xreadgroup": partial(_xread, True),
    }
)
