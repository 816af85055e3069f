"""Who may use the RabbitMQ of this machine: many as it is, or one that changes its settings: :class:`ServerLock`."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path
from typing import Final, Self

__all__ = ["ServerLock"]

_FOLDER: Final = Path(tempfile.gettempdir())


class ServerLock:
    """Shared with every other test from its making on; :meth:`close`, or the end of a ``with``, gives it back.

    A test that talks to the server, itself or through workers, holds one.  Whoever waits to be alone lets
    nobody else begin, so the wait is as long as the longest test.
    """

    def __init__(self) -> None:
        self._turn = (_FOLDER / "tqsim-rabbitmq-turn.lock").open("w")
        self._use = (_FOLDER / "tqsim-rabbitmq.lock").open("w")
        self._take(fcntl.LOCK_SH)

    def alone(self) -> None:
        """Wait until no other test of this machine uses the server, and let none begin."""
        fcntl.flock(self._use, fcntl.LOCK_UN)
        self._take(fcntl.LOCK_EX)

    def close(self) -> None:
        """Let others have it."""
        self._use.close()
        self._turn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _take(self, kind: int) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        fcntl.flock(self._use, kind)
        fcntl.flock(self._turn, fcntl.LOCK_UN)
