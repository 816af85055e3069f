"""What happens when the reader of the output goes away: :func:`ended_by_a_closed_pipe`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ended_by_a_closed_pipe"]


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
