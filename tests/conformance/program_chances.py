"""Generated programs that come out otherwise on a real server once, and not when tried again: :class:`Chances`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

__all__ = ["BY_CHANCE", "Chances"]

#: The name under which a test hands on what came out otherwise once, for the end of the run.
BY_CHANCE: Final = "by chance"
#: How often a program that differs is tried again, and of how many one may come out otherwise once.
_AGAIN: Final = 2
_ONE_IN: Final = 200


class Chances:
    """Of a test's ``number`` programs, how those differed that did so by chance.

    What the real server does as the simulation does when it is tried again, it does by chance.  Few programs may
    be left to that.
    """

    def __init__(self, number: int) -> None:
        self.texts: list[str] = []
        self._number = number

    def difference(self, compare: Callable[[], str | None]) -> str | None:
        """Return what ``compare`` says of a program if it says something each time; note what it says once."""
        text = compare()
        if text is None:
            return None
        if all(compare() is not None for _ in range(_AGAIN)):
            return text
        self.texts.append(text)
        return None

    def conclude(self, node: pytest.Item) -> None:
        """Fail the test if there were too many, and show them at the end of the run."""
        if len(self.texts) > max(1, self._number // _ONE_IN):
            text = f"{len(self.texts)} of {self._number} came out otherwise once, such as:\n{self.texts[0]}"
            pytest.fail(text, pytrace=False)
        node.user_properties.extend((BY_CHANCE, text) for text in self.texts)
