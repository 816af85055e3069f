"""The names of temporary files and folders, from the seed.

The main name is :class:`TemporaryNames`.  ``tempfile`` tries one name after another until one is
free, so names have a stream of their own: how many are taken, by files of an earlier run perhaps,
changes nothing else that is drawn.

Left out: the name that ``tempfile`` tries a folder with before it uses it, once in an interpreter.
Test tools, and tqsim for its own folders, get names from the system.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Final

from tqsim.kernel.chance import Draws
from tqsim.kernel.patches import Patches, asking_module, is_exempt

__all__ = ["TemporaryNames"]

_SEQUENCE: Final[Any] = vars(tempfile)["_RandomNameSequence"]
_LENGTH: Final = 8


class TemporaryNames:
    """In the place of ``tempfile``'s endless sequence of names.

    ``draws()`` is the source of the running fiber, or ``None`` outside the simulation.
    """

    def __init__(self, draws: Callable[[], Draws | None]) -> None:
        self._draws = draws
        self._outside: Iterator[str] = _SEQUENCE()

    def install(self, patches: Patches) -> None:
        """Give out names until ``patches`` are undone."""
        self._outside = vars(tempfile)["_name_sequence"] or self._outside
        patches.set(tempfile, "_name_sequence", self)

    def __iter__(self) -> TemporaryNames:
        return self

    def __next__(self) -> str:
        draws = self._draws()
        if draws is None or is_exempt(asking_module("tempfile", __name__)):
            return next(self._outside)
        characters = _SEQUENCE.characters
        return "".join(characters[byte % len(characters)] for byte in draws.bytes_apart("name", _LENGTH))
