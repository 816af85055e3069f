"""What crosses the pipe from a pool child to its worker.

The main names are :func:`write`, called in the child, and :func:`read`, in the worker.  An outcome
travels as a pickle.  Of a task that returned it has the *text* of the result and the seconds it took,
and of one that failed an ``ExceptionInfo`` whose exception Celery has replaced by one that can be
pickled (celery/app/trace.py, ``trace_task_ret``, ``TraceInfo.handle_failure``): these arrive as they
are, and cost nothing here.  The rest is pickled as in production: ``Reject`` and ``Ignore`` with
whatever they hold, and exceptions that Celery's tracer lets pass (``BaseException``).

What cannot be pickled arrives as billiard's ``MaybeEncodingError`` (billiard/pool.py,
``Worker.workloop``).  What cannot be *un*pickled ends the worker, as it does in production: measured,
"Unrecoverable error: TypeError(...)" (celery/concurrency/asynpool.py, ``_recv_message``).
"""

from __future__ import annotations

import pickle
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.pool import MaybeEncodingError
from billiard.reduction import ForkingPickler
from celery.exceptions import Retry

__all__ = ["read", "write"]


def write(outcome: tuple[bool, Any]) -> Any:
    """Return what the child writes of the outcome of a job: ``(has returned, what)``."""
    if _is_proved(outcome):
        return outcome
    try:
        return bytes(ForkingPickler.dumps(outcome))
    except Exception as error:  # noqa: BLE001 - whatever a __reduce__ raises
        wrapped = MaybeEncodingError(error, outcome[1])
        einfo = ExceptionInfo((MaybeEncodingError, wrapped, error.__traceback__))
        return bytes(ForkingPickler.dumps((False, einfo)))


def read(content: Any) -> tuple[bool, Any]:
    """Return the outcome that :func:`write` wrote; raises whatever unpickling it raises."""
    outcome: tuple[bool, Any] = pickle.loads(content) if isinstance(content, bytes) else content
    return outcome


def _is_proved(outcome: tuple[bool, Any]) -> bool:
    """Whether Celery itself has made sure already that the outcome can be pickled."""
    has_returned, traced = outcome
    if not has_returned:
        return False
    einfo = traced[1] if isinstance(traced, tuple) and len(traced) == 3 and traced[0] else None
    if not isinstance(einfo, ExceptionInfo) or not isinstance(einfo.exception, ExceptionWithTraceback):
        return True
    # ``Retry`` replaces its own exception when it is made (celery/exceptions.py).
    return isinstance(einfo.exception.exc, Retry)
