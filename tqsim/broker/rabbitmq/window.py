"""What a channel has handed out and not yet heard back about.

The main name is :class:`Window`: the unacknowledged deliveries of one channel by delivery tag, the
limit that ``basic.qos(global=True)`` sets for the channel as a whole, and what follows when
deliveries are settled.  It refuses nothing; :mod:`tqsim.broker.rabbitmq.channels` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING

from tqsim.broker.rabbitmq.context import Context, Observe
from tqsim.broker.rabbitmq.messages import Queued

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.consumers import Consumer
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["Window"]


class Window:
    """The open deliveries of one channel.

    ``limit`` is the channel-wide prefetch (0: none), ``volume`` what counts towards it and
    ``stalled`` the queues that had a message but met the limit, longest first.

    ``volume`` follows RabbitMQ's limiter and is not simply the number of open deliveries: it counts
    only while there is a limit, starts as the number of open deliveries when a limit is set where
    none was, and an acknowledgement of a ``basic.get`` never lowers it.  (Measured on 3.10: a get
    that is open at the time of ``basic.qos`` takes one place for good.)

    ``observe`` is the channel's own, which adds where that is.

    When the oldest delivery was made is kept as one stamp per moment at which there were deliveries, not
    per delivery.

    Not modelled: the real server counts a consumer's credit by its tag, so that a consumer which
    takes over the tag of a cancelled one gains room from acknowledgements of the other's deliveries.
    """

    __slots__ = (
        "_context",
        "_moment",
        "_observe",
        "_oldest_tag",
        "_on_first",
        "_stamps",
        "last_tag",
        "limit",
        "stalled",
        "unacked",
        "volume",
    )

    def __init__(self, context: Context, observe: Observe, on_first: Callable[[int], None]) -> None:
        self._context = context
        self._observe = observe
        self.limit = 0
        self.volume = 0
        self.stalled: dict[Queue, None] = {}
        self.unacked: dict[int, Queued] = {}
        self.last_tag = 0
        self._oldest_tag = 1
        self._moment = -1
        self._stamps: deque[tuple[int, int]] = deque()  # the first tag of a moment, and when that was
        self._on_first = on_first

    def set_limit(self, limit: int) -> None:
        """Set the channel-wide limit, 0 for none, and deliver what it now allows."""
        if limit == 0:
            self.volume = 0
        elif self.limit == 0:
            self.volume = len(self.unacked)
        self.limit = limit
        self.resume()

    def hand_out(self, queued: Queued, holder: Consumer | None, no_ack: bool) -> None:
        """Note a delivery to ``holder`` (None: ``basic.get``) and give it its tag and its number."""
        context = self._context
        queued.delivery_number = context.delivered = context.delivered + 1
        queued.delivery_tag = tag = self.last_tag = self.last_tag + 1
        queued.deliveries += 1
        if not no_ack:
            if self._moment != context.moment:
                self._stamp(context.moment)
            self.unacked[tag] = queued
            queued.queue.unacked += 1
            if holder is not None:
                queued.holder = holder
                holder.unacked += 1
                if self.limit and queued.queue.knows_global_qos:
                    self.volume += 1
        if context.observe is not None:
            self._tell("message.delivered", queued, holder, redelivered=queued.redelivered, no_ack=no_ack)

    def _stamp(self, moment: int) -> None:
        """Note when the deliveries of this moment are made."""
        self._moment = moment
        now_us = self._context.now()
        if not self.unacked:
            self._oldest_tag = self.last_tag
            self._stamps.clear()
            self._on_first(now_us)
        else:
            self._forget_stamps()
        self._stamps.append((self.last_tag, now_us))

    def _forget_stamps(self) -> None:
        """Leave out the stamps that no open delivery needs."""
        # Tags are consecutive, so each is walked over once in the life of a channel.
        while self._oldest_tag not in self.unacked and self._oldest_tag < self.last_tag:
            self._oldest_tag += 1
        stamps = self._stamps
        while len(stamps) > 1 and stamps[1][0] <= self._oldest_tag:
            stamps.popleft()

    def oldest(self) -> tuple[Queued, int] | None:
        """Return the oldest open delivery and when it was made, or None if none is open."""
        if not self.unacked:
            return None
        self._forget_stamps()
        return self.unacked[self._oldest_tag], self._stamps[0][1]

    def acknowledge(self, tag: int) -> bool:
        """Settle one delivery for good; return False if the tag is not open.

        The common case, written out for speed: the same as ``settle(take(tag), requeue=False)``.
        """
        queued = self.unacked.pop(tag, None)
        if queued is None:
            return False
        queue = queued.queue
        queue.unacked -= 1
        holder = queued.holder
        if self._context.observe is not None:
            self._tell("message.acked", queued, holder)
        if holder is not None:
            was_full = holder.unacked == holder.prefetch
            holder.unacked -= 1
            if self.volume:
                self.volume -= 1
            if was_full:
                queue.rota.unpark(self)
                queue.run()
        if self.stalled:
            self.resume()
        return True

    def take(self, tag: int, multiple: bool) -> list[Queued] | None:
        """Remove and return the deliveries that ``tag`` stands for; None if the tag is not open.

        With ``multiple`` that is all up to and including ``tag``, and 0 stands for all there are.
        A tag that was settled before is unknown, also with ``multiple`` (measured on 3.10).
        """
        if not multiple:
            queued = self.unacked.pop(tag, None)
            return None if queued is None else [queued]
        if tag == 0:
            return self.take_all()
        if tag not in self.unacked:
            return None
        taken = []
        # Walking the dictionary instead would step over its deleted entries again and again.
        for number in range(self._oldest_tag, tag + 1):
            found = self.unacked.pop(number, None)
            if found is not None:
                taken.append(found)
        self._oldest_tag = tag + 1
        return taken

    def take_all(self) -> list[Queued]:
        """Remove and return every open delivery, oldest first."""
        taken = list(self.unacked.values())
        self.unacked.clear()
        self._oldest_tag = self.last_tag + 1
        return taken

    def settle(self, taken: list[Queued], *, requeue: bool, moment: str) -> None:
        """Acknowledge, reject or requeue deliveries that were taken, and deliver what that allows.

        ``moment`` is the name under which each delivery is observed.  RabbitMQ's channel goes
        queue by queue and in each by consumer tag, in the order of the names, with a round of
        deliveries after each (``foreach_per_queue`` in ``rabbit_channel.erl``; the order in which
        consumers rejoin the line shows it).
        """
        self._context.post.held += 1
        groups: dict[tuple[str, str, Queue], list[Queued]] = {}
        for queued in taken:
            holder = queued.holder
            if holder is not None and self.volume:
                self.volume -= 1
            tag = "" if holder is None else holder.tag
            groups.setdefault((queued.queue.name, tag, queued.queue), []).append(queued)
        for key in sorted(groups, key=itemgetter(0, 1)):
            queue, group = key[2], groups[key]
            if requeue and queue.requeues_singly:
                for queued in group:
                    self._settle_group(queue, [queued], requeue, moment)
            else:
                self._settle_group(queue, group, requeue, moment)
        self.resume()
        self._context.post.held -= 1
        self._context.post.deliver()

    def _settle_group(self, queue: Queue, group: list[Queued], requeue: bool, moment: str) -> None:
        gained = False
        for queued in group:
            queue.unacked -= 1
            holder = queued.holder
            if self._context.observe is not None:
                self._tell(moment, queued, holder)
            if holder is not None:
                gained = gained or holder.unacked == holder.prefetch
                holder.unacked -= 1
        if gained:
            queue.rota.unpark(self)
        for queued in group:
            if requeue:
                queue.give_back(queued)
            elif moment == "message.rejected":
                queue.reject(queued)
        if requeue:
            queue.run_again()
        elif gained:
            queue.run()

    def resume(self) -> None:
        """Deliver to consumers that met the channel-wide limit, as far as there is room now.

        The queues take turns, beginning with the one that waited longest.  The real server begins
        with a random one, so that its long-run shares are the same (seen on 3.10; the source is
        ``notify_queues`` in ``rabbit_limiter.erl``).
        """
        stalled = self.stalled
        while stalled and (not self.limit or self.volume < self.limit):
            queue = next(iter(stalled))
            del stalled[queue]
            queue.rota.unpark(self)
            queue.run()

    def _tell(self, moment: str, queued: Queued, holder: Consumer | None, **fields: object) -> None:
        self._observe(
            moment,
            message=queued.message,
            queue=queued.queue.name,
            consumer_tag="" if holder is None else holder.tag,
            delivery_tag=queued.delivery_tag,
            delivery_number=queued.delivery_number,
            **fields,
        )
