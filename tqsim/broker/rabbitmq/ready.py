"""The ready messages of a queue, in delivery order.

The main names are :class:`Ready`, one line in publish order, and :class:`PriorityReady`, one line
per priority.  A message that comes back takes its original place: measured on RabbitMQ 3.10, a
requeued message stands exactly where its publish put it, in whatever order several come back, and
in a priority queue within its own priority.

New messages only ever join at the end, so they wait in a deque; those that came back wait in a
heap, and the next message is the older of the two heads.  Every operation is O(1) or O(log n).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush, merge
from operator import attrgetter

from tqsim.broker.rabbitmq.messages import Queued

__all__ = ["PriorityReady", "Ready"]


class Ready:
    """Messages in publish order.  ``count`` is their number."""

    __slots__ = ("_fresh", "_returned", "count")

    def __init__(self) -> None:
        self.count = 0
        self._fresh: deque[Queued] = deque()
        self._returned: list[tuple[int, Queued]] = []

    def append(self, queued: Queued) -> None:
        """Add a newly published message at the end."""
        self._fresh.append(queued)
        self.count += 1

    def put_back(self, queued: Queued) -> None:
        """Return a delivered message to its original place."""
        heappush(self._returned, (queued.message.number, queued))
        self.count += 1

    def pop(self) -> Queued:
        """Remove and return the next message; there must be one."""
        self.count -= 1
        returned = self._returned
        fresh = self._fresh
        if returned and (not fresh or returned[0][0] < fresh[0].message.number):
            return heappop(returned)[1]
        return fresh.popleft()

    def peek(self) -> Queued | None:
        """Return the next message without removing it, or None."""
        returned = self._returned
        fresh = self._fresh
        if returned and (not fresh or returned[0][0] < fresh[0].message.number):
            return returned[0][1]
        return fresh[0] if fresh else None

    def clear(self) -> None:
        """Remove every message."""
        self._fresh.clear()
        self._returned.clear()
        self.count = 0

    def keep(self, predicate: Callable[[Queued], bool]) -> None:
        """Remove the messages for which ``predicate`` is false, in O(n log n)."""
        kept = [queued for queued in self if predicate(queued)]
        self.clear()
        self._fresh.extend(kept)
        self.count = len(kept)

    def __iter__(self) -> Iterator[Queued]:
        """Walk through the messages in delivery order without removing them."""
        by_number = attrgetter("message.number")
        return merge(self._fresh, sorted((q for _, q in self._returned), key=by_number), key=by_number)


class PriorityReady(Ready):
    """Messages by falling priority, each priority in publish order.

    ``maximum`` is the queue's ``x-max-priority``.
    """

    __slots__ = ("_lines", "_maximum", "_priorities")

    def __init__(self, maximum: int) -> None:
        super().__init__()
        self._maximum = maximum
        self._lines: dict[int, Ready] = {}
        self._priorities: list[int] = []  # rising; only those that were ever used

    def append(self, queued: Queued) -> None:
        """Add a newly published message at the end of its priority."""
        self._line(queued).append(queued)
        self.count += 1

    def put_back(self, queued: Queued) -> None:
        """Return a delivered message to its original place within its priority."""
        self._line(queued).put_back(queued)
        self.count += 1

    def pop(self) -> Queued:
        """Remove and return the next message of the highest priority; there must be one."""
        self.count -= 1
        for priority in reversed(self._priorities):
            line = self._lines[priority]
            if line.count:
                return line.pop()
        raise LookupError("pop() from an empty queue")

    def peek(self) -> Queued | None:
        """Return the next message of the highest priority without removing it, or None."""
        for priority in reversed(self._priorities):
            line = self._lines[priority]
            if line.count:
                return line.peek()
        return None

    def clear(self) -> None:
        """Remove every message."""
        self._lines.clear()
        self._priorities.clear()
        self.count = 0

    def keep(self, predicate: Callable[[Queued], bool]) -> None:
        """Remove the messages for which ``predicate`` is false."""
        for line in self._lines.values():
            line.keep(predicate)
        self.count = sum(line.count for line in self._lines.values())

    def __iter__(self) -> Iterator[Queued]:
        """Walk through the messages in delivery order without removing them."""
        for priority in reversed(self._priorities):
            yield from self._lines[priority]

    def _line(self, queued: Queued) -> Ready:
        priority = queued.message.priority(self._maximum)
        line = self._lines.get(priority)
        if line is None:
            line = self._lines[priority] = Ready()
            insort(self._priorities, priority)
        return line
