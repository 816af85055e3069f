"""A terminal to print on in tests: :func:`screen`, and what stands on it: :func:`lines`."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

__all__ = ["lines", "screen", "text"]


def screen(**options: Any) -> Console:
    """Return a console of 80 columns without colour, unless ``options`` of rich's say otherwise."""
    return Console(**{"width": 80, "color_system": None, "file": io.StringIO(), **options})


def text(console: Console) -> str:
    """Return everything that was printed on a :func:`screen`."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines(console: Console) -> list[str]:
    """Return the lines on a :func:`screen`, without the blanks that fill up tables."""
    return [line.rstrip() for line in text(console).splitlines()]
