"""An AMQP channel as kombu uses it, over the simulated server.

The main name is :class:`SimulatedChannel`: the methods, defaults and exceptions of py-amqp's
``Channel`` (amqp/channel.py) and kombu's ``pyamqp.Channel``, without frames.  What the server
does with a request is in :mod:`tqsim.broker.rabbitmq`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import amqp
from amqp.exceptions import ChannelError as AmqpChannelError
from amqp.exceptions import ConsumerCancelled, MessageNacked, error_for_code
from kombu.transport import base, pyamqp

from tqsim.broker.content import carried, carried_body, carried_keys, carried_name, carried_properties, carried_tag
from tqsim.broker.declaring import Declaring, request
from tqsim.broker.rabbitmq.channels import Channel as ServerChannel
from tqsim.broker.rabbitmq.events import Confirm, Deliver, Got, Return
from tqsim.broker.rabbitmq.messages import Message as ServerMessage
from tqsim.broker.tables import copy_table, decode_body

if TYPE_CHECKING:
    from tqsim.broker.connection import SimulatedConnection

__all__ = ["SimulatedChannel"]

_BASIC_CANCEL: Final = (60, 30)
_BASIC_RETURN: Final = (60, 50)


class SimulatedChannel(Declaring, base.StdChannel):
    """One channel of a :class:`~tqsim.broker.connection.SimulatedConnection`."""

    Message: Any = pyamqp.Message

    def __init__(self, connection: SimulatedConnection, server_channel: ServerChannel, line: Any) -> None:
        self.connection: SimulatedConnection | None = connection
        self.server_channel = server_channel
        #: What requests go to: the server's channel, or something that leads there.
        self.line = line
        self.channel_id = server_channel.number
        self.is_open = True
        self.is_closing = False
        self.no_ack_consumers: Any = set()
        self.callbacks: dict[str, Callable[[Any], None] | None] = {}
        self.cancel_callbacks: dict[str, Callable[[str], None] | None] = {}
        self.events: defaultdict[str, set[Callable[..., None]]] = defaultdict(set)
        self._confirms: list[bool] | None = None

    # -- messages -----------------------------------------------------------------------------

    prepare_message: Any = pyamqp.Channel.prepare_message

    def prepare_queue_arguments(self, arguments: Any, **kwargs: Any) -> Any:
        """Translate kombu's queue options into ``x-`` arguments."""
        return base.to_rabbitmq_queue_arguments(arguments, **kwargs)

    def message_to_python(self, raw_message: Any) -> Any:
        """Return the kombu message of a received one; ``delivery_number`` tells deliveries apart."""
        message: Any = self.Message(raw_message, channel=self)
        message.delivery_number = raw_message.delivery_number
        return message

    @request
    def basic_publish(
        self,
        msg: amqp.Message,
        exchange: str = "",
        routing_key: str = "",
        mandatory: bool = False,
        immediate: bool = False,
        timeout: float | None = None,
        confirm_timeout: float | None = None,
    ) -> None:
        """Publish; an unroutable message is dropped unless ``mandatory``.

        If the connection has ``confirm_publish``, this waits for the server's confirm and raises
        ``amqp.exceptions.MessageNacked`` where that is negative.
        As py-amqp does when the server has announced ``connection.blocked``, anything that the
        server has sent meanwhile is read first: a close, for example, is raised here.
        """
        connection = self.connection
        assert connection is not None
        connection.read_before_publish()
        if connection.confirm_publish and self._confirms is None:
            self.confirm_select()
            self._confirms = []
        exchange, routing_key = carried_keys(exchange, routing_key)
        body = carried_body(msg)
        properties, are_readable = carried_properties(msg)
        if are_readable:
            self.line.basic_publish(exchange, routing_key, body, properties, mandatory=mandatory, immediate=immediate)
        else:
            self.line.publish_unreadable(exchange)
        if self._confirms is not None:
            self._await_confirm(connection, confirm_timeout or timeout)

    def _await_confirm(self, connection: SimulatedConnection, timeout: float | None) -> None:
        """Read until the confirm is there, as ``basic_publish_confirm`` does (amqp/channel.py)."""
        confirms = self._confirms
        while confirms is not None and not confirms:
            connection.drain_events(timeout)
        if confirms is not None and not confirms.pop(0):
            raise MessageNacked

    @request
    def confirm_select(self, nowait: bool = False) -> tuple[()]:
        """Ask for publisher confirms; they go to ``events["basic_ack"]`` and ``["basic_nack"]``."""
        self.line.confirm_select()
        return ()

    @request
    def tx_select(self) -> None:
        """Refuse transactions, as the server does."""
        self.line.tx_select()

    @request
    def tx_commit(self) -> None:
        """Have it refused, as there are no transactions."""
        self.line.tx_commit()

    @request
    def tx_rollback(self) -> None:
        """Have it refused, as there are no transactions."""
        self.line.tx_rollback()

    # -- consuming ----------------------------------------------------------------------------

    @request
    def basic_consume(
        self,
        queue: str = "",
        consumer_tag: str = "",
        no_local: bool = False,
        no_ack: bool = False,
        exclusive: bool = False,
        nowait: bool = False,
        callback: Callable[[Any], None] | None = None,
        arguments: Mapping[str, Any] | None = None,
        on_cancel: Callable[[str], None] | None = None,
    ) -> str:
        """Start a consumer and return its tag."""
        if nowait and not consumer_tag:
            raise ValueError("Consumer tag must be specified when nowait is True")
        queue, asked, table = carried("ssF", queue, consumer_tag, arguments)
        tag: str = self.line.basic_consume(queue, asked, no_ack=no_ack, exclusive=exclusive, arguments=table)
        self.callbacks[tag] = callback
        if on_cancel is not None:
            self.cancel_callbacks[tag] = on_cancel
        if no_ack:
            self.no_ack_consumers.add(tag)
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> str | None:
        """End a consumer; what it has not acknowledged stays unacknowledged.

        A channel that has lost its connection does nothing (amqp/channel.py, ``basic_cancel``).
        """
        tag: str | None = None if self.connection is None else self._cancel(consumer_tag)
        return tag

    @request
    def _cancel(self, consumer_tag: str) -> str:
        tag = carried_name(consumer_tag)
        self.line.basic_cancel(tag)
        self._forget_consumer(tag)
        return tag

    @request
    def basic_get(self, queue: str = "", no_ack: bool = False) -> amqp.Message | None:
        """Fetch one message, or ``None`` when nothing is ready."""
        got = self.line.basic_get(carried_name(queue), no_ack=no_ack)
        if got is None:
            return None
        message = self._incoming(got, {})
        message.delivery_info["message_count"] = got.message_count
        return message

    @request
    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge one message, or all up to and including it."""
        self.line.basic_ack(carried_tag(delivery_tag), multiple=multiple)

    @request
    def basic_reject(self, delivery_tag: int, requeue: bool) -> None:
        """Reject a message; with ``requeue`` it returns to its place in the queue."""
        self.line.basic_reject(carried_tag(delivery_tag), requeue=requeue)

    @request
    def basic_qos(self, prefetch_size: int, prefetch_count: int, a_global: bool) -> tuple[()]:
        """Limit unacknowledged messages; for RabbitMQ's meaning of the flag see the server."""
        size, count, is_global = carried("lBb", prefetch_size, prefetch_count, a_global)
        self.line.basic_qos(count, is_global, size)
        return ()

    @request
    def basic_recover(self, requeue: bool = False) -> None:
        """Have every unacknowledged message of the channel delivered again; py-amqp does not wait for the answer."""
        self.line.basic_recover_unheard(requeue)

    # -- events -------------------------------------------------------------------------------

    def on_deliver(self, event: Deliver) -> None:
        """Hand a delivery to the consumer's callback, or give it back (amqp/channel.py, ``_on_basic_deliver``)."""
        try:
            callback: Any = self.callbacks[event.consumer_tag]
        except KeyError:
            self.basic_reject(event.delivery_tag, requeue=True)
        else:
            callback(self._incoming(event, {"consumer_tag": event.consumer_tag}))

    def on_cancelled(self, consumer_tag: str) -> None:
        """The server ended a consumer: tell it, or raise ``ConsumerCancelled`` as py-amqp does."""
        callback = self._forget_consumer(consumer_tag)
        if callback is None:
            raise ConsumerCancelled(consumer_tag, _BASIC_CANCEL)
        callback(consumer_tag)

    def on_return(self, event: Return) -> None:
        """Hand a returned message to the callbacks registered under ``basic_return``.

        Raises py-amqp's ``ChannelError`` when there are none (amqp/channel.py, ``_on_basic_return``).
        """
        error = error_for_code(event.code, event.text, _BASIC_RETURN, AmqpChannelError)
        callbacks = self.events["basic_return"]
        if not callbacks:
            raise error
        message = self._received(event.message)
        for callback in list(callbacks):
            callback(error, event.exchange, event.routing_key, message)

    def on_confirm(self, event: Confirm) -> None:
        """Note the server's word on a publish, and tell those who asked for it."""
        if self._confirms is not None:
            self._confirms.append(event.taken)
        for callback in list(self.events["basic_ack" if event.taken else "basic_nack"]):
            callback(event.number, False)

    def _incoming(self, event: Deliver | Got, consumer: dict[str, Any]) -> amqp.Message:
        message = self._received(event.message)
        message.channel = self
        message.delivery_info = {
            **consumer,
            "delivery_tag": event.delivery_tag,
            "redelivered": event.redelivered,
            "exchange": event.message.exchange,
            "routing_key": event.message.routing_key,
        }
        message.delivery_number = event.delivery_number
        return message

    @staticmethod
    def _received(sent: ServerMessage) -> amqp.Message:
        properties = dict(sent.properties)
        headers: Any = properties.get("application_headers")
        if headers is not None:
            properties["application_headers"] = copy_table(headers)
        message = amqp.Message(decode_body(sent.body, properties.get("content_encoding")))
        message.properties = properties
        return message

    # -- end ----------------------------------------------------------------------------------

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Close the channel; unacknowledged messages return to their queues."""
        connection, self.connection = self.connection, None
        if connection is not None and self.is_open:
            self.is_open = False
            connection.channels.pop(self.channel_id, None)
            if connection.connected:
                self.line.close()
        self.collect()

    def revive(self, server_channel: ServerChannel, line: Any) -> None:
        """Go on over another channel of the server, which has not been asked for confirms (``_do_revive``)."""
        self.server_channel = server_channel
        self.line = line
        self._confirms = None

    def collect(self) -> None:
        """Forget consumers and the connection, without talking to the server."""
        self.is_open = False
        self.connection = None
        self.callbacks.clear()
        self.cancel_callbacks.clear()
        self.no_ack_consumers.clear()
        self.events.clear()

    def _forget_consumer(self, consumer_tag: str) -> Callable[[str], None] | None:
        self.no_ack_consumers.discard(consumer_tag)
        self.callbacks.pop(consumer_tag, None)
        return self.cancel_callbacks.pop(consumer_tag, None)
