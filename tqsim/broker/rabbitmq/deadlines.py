"""Moments at which the server acts by itself, such as the expiry of an unused queue.

The main name is :class:`Deadlines`, at most one moment per item, in microseconds.  It does not
know what is due or why, nor does it read a clock.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush, heapreplace
from typing import Generic, TypeVar

__all__ = ["Deadlines"]

Item = TypeVar("Item", bound=Hashable)


class Deadlines(Generic[Item]):
    """One deadline per item; of equal deadlines the one that entered the heap first comes first.

    Moving a deadline later costs O(1) and leaves nothing behind: the heap entry stays where it is
    and is renewed when it surfaces.  (A queue's expiry moves on every ``basic.get``.)
    """

    __slots__ = ("_due", "_heap", "_noted", "_sequence")

    def __init__(self) -> None:
        self._due: dict[Item, int] = {}
        self._heap: list[tuple[int, int, Item]] = []
        self._noted: dict[Item, int] = {}  # the one valid heap entry of an item, never after its due
        self._sequence = 0

    def set(self, item: Item, due_us: int) -> None:
        """Make ``due_us`` the deadline of ``item``, earlier or later than before."""
        self._due[item] = due_us
        noted = self._noted.get(item)
        if noted is None or due_us < noted:
            self._sequence += 1
            self._noted[item] = due_us
            heappush(self._heap, (due_us, self._sequence, item))

    def drop(self, item: Item) -> None:
        """Forget the deadline of ``item``, if it has one."""
        self._due.pop(item, None)

    def next_us(self) -> int | None:
        """Return the earliest deadline, or None."""
        heap = self._heap
        while heap:
            noted, sequence, item = heap[0]
            if self._noted.get(item) != noted:
                heappop(heap)  # an earlier deadline replaced this entry
                continue
            due = self._due.get(item)
            if due == noted:
                return noted
            if due is None:
                heappop(heap)
                del self._noted[item]
            else:
                heapreplace(heap, (due, sequence, item))
                self._noted[item] = due
        return None

    def pop_due(self, now_us: int) -> Item | None:
        """Remove and return an item whose deadline is not after ``now_us``, earliest first."""
        due = self.next_us()
        if due is None or due > now_us:
            return None
        item = heappop(self._heap)[2]
        del self._noted[item]
        del self._due[item]
        return item
