"""Consumers of a queue, and whose turn it is.

The main name is :class:`Rota`, the turn-taking of one queue; :class:`Consumer` is a subscription.

How RabbitMQ takes turns (measured on 3.10, including prefetch 1 and consumers that join late):
the consumer at the head of the line gets the next message and goes to the end.  A consumer that
finds itself at the head without room is *parked*: it leaves the line.  When an acknowledgement
makes room it rejoins *at the end*.  A full consumer that is not at the head keeps its place, and
nobody is parked while there is nothing to deliver.

A queue with ``x-single-active-consumer`` has a :class:`SoleRota`.

Left out: the pause that the real server makes after 200 deliveries which a channel has not yet
written to its socket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.channels import Channel
    from tqsim.broker.rabbitmq.queues import Queue
    from tqsim.broker.rabbitmq.window import Window

__all__ = ["Consumer", "Rota", "SoleRota"]


@dataclass(slots=True, eq=False)
class Consumer:
    """A subscription of a channel to a queue.

    ``prefetch`` is its own limit of unacknowledged deliveries (0: none), fixed when it joins;
    ``unacked`` what it has now; ``priority`` the ``x-priority`` argument, higher ones first.
    """

    channel: Channel
    window: Window
    queue: Queue
    tag: str
    no_ack: bool
    exclusive: bool
    prefetch: int
    priority: int = 0
    unacked: int = 0
    is_parked: bool = False

    def has_credit(self) -> bool:
        """Whether its own prefetch leaves room for one more."""
        return not self.prefetch or self.unacked < self.prefetch

    def is_free(self) -> bool:
        """Whether it can be given a message now, by its own limit and its channel's.

        When the channel's limit is the reason, the channel takes note, and the queue gives none of
        its consumers anything until the channel has called back (:meth:`Window.resume`).  A quorum queue does not
        know of the channel's limit.
        """
        if self.prefetch and self.unacked >= self.prefetch:
            return False
        window = self.window
        if (
            window.limit
            and self.queue.knows_global_qos
            and (window.volume >= window.limit or self.queue in window.stalled)
        ):
            window.stalled[self.queue] = None
            return False
        return True


class Rota:
    """The consumers of one queue.  ``active`` counts those in line, ``len()`` all of them."""

    __slots__ = ("_all", "_lines", "_parked", "_priorities", "active")

    def __init__(self) -> None:
        self.active = 0
        self._all: dict[Consumer, None] = {}
        self._priorities: list[int] = []  # negated, so that the highest priority comes first
        self._lines: list[deque[Consumer]] = []
        self._parked: dict[Window, list[Consumer]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Consumer]:
        """Walk through all consumers in the order in which they joined."""
        return iter(list(self._all))

    @property
    def is_exclusive(self) -> bool:
        """Whether the only consumer asked to stay the only one."""
        return any(consumer.exclusive for consumer in self._all)

    def add(self, consumer: Consumer) -> None:
        """Let ``consumer`` join at the end of the line."""
        self._all[consumer] = None
        self._line_up(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Take ``consumer`` out, in line or parked."""
        del self._all[consumer]
        if consumer.is_parked:
            consumer.is_parked = False
            parked = self._parked[consumer.window]
            parked.remove(consumer)
            if not parked:
                del self._parked[consumer.window]
            return
        self._lines[bisect_left(self._priorities, -consumer.priority)].remove(consumer)
        self.active -= 1

    def take(self) -> Consumer | None:
        """Return whose turn it is and move it to the end; park those at the head without room."""
        for line in self._lines:
            while line:
                consumer = line[0]
                prefetch = consumer.prefetch
                # The common case, written out for speed, before the whole rule.
                if (not prefetch or consumer.unacked < prefetch) and not consumer.window.limit:
                    line.rotate(-1)
                    return consumer
                if consumer.is_free():
                    line.rotate(-1)
                    return consumer
                line.popleft()
                self.active -= 1
                consumer.is_parked = True
                self._parked.setdefault(consumer.window, []).append(consumer)
        return None

    def unpark(self, window: Window) -> None:
        """Let the parked consumers of one channel that have credit rejoin at the end."""
        parked = self._parked.pop(window, None)
        if parked is None:
            return
        still_parked = []
        for consumer in parked:
            if consumer.has_credit():
                consumer.is_parked = False
                self._line_up(consumer)
            else:
                still_parked.append(consumer)
        if still_parked:
            self._parked[window] = still_parked

    def _line_up(self, consumer: Consumer) -> None:
        index = bisect_left(self._priorities, -consumer.priority)
        if index == len(self._priorities) or self._priorities[index] != -consumer.priority:
            self._priorities.insert(index, -consumer.priority)
            self._lines.insert(index, deque())
        self._lines[index].append(consumer)
        self.active += 1


class SoleRota(Rota):
    """The consumers of a queue that serves one at a time, and another when that one leaves.

    The first to come is served, also when one of higher priority joins; the next one is that of the
    highest priority (``by_priority``), of equal ones the one that came first.  Measured on 3.10.
    """

    __slots__ = ("_by_priority", "_served")

    def __init__(self, by_priority: bool = True) -> None:
        super().__init__()
        self._by_priority = by_priority
        self._served: Consumer | None = None

    def add(self, consumer: Consumer) -> None:
        """Let ``consumer`` join; it is served if it is the only one."""
        self._all[consumer] = None
        if self._served is None:
            self._serve(consumer)

    @property
    def served_count(self) -> int:
        """How many are served, with room or without: one, unless there is nobody."""
        return 0 if self._served is None else 1

    def remove(self, consumer: Consumer) -> None:
        """Take ``consumer`` out, and serve the next one if it was being served."""
        del self._all[consumer]
        consumer.is_parked = False
        if consumer is self._served:
            waiting = list(self._all)
            if self._by_priority:
                waiting.sort(key=lambda other: -other.priority)
            self._serve(waiting[0] if waiting else None)

    def take(self) -> Consumer | None:
        """Return the consumer that is served if it has room."""
        served = self._served
        if served is None or served.is_parked:
            return None
        if served.is_free():
            return served
        served.is_parked = True
        self.active = 0
        return None

    def unpark(self, window: Window) -> None:
        """Let the consumer that is served go on, if it is of this channel and has credit."""
        served = self._served
        if served is not None and served.is_parked and served.window is window and served.has_credit():
            self._serve(served)

    def _serve(self, consumer: Consumer | None) -> None:
        self._served = consumer
        self.active = 0 if consumer is None else 1
        if consumer is not None:
            consumer.is_parked = False
