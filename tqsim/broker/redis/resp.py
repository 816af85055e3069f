"""Redis replies as bytes: RESP2, and RESP3 for a client that asked for it with HELLO.

The main names are :func:`encode` and :func:`encode_push`.  Values are fakeredis's: ``bytes``, numbers,
lists and dictionaries, with its own types for status replies and errors.  Requests are parsed by
fakeredis itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fakeredis._helpers import SimpleError, SimpleString

__all__ = ["NO_LIST", "SetReply", "encode", "encode_push"]

_INTEGER_MAX: Final = (1 << 63) - 1
_INTEGER_MIN: Final = -(1 << 63)


class _NoList:
    """The type of :data:`NO_LIST`."""

    def __bool__(self) -> bool:
        return False


#: A list that is not there: in RESP2 not the same as a string that is not there.
NO_LIST: Final = _NoList()


class SetReply(list[Any]):
    """A reply that is a set in RESP3."""

    __slots__ = ()


def encode(value: Any, protocol: int) -> bytes:
    """Return a reply in the given version of the protocol.

    Raises ``TypeError`` for a value that no reply can have.
    """
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    if value is None:
        return b"_\r\n" if protocol == 3 else b"$-1\r\n"
    if isinstance(value, bool):  # before int, of which it is a kind
        if protocol == 3:
            return b"#t\r\n" if value else b"#f\r\n"
        return b":%d\r\n" % value
    if isinstance(value, int):
        return _integer(value, protocol)
    if isinstance(value, SimpleString):
        return b"+%s\r\n" % value.value
    if isinstance(value, SimpleError):
        return b"-%s\r\n" % _one_line(value.value)
    if value is NO_LIST:
        return b"_\r\n" if protocol == 3 else b"*-1\r\n"
    if isinstance(value, str):
        return encode(value.encode(), protocol)
    if isinstance(value, float):
        return _double(value, protocol)
    return _collection(value, protocol)


def encode_push(values: Iterable[Any], protocol: int) -> bytes:
    """Return what a server sends unasked: a message, or the confirmation of a subscription."""
    items = [encode(value, protocol) for value in values]
    return (b">%d\r\n" if protocol == 3 else b"*%d\r\n") % len(items) + b"".join(items)


def _integer(value: int, protocol: int) -> bytes:
    if _INTEGER_MIN <= value <= _INTEGER_MAX:
        return b":%d\r\n" % value
    return b"(%d\r\n" % value if protocol == 3 else encode(b"%d" % value, protocol)


def _double(value: float, protocol: int) -> bytes:
    text = f"{value:.17g}".encode()
    return b",%s\r\n" % text if protocol == 3 else encode(text, protocol)


def _collection(value: Any, protocol: int) -> bytes:
    if isinstance(value, dict):
        items = [encode(item, protocol) for pair in value.items() for item in pair]
        header = b"%%%d\r\n" % len(value) if protocol == 3 else b"*%d\r\n" % len(items)
        return header + b"".join(items)
    if isinstance(value, (list, tuple)):
        if protocol == 3 and type(value) is SetReply:
            return b"~%d\r\n" % len(value) + b"".join([encode(item, protocol) for item in value])
        return b"*%d\r\n" % len(value) + b"".join([encode(item, protocol) for item in value])
    raise TypeError(f"No Redis reply can carry a {type(value).__name__}: {value!r}")


def _one_line(text: str) -> bytes:
    return text.replace("\r", " ").replace("\n", " ").encode()
