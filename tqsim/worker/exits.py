"""With which code a pool child ends when an exception carries it out.

The main names are :func:`status`, and :func:`mark_exits`, which stands in for ``sys.exit``: billiard
replaces it in every child (billiard/pool.py, ``Worker.__call__``) and takes the child's exit code from
its argument, so that a task which raises ``SystemExit(3)`` itself leaves with code 0, not 3.
"""

from __future__ import annotations

import sys
from typing import Final, NoReturn

from tqsim.kernel.patches import Patches
from tqsim.kernel.system import ProcessExit

__all__ = ["mark_exits", "status"]

_MARK: Final = "_tqsim_called"
_NOT_A_NUMBER: Final = 1


def mark_exits(patches: Patches) -> None:
    """Tell a call of ``sys.exit`` from a ``SystemExit`` that is raised, until the patches are undone."""

    def exit(status: object = None, /) -> NoReturn:  # noqa: A001 - the name that it stands in for
        error = SystemExit() if status is None else SystemExit(status)
        setattr(error, _MARK, True)
        raise error

    patches.set(sys, "exit", exit)


def status(error: BaseException, otherwise: int) -> int:
    """Return the code of a process that ``error`` ends; ``otherwise`` if it names none itself."""
    if not isinstance(error, SystemExit) or not (isinstance(error, ProcessExit) or hasattr(error, _MARK)):
        return otherwise
    if error.code is None:
        return 0
    # ``os._exit`` takes numbers only, and its complaint ends the process instead.
    return error.code if isinstance(error.code, int) else _NOT_A_NUMBER
