"""The optional arguments of queues and exchanges: their check and their comparison.

The main names are :func:`check_queue_arguments`, for a new queue, and :func:`assert_equivalent`,
for one that exists.  Everything here was measured on RabbitMQ 3.10.8: the texts, the order in
which arguments are looked at, and that an unknown argument such as ``x-foo`` is neither checked nor
compared.  The meaning of the arguments is elsewhere; most are only remembered so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeAlias

from tqsim.broker.rabbitmq.refusals import PRECONDITION_FAILED, Refusal, refuse
from tqsim.errors import UnsupportedError

__all__ = [
    "EXCHANGE_ARGUMENTS",
    "PERIOD_MS_MAX",
    "QUEUE_ARGUMENTS",
    "Table",
    "assert_equivalent",
    "assert_same_flag",
    "check_consumer_arguments",
    "check_queue_arguments",
    "check_quorum_properties",
    "compared_arguments",
    "erlang_text",
    "integer",
    "type_name",
]

Table: TypeAlias = Mapping[str, object]

# The order is the one in which the server reports the first difference.
QUEUE_ARGUMENTS: Final = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-queue-leader-locator",
    "x-queue-master-locator",
    "x-delivery-limit",
)
EXCHANGE_ARGUMENTS: Final = ("alternate-exchange",)

# What each type of queue refuses, being another's.
_REFUSED: Final = {
    "classic": (
        "x-delivery-limit",
        "x-dead-letter-strategy",
        "x-initial-cluster-size",
        "x-max-age",
        "x-max-in-memory-bytes",
        "x-max-in-memory-length",
        "x-queue-leader-locator",
        "x-quorum-initial-group-size",
        "x-stream-max-segment-size-bytes",
    ),
    "quorum": (
        "x-initial-cluster-size",
        "x-max-age",
        "x-max-priority",
        "x-queue-master-locator",
        "x-queue-mode",
        "x-queue-version",
        "x-stream-max-segment-size-bytes",
    ),
}
_INTEGERS: Final = (
    "x-expires",
    "x-message-ttl",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-max-priority",
    "x-queue-version",
    "x-quorum-initial-group-size",
    "x-initial-cluster-size",
    "x-stream-max-segment-size-bytes",
)
_WORDS: Final = {
    "x-overflow": (("drop-head", "reject-publish", "reject-publish-dlx"), "invalid_overflow"),
    "x-queue-mode": (("default", "lazy"), "\"unsupported queue mode '{}'\""),
    "x-queue-type": (("classic", "quorum", "stream"), "\"unsupported queue type '{}'\""),
    "x-dead-letter-strategy": (("at-most-once", "at-least-once"), "invalid_dlx_strategy"),
    "x-queue-leader-locator": (("client-local", "balanced", "random", "least-leaders"), "invalid_queue_locator_arg"),
}
_PRIORITY_MAX: Final = 255
PERIOD_MS_MAX: Final = 315_360_000_000  # ten years; 10**12 is refused, 10**10 is not
_SIGNED_INT_MAX: Final = 2**31


def integer(arguments: Table, name: str) -> int | None:
    """Return an argument that was checked to be a whole number, or None."""
    value = arguments.get(name)
    return value if isinstance(value, int) else None


def check_queue_arguments(queue: str, vhost: str, arguments: Table) -> None:
    """Raise the 406 :class:`Refusal` for an argument that a new queue of its type can not have.

    A stream is an :class:`~tqsim.errors.UnsupportedError`.
    """
    place = f"for queue '{queue}' in vhost '{vhost}'"
    exchange = arguments.get("x-dead-letter-exchange", "")
    if not isinstance(exchange, str):
        raise _failed(
            f"invalid type '{type_name(exchange)}' for arg 'x-dead-letter-exchange' in queue '{queue}' "
            f"in vhost '{vhost}'"
        )
    kind = str(arguments.get("x-queue-type", "classic"))
    refused = _REFUSED.get(kind, ())
    for name in ("x-queue-type", *QUEUE_ARGUMENTS):
        if name in arguments and name not in refused:
            _check_queue_argument(name, arguments, place)
    for name in arguments:
        if name in refused:
            raise _failed(f"invalid arg '{name}' {place} of queue type rabbit_{kind}_queue")
    if kind == "stream":
        raise UnsupportedError(
            f"Queue '{queue}' has x-queue-type 'stream', and streams are not simulated; expected 'classic' or 'quorum'."
        )


def compared_arguments(current: Table) -> tuple[str, ...]:
    """Return which arguments must be the same when a queue is declared again: those that its type can have."""
    refused = _REFUSED.get(str(current.get("x-queue-type", "classic")), ())
    return tuple(name for name in QUEUE_ARGUMENTS if name not in refused)


def check_quorum_properties(place: str, *, durable: bool, exclusive: bool, auto_delete: bool) -> None:
    """Raise the 406 :class:`Refusal` for a property that a quorum queue can not have."""
    for refused, name in ((auto_delete, "auto-delete"), (exclusive, "exclusive-owner"), (not durable, "non-durable")):
        if refused:
            raise _failed(f"invalid property '{name}' for {place}")


def check_consumer_arguments(place: str, kind: str, arguments: Table) -> None:
    """Raise the 406 :class:`Refusal` for an ``x-priority`` that is no whole number, or an offset into a stream.

    ``place`` is for example ``"queue 'q' in vhost '/'"``, and ``kind`` the type of that queue.
    """
    if "x-priority" in arguments:
        _whole("x-priority", arguments["x-priority"], f"for {place}")
    if "x-stream-offset" in arguments:
        raise _failed(f"invalid arg 'x-stream-offset' for {place} of queue type rabbit_{kind}_queue")


def assert_equivalent(place: str, current: Table, given: Table, names: Sequence[str]) -> None:
    """Raise the 406 :class:`Refusal` if ``given`` differs from ``current`` in one of ``names``.

    ``place`` is for example ``"queue 'q' in vhost '/'"``.  A missing ``x-queue-type`` is "classic".
    """
    for name in names:
        has, wants = name in current, name in given
        if not has and not wants:
            continue
        if has and wants:
            old, new = current[name], given[name]
            if _class(old) == _class(new) and old == new:
                continue
            received, is_now = f"'{erlang_text(new)}'", f"'{erlang_text(old)}'"
        elif name == "x-queue-type" and (current if has else given)[name] == "classic":
            continue
        else:
            received = _typed(given[name]) if wants else "none"
            is_now = _typed(current[name]) if has else "none"
        raise _failed(f"inequivalent arg '{name}' for {place}: received {received} but current is {is_now}")


def assert_same_flag(place: str, name: str, current: object, given: object) -> None:
    """Raise the 406 :class:`Refusal` if a property such as ``durable`` differs."""
    if current != given:
        raise _failed(
            f"inequivalent arg '{name}' for {place}: received '{erlang_text(given)}' but current is "
            f"'{erlang_text(current)}'"
        )


def _check_queue_argument(name: str, arguments: Table, place: str) -> None:
    value = arguments[name]
    reason: str | None = None
    if name in _INTEGERS:
        reason = _integer_fault(name, _whole(name, value, place))
    elif name == "x-single-active-consumer":
        if not isinstance(value, bool):
            reason = f"{{unacceptable_type,{type_name(value)}}}"
    elif name in _WORDS or name == "x-dead-letter-routing-key":
        if not isinstance(value, str):
            reason = f"{{unacceptable_type,{type_name(value)}}}"
        elif name == "x-dead-letter-routing-key":
            if "x-dead-letter-exchange" not in arguments:
                reason = "routing_key_but_no_dlx_defined"
        elif value not in _WORDS[name][0]:
            reason = _WORDS[name][1].format(value)
    if reason is not None:
        raise _failed(f"invalid arg '{name}' {place}: {reason}")


def _integer_fault(name: str, number: int) -> str | None:
    if number < 0:
        return f"{{value_negative,{number}}}"
    if name in ("x-expires", "x-quorum-initial-group-size", "x-initial-cluster-size") and number == 0:
        return "{value_zero,0}"
    if name in ("x-expires", "x-message-ttl") and number > PERIOD_MS_MAX:
        return f"{{value_too_large,{number}}}"
    if name == "x-max-priority" and number > _PRIORITY_MAX:
        return f"{{max_value_exceeded,{number}}}"
    if name == "x-queue-version" and number not in (1, 2):
        return f"\"unsupported queue version '{number}'\""
    return None


def _whole(name: str, value: object, place: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _failed(f"invalid arg '{name}' {place}: \"expected integer, got {type_name(value)}\"")


def _failed(explanation: str) -> Refusal:
    return refuse(PRECONDITION_FAILED, explanation)


def _typed(value: object) -> str:
    return f"the value '{erlang_text(value)}' of type '{type_name(value)}'"


def type_name(value: object) -> str:
    """Return the server's word for the AMQP type as which py-amqp sends ``value``."""
    if value is None:
        return "void"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "signedint" if -_SIGNED_INT_MAX <= value < _SIGNED_INT_MAX else "long"
    if isinstance(value, float):
        return "double"
    if isinstance(value, Decimal):
        return "decimal"
    if isinstance(value, dict):
        return "table"
    if isinstance(value, (list, tuple)):
        return "array"
    if isinstance(value, datetime):
        return "timestamp"
    return "longstr"


def _class(value: object) -> str:
    """Return what two values must share to be comparable: all sizes of whole number are one."""
    kind = type_name(value)
    return "int" if kind in ("signedint", "long") else kind


def erlang_text(value: object) -> str:
    """Return ``value`` as Erlang prints it."""
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
