"""A classic queue.

The main name is :class:`Queue`: messages that are ready, consumers that take turns, and the rule
that brings the two together (:meth:`Queue.run`).  Creation, deletion and bindings of queues are the
business of :mod:`tqsim.broker.rabbitmq.vhosts`.  Left out for now: message TTL, dead letters,
length limits, quorum queues.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from tqsim.broker.rabbitmq.arguments import integer
from tqsim.broker.rabbitmq.consumers import Consumer, Rota
from tqsim.broker.rabbitmq.context import Context
from tqsim.broker.rabbitmq.messages import Message, Queued
from tqsim.broker.rabbitmq.ready import PriorityReady, Ready

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.connections import Connection
    from tqsim.broker.rabbitmq.exchanges import Binding

__all__ = ["Queue"]

_US_PER_MS: Final = 1_000


class Queue:
    """A queue with its properties as declared.

    ``owner`` is the connection of an exclusive queue; ``unacked`` counts the messages that are
    delivered or fetched and not yet acknowledged; ``bindings`` are the rules that lead here.
    ``carries_work`` is false while a queue that goes by itself (``exclusive``, ``auto_delete``) has
    only seen messages that are nobody's work, such as events and replies.
    """

    __slots__ = (
        "_context",
        "arguments",
        "auto_delete",
        "bindings",
        "carries_work",
        "durable",
        "expires_us",
        "is_deleted",
        "name",
        "owner",
        "ready",
        "rota",
        "unacked",
        "vhost",
    )

    def __init__(
        self,
        context: Context,
        name: str,
        vhost: str,
        *,
        durable: bool,
        owner: Connection | None,
        auto_delete: bool,
        arguments: Mapping[str, object],
    ) -> None:
        self._context = context
        self.name = name
        self.vhost = vhost
        self.durable = durable
        self.owner = owner
        self.auto_delete = auto_delete
        self.arguments = dict(arguments)
        self.bindings: dict[Binding, None] = {}
        self.carries_work = owner is None and not auto_delete
        self.is_deleted = False
        self.unacked = 0
        self.rota = Rota()
        maximum = integer(arguments, "x-max-priority")
        self.ready = PriorityReady(maximum) if maximum else Ready()
        expires_ms = integer(arguments, "x-expires")
        self.expires_us = None if expires_ms is None else expires_ms * _US_PER_MS

    @property
    def place(self) -> str:
        """How the server's texts name the queue."""
        return f"queue '{self.name}' in vhost '{self.vhost}'"

    def publish(self, message: Message) -> None:
        """Take a message in and deliver what can be delivered."""
        if not self.carries_work:
            self.carries_work = self._context.is_work(message)
        self.ready.append(Queued(message, self))
        observe = self._context.observe
        if observe is not None:
            observe("message.queued", message=message, vhost=self.vhost, queue=self.name)
        if self.rota.active:
            self.run()

    def run(self) -> None:
        """Deliver ready messages until none is left or no consumer has room."""
        ready = self.ready
        rota = self.rota
        while ready.count and rota.active:
            consumer = rota.take()
            if consumer is None:
                return
            consumer.channel.deliver(consumer, ready.pop())

    def put_back(self, queued: Queued) -> None:
        """Return a delivered message to its place, without running the queue."""
        queued.holder = None
        if self.is_deleted:
            self.drop(queued, "queue deleted")
            return
        self.ready.put_back(queued)
        observe = self._context.observe
        if observe is not None:
            observe(
                "message.requeued",
                message=queued.message,
                vhost=self.vhost,
                queue=self.name,
                delivery_number=queued.delivery_number,
            )

    def drop(self, queued: Queued, reason: str) -> None:
        """Record that a message leaves the queue without having been acknowledged."""
        observe = self._context.observe
        if observe is not None:
            observe(
                "message.dropped",
                message=queued.message,
                vhost=self.vhost,
                queue=self.name,
                reason=reason,
            )

    def purge(self, reason: str = "purged") -> int:
        """Drop every ready message and return their number."""
        count = self.ready.count
        if self._context.observe is not None:
            for queued in self.ready:
                self.drop(queued, reason)
        self.ready.clear()
        return count

    def recover(self, *, crashed: bool) -> None:
        """Go through a restart of the server: messages that are not persistent are dropped.

        After a crash every survivor counts as redelivered, also one that was never handed out
        (measured on 3.10, by killing a node).
        """
        if self._context.observe is not None:
            for queued in self.ready:
                if not queued.message.is_persistent:
                    self.drop(queued, "server stopped")
        self.ready.keep(lambda queued: queued.message.is_persistent)
        if crashed:
            for queued in self.ready:
                queued.deliveries = max(1, queued.deliveries)

    def add_consumer(self, consumer: Consumer) -> None:
        """Let a consumer join and give it what is ready."""
        self.rota.add(consumer)
        self._context.deadlines.drop(self)
        self.run()

    def remove_consumer(self, consumer: Consumer) -> bool:
        """Take a consumer out; return whether the queue must now be deleted (``auto_delete``)."""
        self.rota.remove(consumer)
        if self.rota:
            return False
        if self.auto_delete:
            return True
        self.touch()
        return False

    def touch(self) -> None:
        """Start the ``x-expires`` period again, if the queue has one and no consumer."""
        if self.expires_us is not None and not self.rota:
            self._context.deadlines.set(self, self._context.now() + self.expires_us)
