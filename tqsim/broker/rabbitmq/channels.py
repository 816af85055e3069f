"""A channel: where a client publishes, consumes and acknowledges.

The main name is :class:`Channel`.  A request that has an answer in AMQP (declare, consume, get,
...) raises its :class:`Refusal`; one that has none (publish, ack, nack, reject) returns in any case
and its refusal follows as an event in the outbox.  Either way the channel or the connection is
closed before the call returns.  Left out: transactions, flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tqsim.broker.rabbitmq import methods, refusals
from tqsim.broker.rabbitmq.arguments import check_consumer_arguments, integer, type_name
from tqsim.broker.rabbitmq.closing import retire
from tqsim.broker.rabbitmq.consumers import Consumer
from tqsim.broker.rabbitmq.deadletters import extra_keys
from tqsim.broker.rabbitmq.events import ChannelClosed, Confirm, Deliver, Got, Return
from tqsim.broker.rabbitmq.messages import CarbonCopied, Message, Queued
from tqsim.broker.rabbitmq.methods import Method
from tqsim.broker.rabbitmq.refusals import Refusal, refuse
from tqsim.broker.rabbitmq.requests import answered
from tqsim.broker.rabbitmq.terms import expiration_fault
from tqsim.broker.rabbitmq.topology import Table, Topology
from tqsim.broker.rabbitmq.window import Window
from tqsim.errors import UnsupportedError

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.connections import Connection
    from tqsim.broker.rabbitmq.exchanges import Exchange

__all__ = ["Channel"]


class Channel(Topology):
    """A channel of a connection.

    Requests on a closed channel: those without an answer are ignored, as the server ignores them
    until the client has confirmed the close; those with an answer raise the refusal that closed it,
    or 504 CHANNEL_ERROR if the client closed it itself.
    """

    __slots__ = ("_closed_by", "_confirmed", "_context", "_prefetch", "consumers", "number", "window")

    def __init__(self, connection: Connection, number: int) -> None:
        super().__init__(connection)
        self.number = number
        self.window = Window(connection.context, self.observe)
        self.consumers: dict[str, Consumer] = {}
        self._context = connection.context
        self._prefetch = 0
        self._closed_by: Refusal | None = None
        self._confirmed: int | None = None  # the number of the last publish, in confirm mode

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
        if target is None or target.internal or immediate or not self.is_open:
            self._refuse_publish(message, immediate)
            return
        headers = properties.get("application_headers")
        if (
            self._confirmed is not None
            or "expiration" in properties
            or (headers and ("CC" in headers or "BCC" in headers))  # type: ignore[operator]  # a table
        ):
            self._publish_with_care(target, message, mandatory)
            return
        queues = target.find(routing_key, message)
        if not queues:
            self._unroutable(message, mandatory)
            return
        for queue in queues:
            queue.publish(message)

    def _publish_with_care(self, target: Exchange, message: Message, mandatory: bool) -> None:
        """Publish what has an expiration or more keys than one, or is to be confirmed."""
        expiration = message.properties.get("expiration")
        fault = None if expiration is None else expiration_fault(expiration)
        if fault is not None:
            self._drop_publish(message, f"invalid expiration '{expiration}': {fault}")
            return
        if self._confirmed is not None:
            self._confirmed += 1
        number = self._confirmed
        for name in ("CC", "BCC"):
            keys = message.headers.get(name, [])
            if not isinstance(keys, (list, tuple)):
                reason = f'{{unacceptable_type_in_header,"{name}",{type_name(keys)}}}'
                self._drop_publish(message, f"invalid message: {reason}")
                return
        message = _carbon_copied(message)
        queues = target.route(message)
        if not queues:
            self._unroutable(message, mandatory)
        taken = True
        for queue in queues:
            if expiration is not None:
                queue.set_terms()
            taken = queue.publish(message) and taken
        if number is not None:
            self.connection.push(Confirm(self, number, taken))

    def _unroutable(self, message: Message, mandatory: bool) -> None:
        self.observe("message.returned" if mandatory else "message.unroutable", message=message)
        if mandatory:
            self.connection.push(Return(self, refusals.NO_ROUTE, "NO_ROUTE", message))

    @answered(methods.CONFIRM_SELECT)
    def confirm_select(self) -> None:
        """Have every later publish confirmed, by its number on this channel, from 1."""
        if self._confirmed is None:
            self._confirmed = 0

    @answered(methods.TX_SELECT)
    def tx_select(self) -> None:
        """Refuse transactions: 406 in confirm mode as RabbitMQ does, else because they are not simulated."""
        if self._confirmed is not None:
            raise refuse(refusals.PRECONDITION_FAILED, "cannot switch from confirm to tx mode")
        raise UnsupportedError("AMQP transactions (tx.select) are not simulated; use publisher confirms.")

    # --- consuming -------------------------------------------------------------------------------

    @answered(methods.BASIC_CONSUME)
    def basic_consume(
        self,
        queue: str = "",
        consumer_tag: str = "",
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Table = None,
    ) -> str:
        """Subscribe to a queue; return the consumer tag, chosen by the server if empty.

        Deliveries may lie in the outbox before this returns.  Refused: 404, 405, 403 (an exclusive
        consumer, here or there), 530 (tag in use on this channel; closes the connection).
        """
        name = self.named_queue(queue)
        if consumer_tag in self.consumers:
            raise refuse(refusals.NOT_ALLOWED, f"attempt to reuse consumer tag '{consumer_tag}'")
        found = self.virtual_host.find_queue(name, self.connection)
        check_consumer_arguments(name, self.virtual_host.name, arguments or {})
        if found.rota and (exclusive or found.rota.is_exclusive):
            raise refusals.exclusive_use(name, self.virtual_host.name)
        consumer = Consumer(
            self,
            self.window,
            found,
            consumer_tag or self._context.names("amq.ctag-"),
            no_ack,
            exclusive,
            0 if no_ack else self._prefetch,
            integer(arguments or {}, "x-priority") or 0,
        )
        self.consumers[consumer.tag] = consumer
        self.observe("consumer.added", queue=name, consumer_tag=consumer.tag)
        found.add_consumer(consumer)
        return consumer.tag

    @answered(methods.BASIC_CANCEL)
    def basic_cancel(self, consumer_tag: str) -> None:
        """End a subscription; what it has unacknowledged stays so.  An unknown tag is no error."""
        consumer = self.consumers.pop(consumer_tag, None)
        if consumer is None:
            return
        self.observe("consumer.cancelled", queue=consumer.queue.name, consumer_tag=consumer_tag)
        if consumer.queue.remove_consumer(consumer):
            self.virtual_host.delete_queue(consumer.queue, "auto-delete")

    @answered(methods.BASIC_GET)
    def basic_get(self, queue: str = "", no_ack: bool = False) -> Got | None:
        """Fetch one message, or None.  Either counts as use of the queue (``x-expires``)."""
        found = self.find_queue(queue)
        found.touch()
        if not found.ready.count:
            return None
        queued = found.take()
        self.window.hand_out(queued, None, no_ack)
        message, left = queued.message, found.ready.count
        return Got(queued.delivery_tag, queued.redelivered, message, left, queued.delivery_number)

    @answered(methods.BASIC_QOS)
    def basic_qos(self, prefetch_count: int, global_: bool = False, prefetch_size: int = 0) -> None:
        """Limit unacknowledged deliveries; 0 means no limit.  Refused: 540 for a ``prefetch_size``.

        ``global_=False``: the limit of each consumer that joins this channel *from now on*.
        ``global_=True``: one limit shared by all consumers of the channel, at once.  Both can hold,
        but only set in this order: on 3.10, ``global_=False`` also lifts the channel's (measured).
        """
        if prefetch_size:
            raise refuse(refusals.NOT_IMPLEMENTED, f"prefetch_size!=0 ({prefetch_size})")
        if not global_:
            self._prefetch = prefetch_count
        self.window.set_limit(prefetch_count if global_ else 0)

    def deliver(self, consumer: Consumer, queued: Queued) -> None:
        """Hand a message to a consumer of this channel; called by the queue."""
        self.window.hand_out(queued, consumer, consumer.no_ack)
        self.connection.push(
            Deliver(
                self,
                consumer.tag,
                queued.delivery_tag,
                queued.redelivered,
                queued.message,
                queued.delivery_number,
            )
        )

    # --- settling --------------------------------------------------------------------------------

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge one delivery, or all up to it (``multiple``; with tag 0 all there are).

        Never raises; a tag that is not open closes the channel (406), as an event.
        """
        if multiple or not self.is_open or not self.window.acknowledge(delivery_tag):
            self._settle(delivery_tag, multiple, "message.acked", False, methods.BASIC_ACK)

    def basic_nack(self, delivery_tag: int, multiple: bool = False, requeue: bool = True) -> None:
        """Give back one delivery or several: to their place in the queue, or away.

        Never raises; a tag that is not open closes the channel (406), as an event.
        """
        self._settle(delivery_tag, multiple, "message.rejected", requeue, methods.BASIC_NACK)

    def basic_reject(self, delivery_tag: int, requeue: bool = True) -> None:
        """Give back one delivery; like :meth:`basic_nack`."""
        self._settle(delivery_tag, False, "message.rejected", requeue, methods.BASIC_REJECT)

    @answered(methods.BASIC_RECOVER)
    def basic_recover(self, requeue: bool = True) -> None:
        """Requeue everything unacknowledged on this channel.  Refused: 540 without ``requeue``."""
        if not requeue:
            raise refuse(refusals.NOT_IMPLEMENTED, "requeue=false")
        self.window.settle(self.window.take_all(), requeue=True, moment="message.rejected")

    # --- closing ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the channel; its consumers leave and its unacknowledged messages are requeued."""
        if self.is_open:
            self.observe("channel.closed", reason="closed by client")
            retire([self])

    def fail(self, refusal: Refusal, *, tell: bool) -> None:
        """Close what ``refusal`` closes, the channel or its connection; with ``tell``, push the event."""
        if refusal.scope == "connection":
            self.connection.fail(refusal, tell=tell)
            return
        self._closed_by = refusal
        if tell:
            self.connection.push(ChannelClosed(self, refusal.code, refusal.text, refusal.method))
        self.observe("channel.closed", reason=refusal.text)
        retire([self])

    def not_open(self, method: Method) -> Exception:
        """Return the exception for a request that wants an answer on this closed channel."""
        if self._closed_by is not None:
            return self._closed_by.again()
        if not self.connection.is_open:
            return self.connection.gone()
        refusal = refuse(refusals.CHANNEL_ERROR, "expected 'channel.open'", method)
        self.connection.fail(refusal, tell=False)
        return refusal

    # --- inside ----------------------------------------------------------------------------------

    def _settle(self, tag: int, multiple: bool, moment: str, requeue: bool, method: Method) -> None:
        if not self.is_open:
            return
        taken = self.window.take(tag, multiple)
        if taken is None:
            refusal = refuse(refusals.PRECONDITION_FAILED, f"unknown delivery tag {tag}", method)
            self.fail(refusal, tell=True)
            return
        self.window.settle(taken, requeue=requeue, moment=moment)

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


def _carbon_copied(message: Message) -> Message:
    """Return ``message`` with all the keys it is sent to; its receivers do not see ``BCC``."""
    more = extra_keys(message.headers)
    if not more:
        return message
    properties = dict(message.properties)
    properties["application_headers"] = {key: value for key, value in message.headers.items() if key != "BCC"}
    return CarbonCopied(message.number, message.exchange, message.routing_key, message.body, properties, more)
