"""A message, and its place in one queue.

The main name is :class:`Message`, what a publisher sent; :class:`Queued` is one copy of it in one
queue, and :class:`Mortal` one that has a time to live.  A message that was routed to three queues is
one :class:`Message` and three :class:`Queued`.  All are small on purpose: a run may hold hundreds of
thousands of them.  None knows how it is stored; that is :mod:`tqsim.broker.rabbitmq.ready`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.consumers import Consumer
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["CarbonCopied", "Message", "Mortal", "Queued"]

_PERSISTENT: Final = 2


@dataclass(slots=True, eq=False)
class Message:
    """A published message; never changed after publishing.

    ``number`` is its place in the publish order of the whole server, from 1.  ``properties`` are
    the AMQP basic properties (``headers``, ``delivery_mode``, ``priority``, ...) as the publisher
    gave them: kept, not copied.
    """

    number: int
    exchange: str
    routing_key: str
    body: bytes | str
    properties: Mapping[str, object]

    @property
    def is_persistent(self) -> bool:
        """Whether it survives a restart in a durable queue: ``delivery_mode`` 2."""
        return self.properties.get("delivery_mode") == _PERSISTENT

    def priority(self, maximum: int) -> int:
        """Return the priority within a queue of ``x-max-priority`` = ``maximum``.

        A missing priority is 0 and a larger one counts as ``maximum`` (measured on RabbitMQ 3.10).
        """
        given = self.properties.get("priority")
        return min(given, maximum) if isinstance(given, int) else 0

    @property
    def keys(self) -> tuple[str, ...]:
        """All routing keys: that of the publish, then those of ``CC`` and ``BCC``."""
        return (self.routing_key,)

    @property
    def size(self) -> int:
        """The bytes of the body."""
        return len(self.body.encode() if isinstance(self.body, str) else self.body)

    @property
    def headers(self) -> Mapping[str, object]:
        """The headers, which py-amqp calls ``application_headers``."""
        headers = self.properties.get("application_headers")
        return headers if isinstance(headers, Mapping) else {}


@dataclass(slots=True, eq=False)
class CarbonCopied(Message):
    """A message with more routing keys than one (RabbitMQ's sender-selected distribution)."""

    more_keys: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All routing keys: that of the publish, then those of ``CC`` and ``BCC``."""
        return (self.routing_key, *self.more_keys)


@dataclass(slots=True, eq=False)
class Queued:
    """A message in a queue, ready or delivered and not yet acknowledged.

    ``deliveries`` counts how often it was handed out; ``holder`` is the consumer that has it now
    (None when it is ready, or was fetched by ``basic.get``), and the tag and the number are those of
    its last delivery.  Its position in the queue is the number of the message: a queue gets each
    publish at most once and in publish order.
    """

    message: Message
    queue: Queue
    deliveries: int = 0
    holder: Consumer | None = None
    delivery_tag: int = 0
    delivery_number: int = 0

    @property
    def redelivered(self) -> bool:
        """Whether its last delivery was not the first."""
        return self.deliveries > 1


@dataclass(slots=True, eq=False)
class Mortal(Queued):
    """A message in a queue that has a time to live: until ``due_us``, also after a requeue."""

    due_us: int = 0
