"""The names of the processes of one simulation.

The main name is :class:`Names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tqsim.errors import UsageError

__all__ = ["Names"]

#: What else bears the name of a process in a history.
_TAKEN: Final = ("test", "broker", "faults")


class Names:
    """The names in ``kinds``, the simulation's own mappings, beside that of the test's process."""

    def __init__(self, test: str, *kinds: Mapping[str, object]) -> None:
        self._test = test
        self._kinds = kinds

    def all(self) -> list[str]:
        """Every name, in the order in which the processes of each kind were made."""
        return [self._test, *(name for kind in self._kinds for name in kind)]

    def require_new(self, name: str) -> None:
        """Raise :class:`~tqsim.UsageError` for what is no name, or names something already."""
        if not isinstance(name, str) or not name:
            raise UsageError(f"name={name!r} is not a name; expected text.")
        if name in _TAKEN:
            raise UsageError(f"name={name!r} is taken: moments of the {name} bear it. Choose another name.")
        if name in self.all():
            raise UsageError(f"A process called {name!r} exists already; restart() it or choose another name.")
