"""Copies of messages: which are ready in a queue, and which are with a consumer.

The main name is :class:`Copies`, fed with ``message.*`` moments of one task or of one queue.  A copy is known
by the field ``message``, an identity that stays through redelivery, together with its queue.  Without it,
copies are counted, and those with a consumer are known by the field ``delivery``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tqsim.history.values import JsonValue

_ENDS: Final = ("message.acked", "message.rejected")
_LEAVES: Final = ("message.dropped", "message.expired")
_NOWHERE: Final = ("message.unroutable", "message.returned")

# Queue, what the copy is known by, and its value.
_Key = tuple[str, str, str]


class Copies:
    """The copies that there are, as far as they were recorded."""

    __slots__ = ("_counted", "_in_flight", "_ready", "_unacked", "seen")

    def __init__(self) -> None:
        self.seen = False
        self._in_flight = 0
        self._ready: dict[_Key, None] = {}
        self._unacked: dict[_Key, None] = {}
        self._counted: dict[str, int] = {}

    @property
    def is_any(self) -> bool:
        """Whether there is a copy: on its way, ready, or with a consumer."""
        return bool(self._in_flight or self.ready or self._unacked)

    @property
    def ready(self) -> int:
        """How many copies are ready."""
        return len(self._ready) + sum(self._counted.values())

    def take(self, name: str, fields: Mapping[str, JsonValue]) -> None:
        """Take in one ``message.*`` moment."""
        self.seen = True
        if name == "message.published":
            self._in_flight += 1
        elif name in _NOWHERE:
            self._in_flight = max(0, self._in_flight - 1)
        else:
            self._take_in_queue(name, fields)

    def drop_ready(self) -> None:
        """Forget the ready copies: their queue was deleted."""
        self._ready.clear()
        self._counted.clear()

    def _take_in_queue(self, name: str, fields: Mapping[str, JsonValue]) -> None:
        queue = str(fields.get("queue"))
        message = fields.get("message")
        held = (queue, "delivery", str(fields.get("delivery")))
        known = held if message is None else (queue, "message", str(message))
        if name == "message.queued":
            self._in_flight = max(0, self._in_flight - 1)
            self._add_ready(queue, message)
        elif name == "message.delivered":
            self._remove_ready(queue, message)
            if not fields.get("no_ack"):
                self._unacked[known] = None
        elif name == "message.requeued":
            self._unacked.pop(known, None)
            self._add_ready(queue, message)
        elif name in _ENDS:
            # The ack of a delivery that was requeued before (Redis's visibility timeout) removes nothing.
            self._unacked.pop(known, None)
        elif name in _LEAVES and known in self._unacked:
            del self._unacked[known]
        elif name in _LEAVES and not self._remove_ready(queue, message):
            # It was refused at the door, by a queue that is full.
            self._in_flight = max(0, self._in_flight - 1)

    def _add_ready(self, queue: str, message: JsonValue) -> None:
        if message is None:
            self._counted[queue] = self._counted.get(queue, 0) + 1
        else:
            self._ready[(queue, "message", str(message))] = None

    def _remove_ready(self, queue: str, message: JsonValue) -> bool:
        if message is not None:
            key = (queue, "message", str(message))
            found = key in self._ready
            self._ready.pop(key, None)
            return found
        count = self._counted.get(queue, 0)
        if count:
            self._counted[queue] = count - 1
        return count > 0
