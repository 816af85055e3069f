"""The requests of a channel that publish.

The main name is :class:`Publishing`, the part of a channel that routes what a client sends, returns what
no queue takes, and confirms.  A publish has no answer: its refusal follows as an event.  Left out:
transactions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tqsim.broker.rabbitmq import methods, refusals
from tqsim.broker.rabbitmq.arguments import type_name
from tqsim.broker.rabbitmq.deadletters import extra_keys
from tqsim.broker.rabbitmq.events import Confirm, Return
from tqsim.broker.rabbitmq.messages import CarbonCopied, Message
from tqsim.broker.rabbitmq.refusals import refuse
from tqsim.broker.rabbitmq.requests import answered
from tqsim.broker.rabbitmq.terms import expiration_fault
from tqsim.broker.rabbitmq.topology import Topology
from tqsim.errors import UnsupportedError

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.channels import Channel
    from tqsim.broker.rabbitmq.connections import Connection
    from tqsim.broker.rabbitmq.exchanges import Exchange

__all__ = ["FAST_REPLY", "Publishing"]

#: The queue of RabbitMQ's direct reply-to.
FAST_REPLY: Final = "amq.rabbitmq.reply-to"
_DELIVERY_MODES: Final = (None, 1, 2)
_NO_TRANSACTION: Final = "channel is not transactional"


class Publishing(Topology):
    """The base of a channel that publishes.

    ``is_careful`` is set where a publish needs more than its routing: it is to be confirmed, the server is
    short of memory, or the channel is closed.  ``is_held`` is set while nothing is read from the connection.
    """

    __slots__ = ("_confirmed", "_context", "is_careful", "is_held", "number")

    def __init__(self, connection: Connection, number: int) -> None:
        super().__init__(connection)
        self.number = number
        self.is_careful = connection.context.is_alarmed
        self.is_held = connection.is_blocked
        self._context = connection.context
        self._confirmed: int | None = None  # the number of the last publish, in confirm mode

    @property
    def is_confirming(self) -> bool:
        """Whether publishes are confirmed."""
        return self._confirmed is not None

    # --- publishing ------------------------------------------------------------------------------

    def basic_publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | str,
        properties: Mapping[str, object],
        mandatory: bool = False,
        immediate: bool = False,
    ) -> None:
        """Route a message to queues; one that no queue takes is gone, or returned if ``mandatory``.

        Never raises.  A missing exchange closes the channel (404) and an internal one too (403),
        ``immediate`` the connection (540): as events, because a publish has no answer.
        """
        context = self._context
        context.published += 1
        message = Message(context.published, exchange, routing_key, body, properties)
        if context.observe is not None:
            self.observe("message.published", message=message)
        target = self.virtual_host.exchanges.get(exchange)
        if target is None or target.internal or immediate:
            self._refuse_publish(message, immediate)
            return
        headers: Any = properties.get("application_headers")
        if (
            self.is_careful
            or "expiration" in properties
            or "user_id" in properties
            or properties.get("delivery_mode") not in _DELIVERY_MODES
            or properties.get("reply_to") == FAST_REPLY
            or (headers and ("CC" in headers or "BCC" in headers))
        ):
            if not self.is_open:
                self._refuse_publish(message, immediate)
            elif context.is_alarmed:
                self._hold_publish(message, mandatory)
            else:
                self._publish_with_care(target, message, mandatory)
            return
        queues = target.find(routing_key, message)
        if not queues:
            self._unroutable(message, mandatory)
            return
        for queue in queues:
            queue.publish(message)

    def _hold_publish(self, message: Message, mandatory: bool) -> None:
        """Keep a publish until the memory alarm is over: the first one blocks the connection."""
        if not self.connection.is_blocked:
            self.connection.block()
        self.connection.hold(lambda: self._publish_held(message, mandatory))

    def _publish_held(self, message: Message, mandatory: bool) -> None:
        target = self.virtual_host.exchanges.get(message.exchange)
        message = replace(message, number=self._context.next_number())
        if target is None or target.internal or not self.is_open:
            self._refuse_publish(message, immediate=False)
        else:
            self._publish_with_care(target, message, mandatory)

    def _publish_with_care(self, target: Exchange, message: Message, mandatory: bool) -> None:
        """Publish what has an expiration or more keys than one, may be refused, or is to be confirmed."""
        fault = _properties_fault(message.properties, self.connection.user) or _message_fault(message)
        if fault is not None:
            self._drop_publish(message, fault)
            return
        if self._confirmed is not None:
            self._confirmed += 1
        number = self._confirmed
        message = _carbon_copied(message)
        queues = target.route(message)
        if not queues:
            self._unroutable(message, mandatory)
        taken = True
        for queue in queues:
            if "expiration" in message.properties:
                queue.set_terms()
            taken = queue.publish(message) and taken
        if number is not None:
            self._context.disk.confirm(message.number)
            self.connection.push(Confirm(self.as_channel(), number, taken))

    @abstractmethod
    def as_channel(self) -> Channel:
        """Return the channel that this is the base of."""

    def _unroutable(self, message: Message, mandatory: bool) -> None:
        self.observe("message.returned" if mandatory else "message.unroutable", message=message)
        if mandatory:
            self.connection.push(Return(self.as_channel(), refusals.NO_ROUTE, "NO_ROUTE", message))

    @answered(methods.CONFIRM_SELECT)
    def confirm_select(self) -> None:
        """Have every later publish confirmed, by its number on this channel, from 1."""
        if self._confirmed is None:
            self._confirmed = 0
            self.is_careful = True

    def publish_unreadable(self, exchange: str) -> None:
        """Publish something with properties that the server fails to read: 541, once it has found the exchange."""
        if self.is_held:
            self.connection.hold(lambda: self.publish_unreadable(exchange))
        elif self.is_open:
            target = self.virtual_host.exchanges.get(exchange)
            refusal = refusals.unreadable()
            if target is None or target.internal:
                refusal = self.virtual_host.publish_refusal(exchange)
                refusal.method = methods.BASIC_PUBLISH
            self.fail(refusal, tell=True)

    @answered(methods.TX_COMMIT)
    def tx_commit(self) -> None:
        """Refuse it (406), as there are no transactions here."""
        raise refuse(refusals.PRECONDITION_FAILED, _NO_TRANSACTION)

    @answered(methods.TX_ROLLBACK)
    def tx_rollback(self) -> None:
        """Refuse it (406), as there are no transactions here."""
        raise refuse(refusals.PRECONDITION_FAILED, _NO_TRANSACTION)

    @answered(methods.TX_SELECT)
    def tx_select(self) -> None:
        """Refuse transactions: 406 in confirm mode as RabbitMQ does, else because they are not simulated."""
        if self._confirmed is not None:
            raise refuse(refusals.PRECONDITION_FAILED, "cannot switch from confirm to tx mode")
        raise UnsupportedError("AMQP transactions (tx.select) are not simulated; use publisher confirms.")

    def _drop_publish(self, message: Message, explanation: str) -> None:
        refusal = refuse(refusals.PRECONDITION_FAILED, explanation, methods.BASIC_PUBLISH)
        self.observe("message.dropped", message=message, reason=refusal.text)
        self.fail(refusal, tell=True)

    def _refuse_publish(self, message: Message, immediate: bool) -> None:
        if not self.is_open:
            self.observe("message.dropped", message=message, reason="channel closed")
            return
        if immediate:
            refusal = refuse(refusals.NOT_IMPLEMENTED, "immediate=true")
        else:
            refusal = self.virtual_host.publish_refusal(message.exchange)
        refusal.method = methods.BASIC_PUBLISH
        self.observe("message.dropped", message=message, reason=refusal.text)
        self.fail(refusal, tell=True)

    def observe(self, name: str, **fields: object) -> None:
        """Tell the observer of a moment on this channel, if there is an observer."""
        observe = self._context.observe
        if observe is not None:
            vhost, connection = self.virtual_host.name, self.connection.name
            observe(name, vhost=vhost, connection=connection, channel=self.number, **fields)


def _properties_fault(properties: Mapping[str, object], user: str) -> str | None:
    """Return what the server has against properties, or None; in the order in which it looks (measured on 3.10)."""
    if properties.get("reply_to") == FAST_REPLY:
        return "fast reply consumer does not exist"
    if (named := properties.get("user_id", user)) != user:
        return f"user_id property set to '{named}' but authenticated user was '{user}'"
    expiration = properties.get("expiration")
    fault = None if expiration is None else expiration_fault(expiration)
    return None if fault is None else f"invalid expiration '{expiration}': {fault}"


def _message_fault(message: Message) -> str | None:
    """Return what makes a message invalid, or None; looked for after the faults of its properties."""
    for name in ("CC", "BCC"):
        keys = message.headers.get(name, [])
        if not isinstance(keys, (list, tuple)):
            return f'invalid message: {{unacceptable_type_in_header,"{name}",{type_name(keys)}}}'
    mode = message.properties.get("delivery_mode")
    return None if mode in _DELIVERY_MODES else f"invalid message: {{delivery_mode_unknown,{mode}}}"


def _carbon_copied(message: Message) -> Message:
    """Return ``message`` with all the keys it is sent to; its receivers do not see ``BCC``."""
    more = extra_keys(message.headers)
    if not more:
        return message
    properties = dict(message.properties)
    properties["application_headers"] = {key: value for key, value in message.headers.items() if key != "BCC"}
    return CarbonCopied(message.number, message.exchange, message.routing_key, message.body, properties, more)
