"""A client's connection.

The main name is :class:`Connection`, made by :meth:`Server.connect`.  It carries the channels and
the ``outbox`` of everything the server pushes.  It models no socket: latency, partition and loss
are the business of whoever reads the outbox.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tqsim.broker.rabbitmq import methods, refusals
from tqsim.broker.rabbitmq.channels import Channel
from tqsim.broker.rabbitmq.closing import retire
from tqsim.broker.rabbitmq.context import Context
from tqsim.broker.rabbitmq.events import Blocked, ConnectionClosed, ConnectionLost, Event, Unblocked
from tqsim.broker.rabbitmq.refusals import Refusal, Refused, refuse

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.queues import Queue
    from tqsim.broker.rabbitmq.vhosts import VirtualHost

__all__ = ["Connection"]

_US_PER_S: Final = 1_000_000


class Connection:
    """A connection to one vhost.

    ``outbox`` holds the events that the server sent and the client has not yet taken, oldest first;
    ``notify()`` is called after each.  It must only wake the reader: calling back into the server
    from inside it is not supported, because the server is in the middle of something.

    Events stay in the outbox when the connection or a channel is closed; a client skips those of a
    channel that it closed itself.
    """

    __slots__ = (
        "_held",
        "_on_closed",
        "_opened_us",
        "channels",
        "closed_by",
        "consumer_cancel_notify",
        "context",
        "exclusive_queues",
        "heartbeat_s",
        "is_blocked",
        "is_open",
        "name",
        "notify",
        "outbox",
        "user",
        "virtual_host",
    )

    def __init__(
        self,
        context: Context,
        name: str,
        virtual_host: VirtualHost,
        user: str,
        notify: Callable[[], None],
        consumer_cancel_notify: bool,
        heartbeat_s: float,
        on_closed: Callable[[Connection], None],
    ) -> None:
        self.context = context
        self.name = name
        self.virtual_host = virtual_host
        self.user = user
        self.consumer_cancel_notify = consumer_cancel_notify
        self.is_open = True
        self.outbox: deque[Event] = deque()
        self.channels: dict[int, Channel] = {}
        self.exclusive_queues: dict[str, Queue] = {}
        self.closed_by: Refusal | None = None
        self.heartbeat_s = heartbeat_s
        self.is_blocked = False
        self._held: deque[Callable[[], object]] = deque()
        self._opened_us = context.now()
        self.notify = notify
        self._on_closed = on_closed

    @property
    def vhost(self) -> str:
        """The name of the vhost."""
        return self.virtual_host.name

    def channel(self, number: int | None = None) -> Channel:
        """Open a channel: the given number, or the lowest one that is free, from 1.

        Raises :class:`Refused` on a closed connection, and the 504 :class:`Refusal` (which closes
        the connection) for a number in use.
        """
        if not self.is_open:
            raise self.gone()
        if number is None:
            number = 1
            while number in self.channels:
                number += 1
        elif number in self.channels:
            refusal = refuse(refusals.CHANNEL_ERROR, "second 'channel.open' seen", methods.CHANNEL_OPEN)
            self.fail(refusal, tell=False)
            raise refusal
        channel = self.channels[number] = Channel(self, number)
        self._observe("channel.opened", channel=number)
        return channel

    def close(self) -> None:
        """Close the connection in good order: channels end, exclusive queues are deleted."""
        self._end("closed by client")

    def abort(self) -> None:
        """The peer vanished: the same effect as :meth:`close`, recorded as a loss."""
        self._end("lost")

    # --- a server that does not read -------------------------------------------------------------

    def block(self) -> None:
        """Read nothing more from the client until the alarm is over, and tell it so."""
        self.is_blocked = True
        for channel in self.channels.values():
            channel.is_held = True
        self.push(Blocked())

    def hold(self, request: Callable[[], object]) -> None:
        """Keep a request without an answer until the server reads again."""
        self._held.append(request)

    @property
    def is_holding(self) -> bool:
        """Whether something was sent that the server has not read."""
        return bool(self._held)

    def unblock(self) -> None:
        """Read again, what was sent meanwhile first."""
        if not self.is_blocked:
            return
        self.is_blocked = False
        for channel in self.channels.values():
            channel.is_held = False
        self.push(Unblocked())
        while self._held and self.is_open:
            self._held.popleft()()

    # --- a client that does not speak ------------------------------------------------------------

    def fall_silent(self) -> None:
        """Nothing comes from the client from now on: give it up after three heartbeats without a byte.

        The server looks once per heartbeat, counted from the opening; the first look sees what came
        before the silence, and the second after that ends it (measured on 3.10: three heartbeats after
        the opening, without a word on the wire).
        """
        if not self.heartbeat_s or not self.is_open:
            return
        period_us = round(self.heartbeat_s * _US_PER_S)
        looks = (self.context.now() - self._opened_us) // period_us
        self.context.silences.set(self, self._opened_us + (looks + 3) * period_us)

    def speak(self) -> None:
        """The client sends heartbeats again."""
        self.context.silences.drop(self)

    def give_up(self) -> None:
        """Close the connection of a client that was silent for too long, without a word."""
        if self.is_open:
            self._end("missed heartbeats")
            self.push(ConnectionLost())

    def push(self, event: Event) -> None:
        """Send an event to the client."""
        self.outbox.append(event)
        self.notify()

    def fail(self, refusal: Refusal, *, tell: bool) -> None:
        """Close the connection because of ``refusal``; with ``tell``, push the event."""
        if not self.is_open:
            return
        self.closed_by = refusal
        if tell:
            self.push(ConnectionClosed(refusal.code, refusal.text, refusal.method))
        self._end(refusal.text)

    def shut_down(self, refusal: Refusal | None) -> None:
        """Mark closed because the server stops: told by ``refusal``, or just lost.

        The caller retires the channels, of all connections together.
        """
        self.is_open = False
        self.closed_by = refusal
        if refusal is None:
            self.push(ConnectionLost())
        else:
            self.push(ConnectionClosed(refusal.code, refusal.text, refusal.method))

    def forget(self, reason: str) -> None:
        """Delete the exclusive queues and leave the server's list; the channels are gone already."""
        for queue in list(self.exclusive_queues.values()):
            self.virtual_host.delete_queue(queue, "exclusive")
        self._held.clear()
        self.context.silences.drop(self)
        self._observe("connection.closed", reason=reason)
        self._on_closed(self)

    def gone(self) -> Exception:
        """Return the exception for a request on this connection after its end."""
        if self.closed_by is not None:
            return self.closed_by.again()
        return Refused(f"Connection '{self.name}' is closed; open another one with Server.connect().")

    def _end(self, reason: str) -> None:
        if not self.is_open:
            return
        self.is_open = False
        retire(list(self.channels.values()))
        self.forget(reason)

    def _observe(self, name: str, **fields: object) -> None:
        if self.context.observe is not None:
            self.context.observe(name, vhost=self.vhost, connection=self.name, **fields)
