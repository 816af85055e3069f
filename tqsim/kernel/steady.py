"""Sets that are walked in one order.

The order of a plain set of ``str`` or ``bytes`` changes with ``PYTHONHASHSEED``, that of other objects with
their addresses in memory; where such an order reaches the application, it is chance that no seed
controls.  :class:`SteadySet` goes by its members' texts, :class:`OrderedSet` by when they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["OrderedSet", "SteadySet"]


class OrderedSet(dict[Any, None]):
    """The part of ``set`` that kombu uses, in the order of addition.

    It stands for sets of objects that are hashed by identity: hubs, channels, callbacks.
    """

    def __init__(self, items: Iterable[Any] | None = None) -> None:
        if items is not None:
            super().__init__(dict.fromkeys(items))

    def add(self, item: Any) -> None:
        """Add an item; an item that is there keeps its place."""
        self[item] = None

    def discard(self, item: Any) -> None:
        """Remove an item if it is there."""
        dict.pop(self, item, None)

    def remove(self, item: Any) -> None:
        """Remove an item that must be there."""
        del self[item]

    def difference_update(self, items: Iterable[Any]) -> None:
        """Remove every one of ``items``."""
        for item in items:
            dict.pop(self, item, None)

    def intersection_update(self, items: Iterable[Any]) -> None:
        """Keep only what is among ``items``."""
        kept = set(items)
        for item in [item for item in self if item not in kept]:
            del self[item]

    def copy(self) -> OrderedSet:
        """Return a copy."""
        return OrderedSet(self)

    __copy__ = copy

    def pop(self, *args: Any) -> Any:
        """Remove and return the oldest item; raises ``KeyError`` when there is none, as ``set`` does."""
        for item in self:
            del self[item]
            return item
        raise KeyError("pop from an empty set")


class SteadySet(set[Any]):
    """A ``set`` with one order; pickles, and compares, as a plain one."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(set.__iter__(self), key=repr))

    def pop(self) -> Any:
        """Remove and return the first member.  Raises ``KeyError`` when there is none."""
        for member in self:
            self.remove(member)
            return member
        raise KeyError("pop from an empty set")

    def __repr__(self) -> str:
        return "{" + ", ".join(map(repr, self)) + "}" if self else "set()"

    def __reduce__(self) -> tuple[Any, ...]:
        return set, (list(self),)
