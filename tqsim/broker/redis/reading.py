"""How a Redis server reads arguments: numbers, times, options, and what type a key has to have.

Each raises fakeredis's ``SimpleError`` with the text of Redis 7.0; the names of the server's functions are in the
docstrings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from fakeredis import _msgs as messages
from fakeredis._helpers import SimpleError

__all__ = [
    "SYNTAX", "Arguments", "Refusal", "floating", "integer", "option_of", "read_timeout", "refuse_count",
    "require_type",
]  # fmt: skip

SYNTAX: Final = "ERR syntax error"
_INTEGER: Final = re.compile(rb"0|-?[1-9]\d*")
_DIGITS_MAX: Final = 9
_INTEGER_MAX: Final = 2**63
_NO_INTEGER: Final = "ERR value is not an integer or out of range"

Arguments: TypeAlias = list[bytes]
#: Raises what the server says of the arguments of a command, given its database.
Refusal: TypeAlias = Callable[[Any, Arguments], None]


def integer(text: bytes, complaint: str = _NO_INTEGER, low: int = -_INTEGER_MAX) -> int:
    """``getLongFromObjectOrReply``: a number of 64 bits, with neither spaces nor zeros before it."""
    if not _INTEGER.fullmatch(text) or not max(low, -_INTEGER_MAX) <= int(text) < _INTEGER_MAX:
        raise SimpleError(complaint)
    return int(text)


def floating(text: bytes, complaint: str) -> float:
    """``getDoubleFromObjectOrReply``: anything that C reads as a number, except NaN."""
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
    seconds = floating(text, "ERR timeout is not a float or out of range")
    if seconds < 0 or seconds * 1000 >= _INTEGER_MAX:  # which overflows
        raise SimpleError("ERR timeout is negative")
    return seconds


def option_of(text: bytes) -> bytes:
    """The word of an option, which may be written in small letters too."""
    return text.upper()


def require_type(database: Any, key: bytes, *kinds: type) -> Any:
    """``checkType``: return the item of a key, or ``None``."""
    item = database.get(key)
    if item is not None and not isinstance(item.value, kinds):
        raise SimpleError(messages.WRONGTYPE_MSG)
    return item


def refuse_count(name: str) -> SimpleError:
    """Return the error of a wrong number of arguments."""
    return SimpleError(f"ERR wrong number of arguments for '{name.replace(' ', '|')}' command")
