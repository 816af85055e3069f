"""A client that waits for a key in a blocking command: :class:`Wait`.

Who waits, in which order, and when they are served is decided by the server.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tqsim.broker.redis.resp import NO_LIST

if TYPE_CHECKING:
    from tqsim.broker.redis.sessions import Session

__all__ = ["Wait"]


class Wait:
    """A client that waits: ``attempt(False)`` gives what it waits for, ``shape`` makes the reply of it.

    ``keys``, where they are known, are tried one by one, with ``attempt_at([key], False)``.
    """

    __slots__ = (
        "_attempt", "_attempt_at", "began_us", "is_dozing", "issued_us", "keys", "period_us", "rank", "session",
        "shape", "timer",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        attempt: Callable[[bool], Any],
        shape: Callable[[Any], Any] | None,
        keys: list[bytes] | None,
        attempt_at: Callable[[list[bytes], bool], Any] | None,
    ) -> None:
        self.session = session
        self.shape = shape
        self.keys = keys
        self.timer: Any = None
        #: When it began; when it was last renewed, and how long it lasts, while it is renewed by the server.
        self.began_us = self.issued_us = self.period_us = 0
        #: Its place among those that were asked at the same instant.
        self.rank = 0
        self.is_dozing = False
        self._attempt = attempt
        self._attempt_at = attempt_at

    @property
    def due_us(self) -> int:
        """When it times out."""
        return self.issued_us + self.period_us

    def renew(self, now_us: int) -> None:
        """Take it as asked again at the end of each period."""
        self.issued_us += (now_us - self.issued_us) // self.period_us * self.period_us

    def attempt(self, key: bytes | None) -> Any:
        """Return what there is now, of ``key`` if it waits for keys; ``None`` when there is nothing."""
        if self._attempt_at is None or self.keys is None or key is None:
            return self._attempt(False)
        return self._attempt_at([key], False) if key in self.keys else None

    def shaped(self, value: Any) -> Any:
        """The reply for what the attempt gave."""
        reply = value if self.shape is None else self.shape(value)
        return NO_LIST if reply is None else reply
