"""What a RabbitMQ server refuses, case by case: the request, the code, the text and the method.

The main names are :data:`REFUSED` (requests that have an answer), :data:`UNANSWERED` (those that
have none) and :data:`LOCKED` (those on another connection's exclusive queue).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tests.conformance.rabbitmq_arms import Arm, Lane

__all__ = ["LOCKED", "LOCKED_TEXT", "REFUSED", "UNANSWERED", "Names", "Request"]

Request: TypeAlias = Callable[[Lane, "Names"], Any]

LOCKED_TEXT: Final = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '{vhost}'. It "
    "could be originally declared on another connection or the exclusive property value does not match "
    "that of the original declaration."
)
_DEFAULT_EXCHANGE: Final = "ACCESS_REFUSED - operation not permitted on the default exchange"
_NO_QUEUE: Final = "NOT_FOUND - no queue '{missing}' in vhost '{vhost}'"
_NO_EXCHANGE: Final = "NOT_FOUND - no exchange '{missing}' in vhost '{vhost}'"
_NO_CURRENT: Final = "NOT_FOUND - no previously declared queue"


class Names:
    """The names of one test: an existing queue and exchange, a missing one, one locked by another."""

    def __init__(self, arm: Arm) -> None:
        self.vhost = arm.vhost
        self.queue = arm.name("q")
        self.exchange = arm.name("x")
        self.missing = arm.name("missing")


def _inequivalent(argument: str, kind: str, received: str, current: str) -> str:
    return (
        f"PRECONDITION_FAILED - inequivalent arg '{argument}' for {kind} '{{{kind}}}' in vhost "
        f"'{{vhost}}': received {received} but current is {current}"
    )


def _invalid(argument: str, reason: str) -> str:
    reason = reason.replace("{", "{{").replace("}", "}}")
    return f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{{missing}}' in vhost '{{vhost}}'{reason}"


def _sent(lane: Lane, queue: str, *bodies: object) -> str:
    lane.send(queue, *bodies)
    return queue


def _with(**options: Any) -> Request:
    return lambda lane, names: lane.queue(names.queue, **options)


def _new(**arguments: Any) -> Request:
    given = {name.replace("_", "-"): value for name, value in arguments.items()}
    return lambda lane, names: lane.queue(names.missing, arguments=given)


REFUSED: Final[dict[str, tuple[Request, int, str, tuple[int, int]]]] = {
    # --- exchanges
    "unknown exchange type": (
        lambda lane, names: lane.exchange(names.missing, "bogus"),
        503,
        "COMMAND_INVALID - unknown exchange type 'bogus'",
        (40, 10),
    ),
    "another exchange type": (
        lambda lane, names: lane.exchange(names.exchange, "topic", durable=True),
        406,
        _inequivalent("type", "exchange", "'topic'", "'direct'"),
        (40, 10),
    ),
    "another durability of an exchange": (
        lambda lane, names: lane.exchange(names.exchange, durable=True),
        406,
        _inequivalent("durable", "exchange", "'true'", "'false'"),
        (40, 10),
    ),
    "an internal exchange": (
        lambda lane, names: lane.exchange(names.exchange, internal=True),
        406,
        _inequivalent("internal", "exchange", "'true'", "'false'"),
        (40, 10),
    ),
    "another alternate exchange": (
        lambda lane, names: lane.exchange(names.exchange, arguments={"alternate-exchange": "a"}),
        406,
        _inequivalent("alternate-exchange", "exchange", "the value 'a' of type 'longstr'", "none"),
        (40, 10),
    ),
    "passive, no exchange": (
        lambda lane, names: lane.exchange(names.missing, passive=True),
        404,
        _NO_EXCHANGE,
        (40, 10),
    ),
    "reserved exchange name": (
        lambda lane, names: lane.exchange("amq.mine"),
        403,
        "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
        (40, 10),
    ),
    "declare the default exchange": (
        lambda lane, names: lane.exchange("", durable=True),
        403,
        _DEFAULT_EXCHANGE,
        (40, 10),
    ),
    "declare the default exchange passively": (
        lambda lane, names: lane.exchange("", passive=True),
        403,
        _DEFAULT_EXCHANGE,
        (40, 10),
    ),
    "delete the default exchange": (
        lambda lane, names: lane.delete_exchange(""),
        403,
        _DEFAULT_EXCHANGE,
        (40, 20),
    ),
    "delete a predeclared exchange": (
        lambda lane, names: lane.delete_exchange("amq.direct"),
        403,
        "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '{vhost}' not allowed",
        (40, 20),
    ),
    "delete an exchange in use": (
        lambda lane, names: (
            lane.bind(names.queue, names.exchange, "k"),
            lane.delete_exchange(names.exchange, if_unused=True),
        ),
        406,
        "PRECONDITION_FAILED - exchange '{exchange}' in vhost '{vhost}' in use",
        (40, 20),
    ),
    # --- queues
    "passive, no queue": (lambda lane, names: lane.counts(names.missing), 404, _NO_QUEUE, (50, 10)),
    "passive, no name": (
        lambda lane, names: lane.counts(""),
        404,
        "NOT_FOUND - no queue '' in vhost '{vhost}'",
        (50, 10),
    ),
    "reserved queue name": (
        lambda lane, names: lane.queue("amq.mine"),
        403,
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
        (50, 10),
    ),
    "another durability": (
        _with(durable=True),
        406,
        _inequivalent("durable", "queue", "'true'", "'false'"),
        (50, 10),
    ),
    "another auto-delete": (
        _with(auto_delete=True),
        406,
        _inequivalent("auto_delete", "queue", "'true'", "'false'"),
        (50, 10),
    ),
    "exclusive, and it was not": (_with(exclusive=True), 405, LOCKED_TEXT, (50, 10)),
    "an argument that is new": (
        _with(arguments={"x-message-ttl": 5}),
        406,
        _inequivalent("x-message-ttl", "queue", "the value '5' of type 'signedint'", "none"),
        (50, 10),
    ),
    "the first of several arguments": (
        _with(arguments={"x-max-priority": 5, "x-expires": 3_000_000_000}),
        406,
        _inequivalent("x-expires", "queue", "the value '3000000000' of type 'long'", "none"),
        (50, 10),
    ),
    "a flag as argument": (
        _with(arguments={"x-single-active-consumer": True}),
        406,
        _inequivalent("x-single-active-consumer", "queue", "the value 'true' of type 'bool'", "none"),
        (50, 10),
    ),
    "a priority that is no number": (
        _new(x_max_priority="5"),
        406,
        _invalid("x-max-priority", ': "expected integer, got longstr"'),
        (50, 10),
    ),
    "a negative priority": (
        _new(x_max_priority=-1),
        406,
        _invalid("x-max-priority", ": {value_negative,-1}"),
        (50, 10),
    ),
    "a priority too large": (
        _new(x_max_priority=256),
        406,
        _invalid("x-max-priority", ": {max_value_exceeded,256}"),
        (50, 10),
    ),
    "expiry at once": (_new(x_expires=0), 406, _invalid("x-expires", ": {value_zero,0}"), (50, 10)),
    "expiry too late": (
        _new(x_expires=10**12),
        406,
        _invalid("x-expires", ": {value_too_large,1000000000000}"),
        (50, 10),
    ),
    "unknown overflow": (
        _new(x_overflow="foo"),
        406,
        _invalid("x-overflow", ": invalid_overflow"),
        (50, 10),
    ),
    "unknown mode": (
        _new(x_queue_mode="foo"),
        406,
        _invalid("x-queue-mode", ": \"unsupported queue mode 'foo'\""),
        (50, 10),
    ),
    "unknown type": (
        _new(x_queue_type="foo"),
        406,
        _invalid("x-queue-type", ": \"unsupported queue type 'foo'\""),
        (50, 10),
    ),
    "unknown version": (
        _new(x_queue_version=3),
        406,
        _invalid("x-queue-version", ": \"unsupported queue version '3'\""),
        (50, 10),
    ),
    "a flag that is none": (
        _new(x_single_active_consumer=1),
        406,
        _invalid("x-single-active-consumer", ": {unacceptable_type,signedint}"),
        (50, 10),
    ),
    "dead letter key alone": (
        _new(x_dead_letter_routing_key="k"),
        406,
        _invalid("x-dead-letter-routing-key", ": routing_key_but_no_dlx_defined"),
        (50, 10),
    ),
    "dead letter exchange of a wrong type": (
        _new(x_dead_letter_exchange=5),
        406,
        (
            "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue "
            "'{missing}' in vhost '{vhost}'"
        ),
        (50, 10),
    ),
    "delivery limit of a classic queue": (
        _new(x_delivery_limit=3),
        406,
        _invalid("x-delivery-limit", " of queue type rabbit_classic_queue"),
        (50, 10),
    ),
    "delete a queue that is not empty": (
        lambda lane, names: (
            _sent(lane, names.queue, "x"),
            lane.delete_queue(names.queue, if_unused=True, if_empty=True),
        ),
        406,
        "PRECONDITION_FAILED - queue '{queue}' in vhost '{vhost}' not empty",
        (50, 40),
    ),
    "delete a queue in use": (
        lambda lane, names: (
            lane.consume(names.queue),
            lane.delete_queue(names.queue, if_unused=True, if_empty=True),
        ),
        406,
        "PRECONDITION_FAILED - queue '{queue}' in vhost '{vhost}' in use",
        (50, 40),
    ),
    "purge no queue": (lambda lane, names: lane.purge(names.missing), 404, _NO_QUEUE, (50, 30)),
    "purge no current queue": (lambda lane, names: lane.purge(""), 404, _NO_CURRENT, (50, 30)),
    "delete no current queue": (lambda lane, names: lane.delete_queue(""), 404, _NO_CURRENT, (50, 40)),
    # --- bindings
    "bind no queue": (
        lambda lane, names: lane.bind(names.missing, names.exchange, "k"),
        404,
        _NO_QUEUE,
        (50, 20),
    ),
    "bind neither": (
        lambda lane, names: lane.bind(names.missing, names.missing, "k"),
        404,
        _NO_EXCHANGE,
        (50, 20),
    ),
    "bind to the default exchange": (
        lambda lane, names: lane.bind(names.queue, "", names.queue),
        403,
        _DEFAULT_EXCHANGE,
        (50, 20),
    ),
    "unbind from the default exchange": (
        lambda lane, names: lane.unbind(names.queue, "", names.queue),
        403,
        _DEFAULT_EXCHANGE,
        (50, 50),
    ),
    # --- consuming
    "get from no queue": (lambda lane, names: lane.get(names.missing), 404, _NO_QUEUE, (60, 70)),
    "get from no current queue": (lambda lane, names: lane.get(""), 404, _NO_CURRENT, (60, 70)),
    "consume no queue": (lambda lane, names: lane.consume(names.missing), 404, _NO_QUEUE, (60, 20)),
    "a tag in use": (
        lambda lane, names: (lane.consume(names.queue, "t"), lane.consume(names.missing, "t")),
        530,
        "NOT_ALLOWED - attempt to reuse consumer tag 't'",
        (60, 20),
    ),
    "exclusive beside another": (
        lambda lane, names: (lane.consume(names.queue), lane.consume(names.queue, exclusive=True)),
        403,
        "ACCESS_REFUSED - queue '{queue}' in vhost '{vhost}' in exclusive use",
        (60, 20),
    ),
    "beside an exclusive one": (
        lambda lane, names: (lane.consume(names.queue, exclusive=True), lane.consume(names.queue)),
        403,
        "ACCESS_REFUSED - queue '{queue}' in vhost '{vhost}' in exclusive use",
        (60, 20),
    ),
    "a consumer's priority that is no number": (
        lambda lane, names: lane.consume(names.queue, arguments={"x-priority": "a"}),
        406,
        (
            "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '{vhost}': "
            '"expected integer, got longstr"'
        ),
        (60, 20),
    ),
    "prefetch by size": (
        lambda lane, names: lane.qos(0, size=10),
        540,
        "NOT_IMPLEMENTED - prefetch_size!=0 (10)",
        (60, 10),
    ),
    "recover without requeue": (
        lambda lane, names: lane.recover(requeue=False),
        540,
        "NOT_IMPLEMENTED - requeue=false",
        (60, 110),
    ),
}

UNANSWERED: Final[dict[str, tuple[Request, int, str, tuple[int, int]]]] = {
    "publish to no exchange": (
        lambda lane, names: lane.publish(names.missing, "k", "x"),
        404,
        _NO_EXCHANGE,
        (60, 40),
    ),
    "publish to an internal exchange": (
        lambda lane, names: (
            lane.exchange(names.missing, internal=True),
            lane.publish(names.missing, "k", "x", mandatory=True),
        ),
        403,
        "ACCESS_REFUSED - cannot publish to internal exchange '{missing}' in vhost '{vhost}'",
        (60, 40),
    ),
    "publish immediately": (
        lambda lane, names: lane.publish(names.missing, "k", "x", immediate=True),
        540,
        "NOT_IMPLEMENTED - immediate=true",
        (60, 40),
    ),
    "ack an unknown tag": (
        lambda lane, names: lane.ack(5),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 5",
        (60, 80),
    ),
    "ack zero alone": (
        lambda lane, names: lane.ack(0),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 0",
        (60, 80),
    ),
    "ack multiple up to a settled tag": (
        lambda lane, names: (
            _sent(lane, names.queue, 1, 2, 3),
            lane.get(names.queue),
            lane.get(names.queue),
            lane.ack(2),
            lane.ack(2, multiple=True),
        ),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 2",
        (60, 80),
    ),
    "ack without acknowledgement": (
        lambda lane, names: (
            _sent(lane, names.queue, 1),
            lane.get(names.queue, no_ack=True),
            lane.ack(1),
        ),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
        (60, 80),
    ),
    "nack an unknown tag": (
        lambda lane, names: lane.nack(7, multiple=True),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 7",
        (60, 120),
    ),
    "reject an unknown tag": (
        lambda lane, names: lane.reject(1),
        406,
        "PRECONDITION_FAILED - unknown delivery tag 1",
        (60, 90),
    ),
}

LOCKED: Final[dict[str, tuple[Request, tuple[int, int]]]] = {
    "declare": (lambda lane, names: lane.queue(names.queue, exclusive=True), (50, 10)),
    "declare, otherwise different": (lambda lane, names: lane.queue(names.queue, durable=True), (50, 10)),
    "passive": (lambda lane, names: lane.counts(names.queue), (50, 10)),
    "bind": (lambda lane, names: lane.bind(names.queue, names.exchange, "k"), (50, 20)),
    "unbind": (lambda lane, names: lane.unbind(names.queue, names.exchange, "bound"), (50, 50)),
    "purge": (lambda lane, names: lane.purge(names.queue), (50, 30)),
    "delete": (lambda lane, names: lane.delete_queue(names.queue), (50, 40)),
    "get": (lambda lane, names: lane.get(names.queue), (60, 70)),
    "consume": (lambda lane, names: lane.consume(names.queue), (60, 20)),
}
