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

#: The look after a heartbeat was sent only takes note of that.
_SENDS_AT: Final = 2


class Heartbeats:
    """The heartbeats that ``process`` sends to ``peer``; ``heartbeat_s`` 0 stands for none.

    While nothing is heard, ``send()`` is called at every second look of the event loop that attends to them,
    which is how often ``heartbeat_tick`` sends one over an idle connection (amqp/connection.py; seen in the log of
    a real worker), and ``give_up()`` when nothing has come for two heartbeats.
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
        self._heartbeat_us = round(heartbeat_s * MICROSECONDS_PER_SECOND)
        self._look_us = 0
        self._send = send
        self._give_up = give_up
        self._attended_us: int | None = None
        self._is_busy = False
        self._silent_since_us: int | None = None
        self._timer: Timer | None = None
        self._tell()

    def attend(self, rate: float) -> None:
        """An event loop looks after them from now on, ``rate`` times each, while it turns (:attr:`Process.on_busy`)."""
        if self._heartbeat_us and self._attended_us is None:
            self._look_us = round(self._heartbeat_us / rate)
            self._attended_us = self._loop.now_us
            self._process.on_busy.append(self._on_busy)
            self._tell()

    def use(self) -> None:
        """The client has sent something else: that counts too."""
        if self._heartbeat_us and self._attended_us is None:
            self._tell()

    @property
    def is_missed(self) -> bool:
        """Whether nothing has come for more than two heartbeats."""
        since_us = self._silent_since_us
        return since_us is not None and self._loop.now_us > since_us + 2 * self._heartbeat_us

    def set_deaf(self, is_deaf: bool) -> None:
        """Nothing is heard from now on, or something is again."""
        if not self._heartbeat_us or is_deaf == (self._silent_since_us is not None):
            return
        self._silent_since_us = self._loop.now_us if is_deaf else None
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
        looks = (self._loop.now_us - self._attended_us) // self._look_us + 1
        self._timer = self._loop.agenda.call_at(
            self._attended_us + looks * self._look_us, lambda: self._look(sends=looks % _SENDS_AT == 0)
        )

    def _look(self, *, sends: bool) -> None:
        self._timer = None
        if self.is_missed:
            self._give_up()
            return
        if sends:
            self._send()
        self._set_timer()
