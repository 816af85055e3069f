"""The message of a failed check as a block for a terminal: :func:`failure_block`.

The words are those of the message.  There is no frame, so that ids can be copied.
"""

from __future__ import annotations

from typing import Final

from rich.text import Text

from tqsim.report.lines import broken

_INDENT: Final = "  "


def failure_block(title: str, message: str, width: int) -> Text:
    """Return a title and, below it, the message, in which what stands furthest left is bold.

    Lines are broken to ``width`` columns between words; print the block with ``soft_wrap=True``, which keeps
    a word whole that is longer.
    """
    block = Text(title, style="bold red")
    for line in message.splitlines():
        emphasis = "not bold default" if line.startswith(" ") else "bold default"
        for part in broken(f"{_INDENT}{line}", width):
            block.append(f"\n{part}", style=emphasis)
    return block
