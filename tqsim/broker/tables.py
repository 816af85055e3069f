"""What a received message hands out: copies of tables and arrays, and bodies as text.

The main name is :func:`copy_table`.  Publisher, broker and receiver must never share a mutable object.  What may be
sent at all, and as what it arrives, is in :mod:`tqsim.broker.content`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["copy_table", "decode_body"]

# A message in a broker has no others (tqsim.broker.content).
_CONTAINERS: Final = (dict, list, tuple)


def copy_table(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a table down to its innermost values."""
    result = dict(table)
    for key, value in result.items():
        if type(value) in _CONTAINERS:
            result[key] = _copy(value)
    return result


def _copy(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_copy(item) if type(item) in _CONTAINERS else item for item in value]
    return copy_table(value)


def decode_body(body: bytes | str, encoding: Any) -> bytes | str:
    """Return a body as py-amqp hands it out: text where the content encoding says how, and if there is none.

    Source: amqp/abstract_channel.py, ``dispatch_method`` (``auto_decode``).
    """
    if not body:
        return ""  # that of amqp.Message, because no frame brings another
    if isinstance(body, bytes) and encoding:
        try:
            return body.decode(encoding)
        except (LookupError, UnicodeDecodeError, TypeError):
            return body
    return body
