"""Lines of a limited width: :func:`broken`, which never splits a word."""

from __future__ import annotations

import textwrap
from typing import Final

_HANGING: Final = "    "
_EQUALS: Final = " = "
# What textwrap does not take for a place to break.
_UNBREAKABLE_EQUALS: Final = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"


def broken(line: str, width: int) -> list[str]:
    """Return a line in parts of at most ``width`` columns, all but the first further indented.

    It is broken between words and not around an equals sign; a word that is too long stays whole.
    """
    indent = line[: len(line) - len(line.lstrip())]
    parts = textwrap.wrap(
        line.replace(_EQUALS, _UNBREAKABLE_EQUALS),
        width,
        subsequent_indent=indent + _HANGING,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace(_UNBREAKABLE_EQUALS, _EQUALS) for part in parts] or [""]
