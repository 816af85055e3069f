"""An AMQP connection as kombu uses it, over the simulated server.

The main name is :class:`SimulatedConnection`: what py-amqp's ``Connection`` (amqp/connection.py)
offers kombu's ``pyamqp`` transport.  It belongs to the simulated process that opened it, and when
that process dies the server sees the socket break.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from amqp.exceptions import ChannelError as AmqpChannelError
from amqp.exceptions import ConnectionError as AmqpConnectionError
from amqp.exceptions import RecoverableConnectionError, error_for_code

from tqsim.broker.channel import SimulatedChannel
from tqsim.broker.rabbitmq.events import (
    Blocked,
    ChannelClosed,
    Confirm,
    ConnectionClosed,
    ConsumerCancelled,
    Deliver,
    Event,
    Return,
    Unblocked,
)
from tqsim.broker.rabbitmq.refusals import Refusal, Refused
from tqsim.broker.rabbitmq.server import Server
from tqsim.durations import MICROSECONDS_PER_SECOND
from tqsim.kernel import TIMED_OUT
from tqsim.kernel.kernel import Kernel

__all__ = ["SimulatedConnection"]

_SHUTDOWN: Final = "reason 'shutdown'"
_SERVER_HEARTBEAT_S: Final = 60
_BLOCKED: Final = "connection blocked, see broker logs"
_CAPABILITIES: Final = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "consumer_priorities": True,
    "authentication_failure_close": True,
    "per_consumer_qos": True,
    "direct_reply_to": True,
}


class _FrameTransport:
    """What kombu reads of py-amqp's socket transport."""

    def __init__(self, wire: Any) -> None:
        self.sock = wire
        self.connected = True
        self.raise_on_initial_eintr = False


class SimulatedConnection:
    """One connection between a simulated process and the server.

    Raises ``ConnectionRefusedError`` when the server is stopped, as a real connect does.
    """

    def __init__(
        self,
        kernel: Kernel,
        server: Server,
        vhost: str,
        *,
        heartbeat: float = 0,
        confirm_publish: bool = False,
        on_blocked: Callable[[str], None] | None = None,
        on_unblocked: Callable[[], None] | None = None,
    ) -> None:
        self._kernel = kernel
        fiber = kernel.loop.current or kernel.loop.main
        self._process = fiber.process
        self._wire = kernel.wires.new(self._is_readable)
        self.channels: dict[int, SimulatedChannel] = {}
        self.client: Any = None
        self.client_heartbeat = heartbeat
        self.server_heartbeat = _SERVER_HEARTBEAT_S
        self.heartbeat = min(heartbeat, _SERVER_HEARTBEAT_S) if heartbeat else 0
        self.confirm_publish = confirm_publish
        self.on_blocked = on_blocked
        self.on_unblocked = on_unblocked
        self._is_attended = False
        self.server_properties = {
            "product": "RabbitMQ",
            "version": server.settings.full_version,
            "capabilities": _CAPABILITIES,
        }
        try:
            self._peer = server.connect(
                name=self._process.name, vhost=vhost, notify=self._wire.notify, heartbeat_s=self.heartbeat
            )
        except Refused:
            kernel.wires.drop(self._wire)
            raise ConnectionRefusedError(111, "Connection refused") from None
        self.transport: _FrameTransport | None = _FrameTransport(self._wire)
        self._process.on_death.append(self._peer.abort)
        self._peer.fall_silent()

    @property
    def connected(self) -> bool:
        """Whether the client still holds the connection; it may not know that it is broken."""
        return self.transport is not None

    @property
    def sock(self) -> Any:
        """The wire, in the place of a socket."""
        return self._wire

    @property
    def is_alive(self) -> bool:
        """Whether the server still holds its end."""
        return bool(self._peer.is_open)

    def channel(self, channel_id: int | None = None, callback: Any = None) -> SimulatedChannel:
        """Open a channel."""
        self._require_connected("channel")
        if channel_id is not None and channel_id in self.channels:
            return self.channels[channel_id]
        try:
            channel = SimulatedChannel(self, self._peer.channel(channel_id))
        except Refusal as refusal:
            raise self.refused(None, refusal) from None
        self.channels[channel.channel_id] = channel
        return channel

    def drain_events(self, timeout: float | None = None) -> None:
        """Act on one event from the server; wait for it for ``timeout`` seconds (``None``: for ever).

        Raises ``socket.timeout`` when nothing came.
        """
        self._require_connected("drain_events")
        outbox = self._peer.outbox
        if not outbox:
            if timeout == 0:
                raise TimeoutError("timed out")
            timeout_us = None if timeout is None else round(timeout * MICROSECONDS_PER_SECOND)
            answer = self._wire.wait("an event from the broker", timeout_us)
            if answer is TIMED_OUT or not outbox:
                raise TimeoutError("timed out")
        self._dispatch(outbox.popleft())

    def note_use(self) -> None:
        """A fiber that talks to the broker does not wait busily."""
        fiber = self._kernel.loop.current
        if fiber is not None:
            fiber.reads = 0

        if self.heartbeat and not self._is_attended:
            self._peer.fall_silent()

    def await_answers(self) -> None:
        """Wait until the server reads what this connection sends, as any request with an answer does."""
        self.note_use()
        while self._peer.is_blocked and self._peer.is_open:
            self._wire.wait("the end of the broker's memory alarm", None)

    def read_before_publish(self) -> None:
        """Act on one event that has come already (amqp/channel.py, ``_basic_publish``)."""
        if self._peer.outbox:
            self._dispatch(self._peer.outbox.popleft())
        self._require_connected("basic_publish")

    def heartbeat_tick(self, rate: float = 2) -> None:
        """Send a heartbeat, by being there (amqp/connection.py)."""
        self.note_use()

    def attend(self) -> float:
        """Return the heartbeat to an event loop that promises to keep it up while it turns.

        The loop's own ticks are left out, because they cost and change nothing: it is silent when its
        process is busy with something else (:attr:`Process.on_busy`).
        """
        if self.heartbeat and not self._is_attended:
            self._is_attended = True
            self._peer.speak()
            self._process.on_busy.append(self._on_busy)
        return self.heartbeat

    def _on_busy(self, is_busy: bool) -> None:
        if is_busy:
            self._peer.fall_silent()
        else:
            self._peer.speak()

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, Deliver):
            channel = self._client_channel(event.channel)
            if channel is not None:
                channel.on_deliver(event)
        elif isinstance(event, ConsumerCancelled):
            channel = self._client_channel(event.channel)
            if channel is not None:
                channel.on_cancelled(event.consumer_tag)
        elif isinstance(event, Return):
            channel = self._client_channel(event.channel)
            if channel is not None:
                channel.on_return(event)
        elif isinstance(event, Confirm):
            channel = self._client_channel(event.channel)
            if channel is not None:
                channel.on_confirm(event)
        elif isinstance(event, Blocked):
            if self.on_blocked is not None:
                self.on_blocked(_BLOCKED)
        elif isinstance(event, Unblocked):
            if self.on_unblocked is not None:
                self.on_unblocked()
        elif isinstance(event, ChannelClosed):
            channel = self._client_channel(event.channel)
            if channel is not None:
                self._revive(channel)
                raise error_for_code(event.code, event.text, event.method, AmqpChannelError)
        elif isinstance(event, ConnectionClosed) and not event.text.endswith(_SHUTDOWN):
            self.collect()
            raise error_for_code(event.code, event.text, event.method, AmqpConnectionError)
        else:
            # A server that shuts down says so and resets the socket at once; py-amqp sees the
            # reset first (measured on RabbitMQ 3.10.8).
            self.collect()
            raise ConnectionResetError(104, "Connection reset by peer")

    def _client_channel(self, server_channel: Any) -> SimulatedChannel | None:
        channel = self.channels.get(server_channel.number)
        # A number is used again: events of a channel that was closed meanwhile are nobody's.
        return channel if channel is not None and channel.server_channel is server_channel else None

    def refused(self, channel: Any, refusal: Refusal) -> Exception:
        """Return the exception for a refusal, after forgetting what the server has closed."""
        if refusal.scope == "channel" and channel is not None:
            self._revive(channel)
            return _error(refusal, AmqpChannelError)
        self.collect()
        return _error(refusal, AmqpConnectionError)

    def _revive(self, channel: SimulatedChannel) -> None:
        """Open the channel again under its number, as py-amqp does (amqp/channel.py, ``_do_revive``).

        Its consumers are gone on the server; the client still has their callbacks.
        """
        channel.revive(self._peer.channel(channel.channel_id))

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Close the connection on both sides."""
        if self.transport is not None and self._peer.is_open:
            self._peer.close()
        self.collect()

    def collect(self) -> None:
        """Forget the connection without talking; the server sees the socket close."""
        if self.transport is None:
            return
        self.transport.connected = False
        self.transport = None
        for channel in list(self.channels.values()):
            channel.collect()
        self.channels.clear()
        if self._peer.is_open:
            self._peer.abort()
        if self._peer.abort in self._process.on_death:
            self._process.on_death.remove(self._peer.abort)
        if self._on_busy in self._process.on_busy:
            self._process.on_busy.remove(self._on_busy)
        self._kernel.wires.drop(self._wire)

    def _is_readable(self) -> bool:
        return bool(self._peer.outbox)

    def _require_connected(self, operation: str) -> None:
        if self.transport is None:
            raise RecoverableConnectionError(f"{operation}: connection already closed")


def _error(refusal: Refusal, default: type[Exception]) -> Exception:
    error: Exception = error_for_code(refusal.code, refusal.text, refusal.method, default)
    return error
