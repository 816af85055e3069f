"""A set that is walked in the order of its members' texts.

The main name is :class:`SteadySet`.  The order of a plain set of ``str`` or ``bytes`` changes with
``PYTHONHASHSEED``; where such an order reaches the application, it is chance that no seed controls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["SteadySet"]


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
