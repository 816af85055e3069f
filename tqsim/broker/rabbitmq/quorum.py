"""A quorum queue, as a client of a cluster of one sees it.

The main name is :class:`QuorumQueue`; :class:`QuorumRota` is its turn-taking and :class:`QuorumReady`
its line.  Measured on RabbitMQ 3.10.8, and read in ``rabbit_fifo.erl``: a message that comes back goes
to the front if the queue has a delivery limit or if its channel ended, and else to the end; every
message survives a restart; a full queue that rejects takes one message too many, and takes others again
when it is four fifths full.

Left out: replicas and leaders; credit; what is kept for at-least-once dead-lettering while no queue
takes it; that a full queue tells each publisher by itself when to stop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Final

from tqsim.broker.rabbitmq.arguments import integer
from tqsim.broker.rabbitmq.consumers import Consumer, Rota, SoleRota
from tqsim.broker.rabbitmq.messages import Message, Queued
from tqsim.broker.rabbitmq.queues import Queue
from tqsim.broker.rabbitmq.ready import Ready
from tqsim.broker.rabbitmq.refusals import RESOURCE_LOCKED, refuse

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.window import Window

__all__ = ["QuorumQueue", "QuorumReady", "QuorumRota", "TwoClassReady"]

_UNLIMITED: Final = 2_000  # the credit of a consumer without prefetch
_DELIVERY_LIMIT: Final = 20
_HIGH_FROM: Final = 5
_HIGH_IN_A_ROW: Final = 2
_TICK_US: Final = 5_000_000  # quorum_tick_interval


class QuorumRota(Rota):
    """Consumers in line while they have credit: one that is full leaves at once, not when it is tried."""

    __slots__ = ()

    def take(self) -> Consumer | None:
        """Return whose turn it is; it goes to the end, or leaves the line with its last credit."""
        consumer = super().take()
        if consumer is not None and consumer.prefetch and consumer.unacked + 1 >= consumer.prefetch:
            # It has just gone to the end of its line.
            self._lines[bisect_left(self._priorities, -consumer.priority)].pop()
            self.active -= 1
            consumer.is_parked = True
            self._parked.setdefault(consumer.window, []).append(consumer)
        return consumer


class QuorumReady(Ready):
    """Messages that came back, in the order in which they did, and then the others."""

    __slots__ = ("_back",)

    def __init__(self) -> None:
        super().__init__()
        self._back: deque[Queued] = deque()

    def put_back(self, queued: Queued) -> None:
        """Return a delivered message to the front, behind those that came back before."""
        self._back.append(queued)
        self.count += 1

    def pop(self) -> Queued:
        """Remove and return the next message; there must be one."""
        self.count -= 1
        return self._back.popleft() if self._back else self._next()

    def _next(self) -> Queued:
        return self._fresh.popleft()

    def peek(self) -> Queued | None:
        """Return the next message without removing it, or None."""
        if self._back:
            return self._back[0]
        return self._fresh[0] if self._fresh else None

    def clear(self) -> None:
        """Remove every message."""
        super().clear()
        self._back.clear()

    def keep(self, predicate: Callable[[Queued], bool]) -> None:
        """Remove nothing: a quorum queue holds every message on disk."""

    def __iter__(self) -> Iterator[Queued]:
        """Walk through the messages in delivery order without removing them."""
        return chain(self._back, self._fresh)


class TwoClassReady(QuorumReady):
    """Two priorities, high from 5: after two high messages comes an older normal one.

    RabbitMQ 4.0 and later: from documentation ("quorum queues", priorities) and ``rabbit_fifo_q.erl``,
    not measured.
    """

    __slots__ = ("_high", "_in_a_row")

    def __init__(self) -> None:
        super().__init__()
        self._high: deque[Queued] = deque()
        self._in_a_row = 0

    def append(self, queued: Queued) -> None:
        """Add a message at the end of its class."""
        priority = queued.message.properties.get("priority")
        is_high = isinstance(priority, int) and priority >= _HIGH_FROM
        (self._high if is_high else self._fresh).append(queued)
        self.count += 1

    def _line(self) -> deque[Queued]:
        high, normal = self._high, self._fresh
        if not high or not normal:
            return high or normal
        is_older = high[0].message.number < normal[0].message.number
        return normal if self._in_a_row == _HIGH_IN_A_ROW and not is_older else high

    def _next(self) -> Queued:
        queued = self._line().popleft()
        self._in_a_row = 0 if self._in_a_row == _HIGH_IN_A_ROW else self._in_a_row + 1
        return queued

    def peek(self) -> Queued | None:
        """Return the next message without removing it, or None."""
        line = self._back or self._line()
        return line[0] if line else None

    def clear(self) -> None:
        """Remove every message."""
        super().clear()
        self._high.clear()

    def __iter__(self) -> Iterator[Queued]:
        """Walk through the messages, the high ones first."""
        return chain(self._back, self._high, self._fresh)


class QuorumQueue(Queue):
    """A queue of type "quorum".  ``delivery_limit`` is how often a message may come back, or None."""

    knows_global_qos: ClassVar[bool] = False

    __slots__ = ("_fetchers", "_leavers", "_ticking_since_us", "delivery_limit")

    def _new_rota(self) -> Rota:
        # Measured on 3.10: the next single consumer is the one that came first, whatever its priority.
        # From documentation, not measured: since 4.0 it is the one of the highest priority.
        by_priority = self._context.settings.number >= (4, 0)
        return SoleRota(by_priority) if self.has_single_consumer else QuorumRota()

    def _new_ready(self) -> Ready:
        number = self._context.settings.number
        limit = integer(self.arguments, "x-delivery-limit")
        if number >= (4, 0):
            # From documentation ("quorum queues", poison messages), not measured: 20 unless told
            # otherwise, and -1 means no limit.
            limit = _DELIVERY_LIMIT if "x-delivery-limit" not in self.arguments else limit
            limit = None if limit is not None and limit < 0 else limit
        self.delivery_limit = limit
        self._fetchers: dict[Window, None] = {}
        self._leavers: dict[Consumer, None] = {}
        self._ticking_since_us = self._context.now()
        self.requeues_singly = "x-delivery-limit" not in self.arguments if number < (4, 0) else limit is None
        return TwoClassReady() if number >= (4, 0) else QuorumReady()

    def admits_consumer(self, exclusive: bool) -> bool:
        """Quorum queues know no exclusive consumers, and let everyone in."""
        return True

    def prefetch_of(self, prefetch: int) -> int:
        """Return the credit of a consumer that asks for ``prefetch``; it is never without limit."""
        return prefetch or _UNLIMITED

    def begin_get(self, window: Window) -> None:
        """Note that a channel fetches; refuse (405) where a single consumer is served."""
        if self.has_single_consumer:
            raise refuse(
                RESOURCE_LOCKED,
                f"cannot obtain access to locked {self.place}. basic.get operations are not supported by quorum "
                "queues with single active consumer",
            )
        self._fetchers[window] = None

    def remove_consumer(self, consumer: Consumer) -> bool:
        """Take a consumer out; the queue is never deleted for that."""
        if consumer.unacked:
            self._leavers[consumer] = None
        return super().remove_consumer(consumer)

    @property
    def counted_consumers(self) -> int:
        """The number of consumers as ``query_stat`` in ``rabbit_fifo.erl`` tells it.

        Of single consumers only the one that is served counts; and so do, while they hold a message, a
        consumer that was cancelled and each fetched message by itself.
        """
        rota = self.rota
        count = rota.served_count if isinstance(rota, SoleRota) else len(rota)
        leavers = {consumer: None for consumer in self._leavers if consumer.unacked and consumer.channel.is_open}
        fetched = {window: self._fetched_by(window) for window in self._fetchers}
        self._leavers = leavers
        self._fetchers = {window: None for window, number in fetched.items() if number}
        return count + len(leavers) + sum(fetched.values())

    def _fetched_by(self, window: Window) -> int:
        return sum(queued.queue is self and queued.holder is None for queued in window.unacked.values())

    def look(self) -> None:
        """Be declared again, which is no use: it renews nothing (measured on 3.10)."""

    def touch(self) -> None:
        """Start the ``x-expires`` period again; it ends at the next tick (``is_expired`` in ``rabbit_fifo.erl``)."""
        if self.expires_us is None or self.rota:
            return
        passed_us = self._context.now() + self.expires_us - self._ticking_since_us
        self._context.deadlines.set(self, self._ticking_since_us + (passed_us // _TICK_US + 1) * _TICK_US)

    def take(self, no_ack: bool) -> tuple[Queued, int]:
        """Remove and return the next message, and how many are left.

        What is overdue among them goes before they are counted if the message is settled at once (``dequeue`` in
        ``rabbit_fifo.erl``; measured on 3.10).
        """
        before = self.ready.count - 1
        queued, after = super().take(no_ack)
        return queued, after if no_ack else before

    def shown(self, queued: Queued) -> Message:
        """Return a message as it is fetched: with the number of its returns."""
        message = queued.message
        headers = {**message.headers, "x-delivery-count": queued.deliveries}
        return replace(message, properties={**message.properties, "application_headers": headers})

    def run(self) -> None:
        """Deliver ready messages, those that came back with the number of their returns."""
        ready, rota = self.ready, self.rota
        terms = self.terms
        while ready.count and rota.active:
            consumer = rota.take()
            if consumer is None:
                return
            queued = ready.pop()
            message = self.shown(queued) if queued.deliveries else queued.message
            consumer.channel.deliver_as(consumer, queued, message)
            if terms is not None:
                terms.went(queued)
                terms.expire()

    def run_again(self) -> None:
        """Deliver what can be delivered after messages were put back, and only then drop what is too much."""
        if self.terms is not None:
            self.terms.expire()
        self.run()
        if self.terms is not None:
            self.terms.enforce()

    def give_back(self, queued: Queued) -> None:
        """Take back a message: at the front, or at the end if nothing limits its returns."""
        if not self.requeues_singly or self.is_deleted:
            self.put_back(queued)
            return
        queued.holder = None
        self.ready.append(queued)
        if self.terms is not None:
            self.terms.came(queued)
        self.tell("message.requeued", queued.message, delivery_number=queued.delivery_number)

    def put_back(self, queued: Queued) -> None:
        """Return a delivered message to the front, unless it came back too often."""
        limit = self.delivery_limit
        if limit is None or queued.deliveries <= limit or self.is_deleted:
            super().put_back(queued)
            return
        queued.holder = None
        self.set_terms().give_up(queued, "delivery_limit")

    def start(self) -> None:
        """Come up with the server, and look every five seconds from now on whether the queue has expired."""
        self._ticking_since_us = self._context.now()
        super().start()

    def recover(self, *, crashed: bool, lost: set[int]) -> None:
        """Go through a restart of the server: everything survives, and what was out has come back."""
        if self.terms is not None:
            self.terms.recount()
