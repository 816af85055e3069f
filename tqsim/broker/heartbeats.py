"""The heartbeats of one AMQP connection: what the server hears, and what the client makes of silence.

The main name is :class:`Heartbeats`.  On a sound link the ticks of an event loop change nothing and are left
out: the server is only told when the client's heartbeats begin and when they stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tqsim.broker.rabbitmq.connections import Connection as ServerConnection
from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel.agenda import Timer
from tqsim.kernel.loop import Loop
from tqsim.kernel.processes import Process

__all__ = ["Heartbeats"]

#: Celery looks twice per heartbeat (celery/worker/loops.py, ``hbrate``).
_RATE: Final = 2


class Heartbeats:
    """The heartbeats that ``process`` sends to ``peer``; ``heartbeat_s`` 0 stands for none.

    While nothing arrives, ``send()`` is called at each look of the event loop that attends to them, and
    ``give_up()`` when nothing has come for two heartbeats (amqp/connection.py, ``heartbeat_tick``).
    """

    def __init__(
        self,
        loop: Loop,
        process: Process,
        peer: ServerConnection,
        heartbeat_s: float,
        send: Callable[[], None],
        give_up: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._process = process
        self._peer = peer
        self._look_us = round(heartbeat_s * MICROSECONDS_PER_SECOND) // _RATE
        self._send = send
        self._give_up = give_up
        self._attended_us: int | None = None
        self._is_busy = False
        self._silent_since_us: int | None = None
        self._timer: Timer | None = None
        self._tell()

    def attend(self) -> None:
        """An event loop sends them from now on, while it turns (:attr:`Process.on_busy`)."""
        if self._look_us and self._attended_us is None:
            self._attended_us = self._loop.now_us
            self._process.on_busy.append(self._on_busy)
            self._tell()

    def use(self) -> None:
        """The client has sent something else: that counts too."""
        if self._look_us and self._attended_us is None:
            self._tell()

    @property
    def is_missed(self) -> bool:
        """Whether nothing has come for more than two heartbeats."""
        since_us = self._silent_since_us
        return since_us is not None and self._loop.now_us > since_us + 2 * _RATE * self._look_us

    def set_cut(self, is_cut: bool) -> None:
        """Nothing arrives from now on, or something does again."""
        if not self._look_us or is_cut == (self._silent_since_us is not None):
            return
        self._silent_since_us = self._loop.now_us if is_cut else None
        self._tell()
        self._set_timer()

    def end(self) -> None:
        """The client has closed the connection."""
        if self._on_busy in self._process.on_busy:
            self._process.on_busy.remove(self._on_busy)
        self._attended_us = None
        self._set_timer()

    def _on_busy(self, is_busy: bool) -> None:
        self._is_busy = is_busy
        self._tell()

    def _tell(self) -> None:
        if self._attended_us is None or self._is_busy or self._silent_since_us is not None:
            self._peer.fall_silent()
        else:
            self._peer.speak()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._attended_us is None or self._silent_since_us is None:
            return
        looks = (self._loop.now_us - self._attended_us) // self._look_us
        self._timer = self._loop.agenda.call_at(self._attended_us + (looks + 1) * self._look_us, self._look)

    def _look(self) -> None:
        self._timer = None
        if self.is_missed:
            self._give_up()
            return
        self._send()
        self._set_timer()
