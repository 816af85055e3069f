"""What a client sends, as the other side reads it: py-amqp's own bytes, without sending them.

The main names are :func:`carried`, for the arguments of a method, and :func:`carried_properties` and
:func:`carried_body`, for a message.  What py-amqp refuses is raised by its own code (amqp/serialization.py), so class
and text are its own.  A message of the usual kind does not become bytes: that it would come out as it is can be seen
faster.  Left out: a text in a property that is no UTF-8 is refused here, not where it is read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import amqp
from amqp.serialization import decode_properties_basic, dumps, loads

__all__ = ["carried", "carried_body", "carried_keys", "carried_name", "carried_properties", "carried_tag"]

_HEADERS: Final = "application_headers"
_SHORT_TEXT_MAX: Final = 255
_OCTET_MAX: Final = 255
_INTEGER_MAX: Final = 2**63 - 1
_PLAIN: Final = (str, type(None), bool)
_PROPERTIES: Final = tuple(amqp.Message.PROPERTIES)


def carried(signature: str, *values: Any) -> list[Any]:
    """Return the arguments of a method as the server reads them.

    ``signature`` says how each is written, as the ``argsig`` of py-amqp's methods does.
    """
    result: list[Any] = loads(signature, dumps(signature, values), 0)[0]
    return result


def carried_name(name: Any) -> str:
    """Return a name as the server reads it."""
    return str(name if _is_plain_text(name) else carried("s", name)[0])


def carried_keys(exchange: Any, routing_key: Any) -> tuple[str, str]:
    """Return the exchange and the routing key of a publish as the server reads them."""
    if _is_plain_text(exchange) and _is_plain_text(routing_key):
        return exchange, routing_key
    first, second = carried("ss", exchange, routing_key)
    return first, second


def carried_tag(delivery_tag: Any) -> int:
    """Return a delivery tag as the server reads it."""
    if type(delivery_tag) is int and 0 <= delivery_tag <= _INTEGER_MAX:
        return delivery_tag
    return int(carried("L", delivery_tag)[0])


def carried_body(message: amqp.Message) -> bytes | str:
    """Return the body of a message: text only where it is sure to come out as text (amqp/method_framing.py)."""
    body = message.body
    if isinstance(body, str):
        encoding = message.properties.setdefault("content_encoding", "utf-8")
        encoded = body.encode(encoding)
        return body if encoding == "utf-8" else encoded
    size = len(body)
    if type(body) is not bytes and size:
        body = struct.pack(f"{size}s", body)
    return body or b""


def carried_properties(message: amqp.Message) -> tuple[dict[str, Any], bool]:
    """Return the properties of a message as its receiver reads them, and whether the server can read them.

    They are copies, and only of those that AMQP knows.
    """
    given = message.properties
    result: dict[str, Any] = {}
    for name, kind in _PROPERTIES:
        value = given.get(name)
        if value is None:
            continue
        if kind == "s":
            is_plain = type(value) is str and len(value) <= _SHORT_TEXT_MAX and value.isascii()
        elif kind == "o":
            is_plain = type(value) is int and 0 <= value <= _OCTET_MAX
        else:
            value = _copy_of_plain(value) if name == _HEADERS else None
            is_plain = value is not None
        if not is_plain:
            properties: dict[str, Any] = decode_properties_basic(message._serialize_properties(), 0)[0]
            return properties, _is_readable(properties.get(_HEADERS))
        result[name] = value
    return result, True


def _is_plain_text(value: Any) -> bool:
    return type(value) is str and len(value) <= _SHORT_TEXT_MAX and value.isascii()


def _copy_of_plain(value: Any) -> Any:
    """Return a copy of a table or an array that comes out as it went in, or None if that is not sure."""
    kind = type(value)
    if kind is dict:
        return _copy_of_plain_table(value) if value else {}
    if kind is not list:
        return None
    result = value[:]
    for place, item in enumerate(value):
        if type(item) not in _PLAIN and not _is_plain_number(item):
            copy = result[place] = _copy_of_plain(item)
            if copy is None:
                return None
    return result


def _copy_of_plain_table(table: dict[Any, Any]) -> dict[Any, Any] | None:
    try:
        keys = "".join(table)
    except TypeError:
        return None
    # All of them together are short enough, which is seen faster than that each is.
    are_short = len(keys) <= _SHORT_TEXT_MAX and keys.isascii()
    if not are_short and not all(_is_plain_text(key) for key in table):
        return None
    result = table.copy()
    for key, value in table.items():
        if type(value) not in _PLAIN and not _is_plain_number(value):
            copy = result[key] = _copy_of_plain(value)
            if copy is None:
                return None
    return result


def _is_plain_number(value: Any) -> bool:
    if type(value) is int:
        return bool(-_INTEGER_MAX <= value <= _INTEGER_MAX)
    return type(value) is float and math.isfinite(value)


def _is_readable(value: Any) -> bool:
    """Whether RabbitMQ can read a header: Erlang has no number that is not finite (measured on 3.10)."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_is_readable(item) for item in value.values())
    return all(_is_readable(item) for item in value) if isinstance(value, list) else True
