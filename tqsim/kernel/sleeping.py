"""``time.sleep`` in virtual time.

The main name is :class:`Sleeping`.
"""

from __future__ import annotations

import time
from typing import Any, Final

from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.loop import Loop

__all__ = ["Sleeping"]

_REAL_SLEEP: Final = time.sleep


class Sleeping:
    """Makes ``time.sleep`` virtual for one loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def replacements(self) -> dict[Any, Any]:
        """``time.sleep`` and its stand-in."""
        loop = self._loop

        def sleep(seconds: float) -> None:
            if loop.is_closed or not loop.in_loop_thread():
                _REAL_SLEEP(seconds)
                return
            if seconds < 0:
                raise ValueError("sleep length must be non-negative")
            loop.sleep(round(seconds * MICROSECONDS_PER_SECOND))

        return {_REAL_SLEEP: sleep}
