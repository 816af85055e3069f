"""Where the traceback of a message of tqsim ends: :func:`shortened`.

What tqsim says to a test, that a promise is broken, that nothing happens any more or that an argument is
wrong, is about the line that asked.  What lies between that line and the message explains nothing; a bug of
tqsim keeps its traceback, and ``--full-trace`` shows every one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest

__all__ = ["shortened"]

#: What may lie between a test and a message of tqsim: waiting for a result is Celery's code.
_BETWEEN: Final = ("tqsim", "celery", "kombu", "threading")


@contextmanager
def shortened(call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let the traceback of a message of tqsim end at the line that asked, while the block lasts."""
    last = None if call.excinfo is None or not _is_message(call.excinfo.value) else _asking(call.excinfo.tb)
    if last is None:
        yield
        return
    rest, last.tb_next = last.tb_next, None
    try:
        yield
    finally:
        last.tb_next = rest  # a debugger may want it


def _is_message(error: BaseException) -> bool:
    errors = sys.modules.get("tqsim.errors")
    return errors is not None and isinstance(error, errors.TqsimError) and not isinstance(error, errors.InternalError)


def _asking(traceback: TracebackType) -> TracebackType | None:
    """Return the last entry of a traceback before those in between, if there is one."""
    places = [_place(name) for name in _BETWEEN if name in sys.modules]
    last: TracebackType | None = None
    entry: TracebackType | None = traceback
    while entry is not None:
        path = Path(entry.tb_frame.f_code.co_filename)
        if not any(path.is_relative_to(place) for place in places):
            last = entry
        entry = entry.tb_next
    return last


def _place(name: str) -> Path:
    """Return the file of a module, or the folder of a package."""
    path = Path(str(sys.modules[name].__file__))
    return path.parent if path.stem == "__init__" else path
