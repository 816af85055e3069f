"""What the server sends to a client: events, and two answers.

The main name is :data:`Event`, the union of all kinds; :class:`DeclareOk` and :class:`Got` are
returned instead.  Events lie in the ``outbox`` of a
connection in the order in which the server sent them.  They name the :class:`Channel` itself and
not its number, because a number is used again: a client drops events of a channel it has closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tqsim.broker.rabbitmq.messages import Message
from tqsim.broker.rabbitmq.methods import Method

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.channels import Channel

__all__ = [
    "ChannelClosed",
    "Confirm",
    "ConnectionClosed",
    "ConnectionLost",
    "ConsumerCancelled",
    "DeclareOk",
    "Deliver",
    "Event",
    "Got",
    "Return",
]


@dataclass(slots=True, eq=False)
class Deliver:
    """A message for a consumer (``basic.deliver``).

    ``delivery_number`` counts the deliveries of the whole server, from 1, so that a history can
    tell two deliveries of one message apart; ``delivery_tag`` is the channel's own small integer.
    """

    channel: Channel
    consumer_tag: str
    delivery_tag: int
    redelivered: bool
    message: Message
    delivery_number: int

    @property
    def exchange(self) -> str:
        """The exchange that the message was published to."""
        return self.message.exchange

    @property
    def routing_key(self) -> str:
        """The routing key that the message was published with."""
        return self.message.routing_key


class DeclareOk(NamedTuple):
    """The answer of ``queue.declare``: the name, the ready messages, the consumers."""

    queue: str
    message_count: int
    consumer_count: int


@dataclass(slots=True, eq=False)
class Got:
    """The answer of ``basic.get``.  ``message_count`` is what is left ready."""

    delivery_tag: int
    redelivered: bool
    message: Message
    message_count: int
    delivery_number: int

    @property
    def exchange(self) -> str:
        """The exchange that the message was published to."""
        return self.message.exchange

    @property
    def routing_key(self) -> str:
        """The routing key that the message was published with."""
        return self.message.routing_key


@dataclass(slots=True, eq=False)
class Return:
    """A mandatory message that no queue took (``basic.return``)."""

    channel: Channel
    code: int
    text: str
    message: Message

    @property
    def exchange(self) -> str:
        """The exchange that the message was published to."""
        return self.message.exchange

    @property
    def routing_key(self) -> str:
        """The routing key that the message was published with."""
        return self.message.routing_key


@dataclass(slots=True)
class Confirm:
    """The word on a publish in confirm mode (``basic.ack``, or ``basic.nack`` if not ``taken``)."""

    channel: Channel
    number: int
    taken: bool


@dataclass(slots=True)
class ConsumerCancelled:
    """The queue of a consumer is gone (``basic.cancel`` sent by the server)."""

    channel: Channel
    consumer_tag: str


@dataclass(slots=True)
class ChannelClosed:
    """The server closed a channel because of a request that has no answer, such as a publish."""

    channel: Channel
    code: int
    text: str
    method: Method


@dataclass(slots=True)
class ConnectionClosed:
    """The server closed the connection and said why."""

    code: int
    text: str
    method: Method


@dataclass(slots=True)
class ConnectionLost:
    """The server vanished without a word: the socket is dead."""


Event: TypeAlias = Deliver | Return | Confirm | ConsumerCancelled | ChannelClosed | ConnectionClosed | ConnectionLost
