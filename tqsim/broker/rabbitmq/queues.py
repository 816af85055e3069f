"""A classic queue.

The main name is :class:`Queue`: messages that are ready, consumers that take turns, and the rule
that brings the two together (:meth:`Queue.run`).  Creation, deletion and bindings of queues are the
business of :mod:`tqsim.broker.rabbitmq.vhosts`; lifetimes, limits and dead letters are in
:mod:`tqsim.broker.rabbitmq.terms`, quorum queues in :mod:`tqsim.broker.rabbitmq.quorum`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from tqsim.broker.rabbitmq.arguments import integer
from tqsim.broker.rabbitmq.consumers import Consumer, Rota, SoleRota
from tqsim.broker.rabbitmq.context import Context
from tqsim.broker.rabbitmq.messages import Message, Queued
from tqsim.broker.rabbitmq.ready import PriorityReady, Ready
from tqsim.broker.rabbitmq.terms import TERMS_ARGUMENTS, Terms

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.bindings import Binding
    from tqsim.broker.rabbitmq.connections import Connection
    from tqsim.broker.rabbitmq.exchanges import Exchange
    from tqsim.broker.rabbitmq.window import Window

__all__ = ["Queue"]

_US_PER_MS: Final = 1_000
_NEVER: Final = float("inf")


class Queue:
    """A queue with its properties as declared.

    ``owner`` is the connection of an exclusive queue; ``unacked`` counts the messages that are
    delivered or fetched and not yet acknowledged; ``bindings`` are the rules that lead here.
    ``carries_work`` is false while a queue that goes by itself (``exclusive``, ``auto_delete``) has
    only seen messages that are nobody's work, such as events and replies.  ``terms`` is None for a
    plain queue, which most are.
    """

    #: Whether a channel-wide prefetch is possible for its consumers.
    knows_global_qos: ClassVar[bool] = True

    __slots__ = (
        "_context",
        "_exchanges",
        "_unmarked_from",
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
        "requeues_singly",
        "rota",
        "terms",
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
        exchanges: Mapping[str, Exchange],
    ) -> None:
        self._context = context
        self._exchanges = exchanges
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
        self.requeues_singly = False
        self._unmarked_from: dict[int, int] = {}
        self.rota = self._new_rota()
        self.ready = self._new_ready()
        expires_ms = integer(arguments, "x-expires")
        self.expires_us = None if expires_ms is None else expires_ms * _US_PER_MS
        if self._own_timeout_ms() is not None:
            context.has_queue_timeouts = True
        self.terms: Terms | None = None
        if any(name in arguments for name in TERMS_ARGUMENTS):
            self.set_terms()

    def _own_timeout_ms(self) -> int | None:
        # From documentation ("consumers", per-queue delivery timeouts), not measured: since 3.12.
        has_one = self._context.settings.number >= (3, 12)
        return integer(self.arguments, "x-consumer-timeout") if has_one else None

    def consumer_timeout_ms(self) -> int | None:
        """Return how long a delivery from here may stay unacknowledged, or None for ever."""
        own_ms = self._own_timeout_ms()
        return self._context.settings.consumer_timeout_ms if own_ms is None else own_ms

    def _new_rota(self) -> Rota:
        return SoleRota() if self.has_single_consumer else Rota()

    def _new_ready(self) -> Ready:
        maximum = integer(self.arguments, "x-max-priority")
        return PriorityReady(maximum) if maximum else Ready()

    @property
    def has_single_consumer(self) -> bool:
        """Whether only one consumer at a time is served."""
        return self.arguments.get("x-single-active-consumer") is True

    @property
    def place(self) -> str:
        """How the server's texts name the queue."""
        return f"queue '{self.name}' in vhost '{self.vhost}'"

    def set_terms(self) -> Terms:
        """Return the terms, made if the queue had none."""
        if self.terms is None:
            self.terms = Terms(self._context, self, self.arguments, self._exchanges)
        return self.terms

    def publish(self, message: Message) -> bool:
        """Take a message in and deliver what can be delivered; return False if it is refused."""
        if not self.carries_work:
            self.carries_work = self._context.is_work(message)
        if self.terms is not None:
            return self._publish_on_terms(message, self.terms)
        self.ready.append(Queued(message, self))
        observe = self._context.observe
        if observe is not None:
            observe("message.queued", message=message, vhost=self.vhost, queue=self.name)
        if self.rota.active:
            self.run()
        return True

    def _publish_on_terms(self, message: Message, terms: Terms) -> bool:
        """Publish, where a consumer that has room comes before every limit (measured on 3.10)."""
        if not terms.admits(message):
            self.tell("message.dropped", message, reason="maxlen")
            return False
        queued = terms.wrap(message)
        self.ready.append(queued)
        terms.came(queued)
        self.tell("message.queued", message)
        if self.rota.active:
            self.run()
        if not queued.deliveries:
            terms.enforce(queued)
        return True

    def run(self) -> None:
        """Deliver ready messages until none is left or no consumer has room."""
        ready = self.ready
        rota = self.rota
        terms = self.terms
        while ready.count and rota.active:
            consumer = rota.take()
            if consumer is None:
                return
            if terms is None:
                consumer.channel.deliver(consumer, ready.pop())
            else:
                queued = ready.pop()
                terms.went(queued)
                consumer.channel.deliver(consumer, queued)
                terms.expire()

    def take(self, no_ack: bool) -> tuple[Queued, int]:
        """Remove and return the next message, which must be there, and how many are left, for a fetch."""
        queued = self.ready.pop()
        terms = self.terms
        if terms is not None:
            terms.went(queued)
            terms.expire()
        return queued, self.ready.count

    def run_again(self) -> None:
        """Deliver what can be delivered after messages were put back."""
        if self.terms is not None:
            self.terms.enforce()
        self.run()

    def start(self) -> None:
        """Come up with the server."""
        self.touch()
        if self.terms is not None:
            self.terms.start()
        self.run_again()

    def give_back(self, queued: Queued) -> None:
        """Take back a message that its consumer does not want now, without running the queue."""
        self.put_back(queued)

    def put_back(self, queued: Queued) -> None:
        """Return a delivered message to its place, without running the queue."""
        queued.holder = None
        if self.is_deleted:
            self.drop(queued, "queue deleted")
            return
        if self._unmarked_from and queued.message.number >= self._unmarked_from.get(self._line(queued), _NEVER):
            queued.deliveries = 0
        self.ready.put_back(queued)
        if self.terms is not None:
            self.terms.came(queued)
        observe = self._context.observe
        if observe is not None:
            observe(
                "message.requeued",
                message=queued.message,
                vhost=self.vhost,
                queue=self.name,
                delivery_number=queued.delivery_number,
            )

    def reject(self, queued: Queued) -> None:
        """Let go of a message that a consumer gave up."""
        if self.terms is not None and not self.is_deleted:
            self.terms.give_up(queued, "rejected")
        else:
            self.drop(queued, "rejected")

    def drop(self, queued: Queued, reason: str) -> None:
        """Record that a message leaves the queue without having been acknowledged."""
        self.tell("message.dropped", queued.message, reason=reason)

    def tell(self, moment: str, message: Message, **fields: object) -> None:
        """Tell the observer of a moment of a message in this queue."""
        observe = self._context.observe
        if observe is not None:
            observe(moment, message=message, vhost=self.vhost, queue=self.name, **fields)

    def purge(self, reason: str = "purged") -> int:
        """Drop every ready message and return their number."""
        count = self.ready.count
        if self._context.observe is not None:
            for queued in self.ready:
                self.drop(queued, reason)
        self.ready.clear()
        if self.terms is not None:
            self.terms.recount()
        return count

    def recover(self, *, crashed: bool, lost: set[int]) -> None:
        """Go through a restart of the server: messages that are not persistent are dropped.

        So are those whose number is in ``lost``.  After a crash every survivor counts as redelivered,
        also one that was never handed out (measured on 3.10, by killing a node).
        """

        def survives(queued: Queued) -> bool:
            return queued.message.is_persistent and queued.message.number not in lost

        self._note_gaps(crashed, survives)
        if self._context.observe is not None:
            for queued in self.ready:
                if not survives(queued):
                    self.drop(queued, "server stopped")
        self.ready.keep(survives)
        if crashed:
            for queued in self.ready:
                queued.deliveries = max(1, queued.deliveries)
        if self.terms is not None:
            self.terms.recount()

    def _note_gaps(self, crashed: bool, survives: Callable[[Queued], bool]) -> None:
        """Note from which message on nothing is marked as redelivered any more, in each priority.

        The queue numbers its messages and counts up to where it has delivered, one by one, so that the count never
        gets past one that is lost with a stop before it was delivered (``next_deliver_seq_id`` in
        ``rabbit_variable_queue.erl``; measured on 3.10).
        """
        if crashed:
            self._unmarked_from.clear()
            return
        for queued in self.ready:
            if not queued.deliveries and not survives(queued):
                self._unmarked_from.setdefault(self._line(queued), queued.message.number)

    def _line(self, queued: Queued) -> int:
        maximum = integer(self.arguments, "x-max-priority")
        return queued.message.priority(maximum) if maximum else 0

    def admits_consumer(self, exclusive: bool) -> bool:
        """Whether another consumer may join, ``exclusive`` or not."""
        if self.has_single_consumer:
            return not exclusive
        return not self.rota or not (exclusive or self.rota.is_exclusive)

    def prefetch_of(self, prefetch: int) -> int:
        """Return the limit of unacknowledged messages for a consumer that asks for ``prefetch``."""
        return prefetch

    def begin_get(self, window: Window) -> None:
        """Note that a channel fetches; raise the :class:`Refusal` of a queue whose messages cannot be fetched."""

    def shown(self, queued: Queued) -> Message:
        """Return a message as it is fetched."""
        return queued.message

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

    @property
    def counted_consumers(self) -> int:
        """The number of consumers as a declaration tells it."""
        return len(self.rota)

    def look(self) -> None:
        """Be declared again, passively or not, which counts as use."""
        self.touch()

    def touch(self) -> None:
        """Start the ``x-expires`` period again, if the queue has one and no consumer."""
        if self.expires_us is not None and not self.rota:
            self._context.deadlines.set(self, self._context.now() + self.expires_us)
