"""What a value becomes on its way through AMQP: copies of tables, arrays and bodies.

The main name is :func:`copy_table`.  Publisher, broker and receiver must never share a mutable
object.  The conversions are those of py-amqp (amqp/serialization.py, ``_write_item`` and
``_read_item``): a tuple arrives as a list, a value without a field type is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from amqp.exceptions import FrameSyntaxError

__all__ = ["copy_table", "decode_body"]

_IMMUTABLE: Final = (str, int, float, bool, type(None), bytes, Decimal, datetime)
_ILLEGAL: Final = "Table type {0!r} for key {1!r} not handled by amqp. [value: {2!r}]"
_SUPPORTED_INTEGER_BITS: Final = 64


def copy_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``table`` as the other side of a connection reads it.

    Raises ``amqp.exceptions.FrameSyntaxError`` for a value that AMQP cannot carry.
    """
    result = dict(table)
    for key, value in result.items():
        kind = type(value)
        if kind is not str and value is not None and kind is not int:
            result[key] = _copy(value, key)
    return result


def _copy(value: Any, key: str) -> Any:
    if isinstance(value, _IMMUTABLE):
        return value
    # Before the test for a mapping in general, which goes through the slow check of abstract classes.
    if isinstance(value, (list, tuple)):
        return [_copy(item, key) for item in value]
    if isinstance(value, (dict, Mapping)):
        return copy_table(value)
    raise FrameSyntaxError(_ILLEGAL.format(type(value), key, value))


def decode_body(body: bytes | str, encoding: Any) -> bytes | str:
    """Return a body as py-amqp hands it out: text where the content encoding says how.

    Source: amqp/abstract_channel.py, ``dispatch_method`` (``auto_decode``).
    """
    if isinstance(body, bytes) and encoding:
        try:
            return body.decode(encoding)
        except (LookupError, UnicodeDecodeError, TypeError):
            return body
    return body
