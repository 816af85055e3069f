"""Every exception tqsim raises, by who is at fault.

:class:`UsageError` is the caller's mistake, :class:`UnsupportedError` something that cannot be
simulated, :class:`CheckFailed` a broken promise of the application under test,
:class:`NoProgress` a run that reached a bound, and :class:`InternalError` a bug of tqsim.  The
module knows nothing of Celery, of time or of the kernel; whoever raises fills in the message.
"""

from __future__ import annotations

__all__ = [
    "CheckFailed",
    "ClosedError",
    "InternalError",
    "NetworkRefused",
    "NoProgress",
    "TqsimError",
    "UnsupportedError",
    "UsageError",
]


class TqsimError(Exception):
    """Base of every exception that tqsim raises on purpose."""


class UsageError(TqsimError):
    """An argument, a file or a call order is wrong; the message says which and what to do."""


class ClosedError(UsageError):
    """Something was asked of a simulation that has ended."""


class UnsupportedError(UsageError):
    """The application needs something that tqsim does not simulate; the message has the remedy."""


class NetworkRefused(TqsimError):
    """Code inside a simulation tried to open a real network connection."""


class CheckFailed(TqsimError, AssertionError):
    """A check found the history to break a promise; the message names tasks and moments."""


class NoProgress(TqsimError):
    """A bound was reached: virtual time, a livelock, a stall or a run past its limit."""


class InternalError(TqsimError):
    """tqsim itself is wrong.  Please report it with the reproduction line."""
