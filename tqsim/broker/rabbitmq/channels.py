"""A channel: where a client publishes, consumes and acknowledges.

The main name is :class:`Channel`.  A request that has an answer in AMQP (declare, consume, get,
...) raises its :class:`Refusal`; one that has none (publish, ack, nack, reject) returns in any case
and its refusal follows as an event in the outbox.  Either way the channel or the connection is
closed before the call returns.  Left out: transactions, flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tqsim.broker.rabbitmq import methods, refusals
from tqsim.broker.rabbitmq.arguments import check_consumer_arguments, integer
from tqsim.broker.rabbitmq.closing import retire
from tqsim.broker.rabbitmq.consumers import Consumer
from tqsim.broker.rabbitmq.events import ChannelClosed, Deliver, Got
from tqsim.broker.rabbitmq.messages import Message, Queued
from tqsim.broker.rabbitmq.methods import Method
from tqsim.broker.rabbitmq.publishing import FAST_REPLY, Publishing
from tqsim.broker.rabbitmq.refusals import Refusal, refuse
from tqsim.broker.rabbitmq.requests import answered
from tqsim.broker.rabbitmq.topology import Table
from tqsim.broker.rabbitmq.window import Window
from tqsim.errors import UnsupportedError

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.connections import Connection

__all__ = ["Channel"]

_US_PER_MS: Final = 1_000


class Channel(Publishing):
    """A channel of a connection.

    Requests on a closed channel: those without an answer are ignored, as the server ignores them
    until the client has confirmed the close; those with an answer raise the refusal that closed it,
    or 504 CHANNEL_ERROR if the client closed it itself.
    """

    __slots__ = (
        "_closed_by",
        "_opened_us",
        "_prefetch",
        "_ticking_since_us",
        "consumers",
        "window",
    )

    def __init__(self, connection: Connection, number: int) -> None:
        super().__init__(connection, number)
        self.window = Window(connection.context, self.observe, self._start_ticking)
        self.consumers: dict[str, Consumer] = {}
        self._prefetch = 0
        self._closed_by: Refusal | None = None
        self._ticking_since_us: int | None = None
        self._opened_us = connection.context.now()

    def as_channel(self) -> Channel:
        """Return itself."""
        return self

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
        if name == FAST_REPLY:
            raise _no_fast_reply(no_ack)
        if consumer_tag in self.consumers:
            raise refuse(refusals.NOT_ALLOWED, f"attempt to reuse consumer tag '{consumer_tag}'")
        found = self.virtual_host.find_queue(name, self.connection)
        kind = str(found.arguments.get("x-queue-type", "classic"))
        check_consumer_arguments(found.place, kind, arguments or {})
        if not found.admits_consumer(exclusive):
            raise refusals.exclusive_use(name, self.virtual_host.name)
        if self.window.limit and not found.knows_global_qos:
            raise refuse(refusals.NOT_IMPLEMENTED, f"{found.place} does not support global qos")
        consumer = Consumer(
            self,
            self.window,
            found,
            consumer_tag or self._context.names("amq.ctag-"),
            no_ack,
            exclusive,
            0 if no_ack else found.prefetch_of(self._prefetch),
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
        elif not consumer.queue.knows_global_qos:
            consumer.queue.run()  # a quorum queue serves the next one at once, a classic queue does not

    @answered(methods.BASIC_GET)
    def basic_get(self, queue: str = "", no_ack: bool = False) -> Got | None:
        """Fetch one message, or None.  Either counts as use of the queue (``x-expires``)."""
        found = self.find_queue(queue)
        found.begin_get(self.window)
        found.touch()
        if not found.ready.count:
            return None
        queued, left = found.take(no_ack)
        message = found.shown(queued)
        self.window.hand_out(queued, None, no_ack)
        return Got(queued.delivery_tag, queued.redelivered, message, left, queued.delivery_number)

    @answered(methods.BASIC_QOS)
    def basic_qos(self, prefetch_count: int, global_: bool = False, prefetch_size: int = 0) -> None:
        """Limit unacknowledged deliveries; 0 means no limit.  Refused: 540 for a ``prefetch_size``.

        ``global_=False``: the limit of each consumer that joins this channel *from now on*.
        ``global_=True``: one limit shared by all consumers of the channel, at once.  Both can hold,
        but only set in this order: on 3.10, ``global_=False`` also lifts the channel's (measured).
        Since 4.3 ``global_=True`` is taken as ``False`` (``rabbit_channel.erl``, not measured).
        """
        if prefetch_size:
            raise refuse(refusals.NOT_IMPLEMENTED, f"prefetch_size!=0 ({prefetch_size})")
        global_ = global_ and not self._context.settings.denies_deprecated
        if not global_:
            self._prefetch = prefetch_count
        self.window.set_limit(prefetch_count if global_ else 0)

    def deliver(self, consumer: Consumer, queued: Queued) -> None:
        """Hand a message to a consumer of this channel; called by the queue.

        The common case, written out for speed: the same as ``deliver_as(consumer, queued, queued.message)``.
        """
        self.window.hand_out(queued, consumer, consumer.no_ack)
        connection = self.connection
        connection.outbox.append(
            Deliver(
                self,
                consumer.tag,
                queued.delivery_tag,
                queued.deliveries > 1,
                queued.message,
                queued.delivery_number,
            )
        )
        connection.notify()

    def deliver_as(self, consumer: Consumer, queued: Queued, message: Message) -> None:
        """Hand a message to a consumer in another form than it was published in."""
        self.window.hand_out(queued, consumer, consumer.no_ack)
        tag, number = queued.delivery_tag, queued.delivery_number
        self.connection.push(Deliver(self, consumer.tag, tag, queued.redelivered, message, number))

    # --- settling --------------------------------------------------------------------------------

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge one delivery, or all up to it (``multiple``; with tag 0 all there are).

        Never raises; a tag that is not open closes the channel (406), as an event.
        """
        if multiple or self.is_held or not self.is_open or not self.window.acknowledge(delivery_tag):
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
        self._recover(requeue)

    def basic_recover_unheard(self, requeue: bool) -> None:
        """Recover for a client that does not wait for the answer, so that a refusal is an event."""
        if not self.is_open:
            return
        if self.is_held:
            self.connection.hold(lambda: self.basic_recover_unheard(requeue))
            return
        try:
            self._recover(requeue)
        except Refusal as refusal:
            self.fail(refusal, tell=True)

    # --- the consumer timeout --------------------------------------------------------------------

    def _start_ticking(self, now_us: int) -> None:
        """Look at the oldest delivery now and then, from the first that is open.

        The real channel's timer runs from its opening until an acknowledgement leaves nothing open, and
        from then on starts with the next delivery (measured on 3.10; ``rabbit_channel.erl``).
        """
        self._ticking_since_us = self._opened_us if self._ticking_since_us is None else now_us
        self._wait_for_tick(now_us)

    def _wait_for_tick(self, oldest_us: int) -> None:
        settings, since_us = self._context.settings, self._ticking_since_us
        if since_us is None:
            return
        timeout_ms = settings.consumer_timeout_ms
        if self._context.has_queue_timeouts:
            timeout_ms = 0  # whichever delivery is the oldest then: look at each tick
        if timeout_ms is None:
            return
        interval_us = settings.channel_tick_interval_ms * _US_PER_MS
        overdue_us = max(oldest_us + timeout_ms * _US_PER_MS, self._context.now() + 1)
        ticks = max(1, -(-(overdue_us - since_us) // interval_us))
        self._context.ticks.set(self, since_us + ticks * interval_us)

    def tick(self) -> None:
        """Close the channel (406) if its oldest delivery is open for longer than allowed."""
        found = self.window.oldest()
        if found is None or not self.is_open:
            return
        queued, oldest_us = found
        timeout_ms = queued.queue.consumer_timeout_ms()
        if timeout_ms is None or oldest_us + timeout_ms * _US_PER_MS > self._context.now():
            self._wait_for_tick(oldest_us)
            return
        explanation = (
            f"delivery acknowledgement on channel {self.number} timed out. Timeout value used: {timeout_ms} ms. "
            "This timeout value can be configured, see consumers doc guide to learn more"
        )
        self.fail(refuse(refusals.PRECONDITION_FAILED, explanation), tell=True)

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

    def _recover(self, requeue: bool) -> None:
        if not requeue:
            raise refuse(refusals.NOT_IMPLEMENTED, "requeue=false", methods.BASIC_RECOVER)
        self.window.settle(self.window.take_all(), requeue=True, moment="message.rejected")

    def _settle(self, tag: int, multiple: bool, moment: str, requeue: bool, method: Method) -> None:
        if not self.is_open:
            return
        if self.is_held:
            self.connection.hold(lambda: self._settle(tag, multiple, moment, requeue, method))
            return
        taken = self.window.take(tag, multiple)
        if taken is None:
            refusal = refuse(refusals.PRECONDITION_FAILED, f"unknown delivery tag {tag}", method)
            self.fail(refusal, tell=True)
            return
        self.window.settle(taken, requeue=requeue, moment=moment)


def _no_fast_reply(no_ack: bool) -> Exception:
    if not no_ack:
        return refuse(refusals.PRECONDITION_FAILED, "reply consumer cannot acknowledge")
    return UnsupportedError(
        f"Direct reply-to (consuming from {FAST_REPLY!r}) is not simulated; have replies sent to a queue of the "
        "client's own: queue_declare(exclusive=True), and its name as reply_to."
    )
