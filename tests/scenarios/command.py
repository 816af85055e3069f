"""Running the command line inside the test: :func:`tqsim`."""

from __future__ import annotations

from click.testing import CliRunner, Result

from tqsim.cli import main

__all__ = ["lines", "tqsim"]


def tqsim(*arguments: str) -> Result:
    """Run ``tqsim`` with these arguments, on 80 columns and without colour."""
    environment = {"COLUMNS": "80", "NO_COLOR": "1", "FORCE_COLOR": None, "TERM": "dumb"}
    return CliRunner().invoke(main, list(arguments), env=environment)


def lines(text: str) -> list[str]:
    """Return the lines of an output; blanks at their ends only fill up tables."""
    return [line.rstrip() for line in text.splitlines()]
