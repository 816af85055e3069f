"""What happens when the reader of the output goes away: :func:`ended_by_a_closed_pipe`.

:class:`QuietGroup` and its commands have click's own output, that of ``--help``, end so too.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

__all__ = ["QuietGroup", "ended_by_a_closed_pipe"]


@contextmanager
def ended_by_a_closed_pipe() -> Iterator[None]:
    """Let a write to a closed pipe end the process by SIGPIPE, quietly, as it ends other commands.

    Python ignores that signal and raises an error instead, of which click and rich make exit code 1: here
    that is a verdict.  This goes for printing only, because a socket of the application may break too.
    """
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
        sys.stdout.flush()
    finally:
        signal.signal(signal.SIGPIPE, before)


class _QuietCommand(click.Command):
    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments, of which ``--help`` prints."""
        with ended_by_a_closed_pipe():
            return super().make_context(*args, **kwargs)


class QuietGroup(_QuietCommand, click.Group):
    """A group of commands whose help may go to a closed pipe."""

    command_class = _QuietCommand
