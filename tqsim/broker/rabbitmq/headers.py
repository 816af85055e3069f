"""Matching of a message's headers against the arguments of a binding.

The main names are :func:`matches_headers` and :func:`check_match`.  Measured on RabbitMQ 3.10.8: a
binding without arguments matches everything, a header that is wanted as None only has to be there, a
whole number equals the same number as a float, and names that begin with ``x-`` count only for
``all-with-x`` and ``any-with-x``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tqsim.broker.rabbitmq.arguments import erlang_text, type_name
from tqsim.broker.rabbitmq.refusals import PRECONDITION_FAILED, refuse

__all__ = ["check_match", "matches_headers"]

_MATCH: Final = "x-match"
_KINDS: Final = ("all", "any", "all-with-x", "any-with-x")
_NUMBERS: Final = ("signedint", "long", "double", "decimal")


def check_match(arguments: Mapping[str, object]) -> None:
    """Raise the 406 :class:`Refusal` for an ``x-match`` that a headers exchange does not know."""
    if _MATCH not in arguments:
        return
    value = arguments[_MATCH]
    if not isinstance(value, str):
        raise refuse(
            PRECONDITION_FAILED,
            f"Invalid x-match field type {type_name(value)} (value {erlang_text(value)}); expected longstr",
        )
    if value not in _KINDS:
        raise refuse(
            PRECONDITION_FAILED,
            f'Invalid x-match field value <<"{value}">>; expected all, any, all-with-x, or any-with-x',
        )


def matches_headers(arguments: Mapping[str, object], headers: Mapping[str, object]) -> bool:
    """Return whether the headers of a message match a binding's arguments."""
    kind = arguments.get(_MATCH, "all")
    with_x = kind in ("all-with-x", "any-with-x")
    wanted = (
        name in headers and (value is None or _is_equal(value, headers[name]))
        for name, value in arguments.items()
        if name != _MATCH and (with_x or not name.startswith("x-"))
    )
    return any(wanted) if kind in ("any", "any-with-x") else all(wanted)


def _is_equal(wanted: object, given: object) -> bool:
    kinds = type_name(wanted), type_name(given)
    return wanted == given and (kinds[0] == kinds[1] or all(kind in _NUMBERS for kind in kinds))
