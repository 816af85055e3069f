"""A failed check as a block for a terminal: :func:`failure_block`.

The words are those of the error; only the frame and the emphasis are added.
"""

from __future__ import annotations

from rich.panel import Panel
from rich.text import Text

from tqsim.errors import CheckFailed


def failure_block(error: CheckFailed) -> Panel:
    """Return the message of a failed check in a frame, with the line that reproduces the run in bold."""
    body = Text()
    lines = str(error).splitlines()
    for number, line in enumerate(lines):
        last = number == len(lines) - 1
        emphasis = "bold" if last or not line.startswith(" ") else ""
        body.append(line if last else f"{line}\n", style=emphasis)
    return Panel(body, title="Check failed", title_align="left", border_style="red")
