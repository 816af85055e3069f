"""An AMQP connection as kombu uses it, over the simulated server.

The main name is :class:`SimulatedConnection`: what py-amqp's ``Connection`` (amqp/connection.py)
offers kombu's ``pyamqp`` transport.  It belongs to the simulated process that opened it, and when
that process dies the server sees the socket break.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any, Final

from amqp.exceptions import ChannelError as AmqpChannelError
from amqp.exceptions import ConnectionError as AmqpConnectionError
from amqp.exceptions import ConnectionForced, RecoverableConnectionError, error_for_code

from tqsim.broker.answers import Answer, DirectChannel
from tqsim.broker.channel import SimulatedChannel
from tqsim.broker.distance import Distance, RemoteChannel
from tqsim.broker.heartbeats import Heartbeats
from tqsim.broker.links import Cable, Links, SocketOptions, amqp_client, rabbitmq_server
from tqsim.broker.rabbitmq.channels import Channel as ServerChannel
from tqsim.broker.rabbitmq.connections import Connection as ServerConnection
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
#: How often client and server go back and forth until a connection is open: once for TCP, three times for AMQP.
_TRIPS_TO_CONNECT: Final = 1
_TRIPS_TO_OPEN: Final = 3
_MISSED: Final = "Too many heartbeats missed"
_BLOCKED: Final = "connection blocked, see broker logs"


class _FrameTransport:
    """What kombu reads of py-amqp's socket transport."""

    def __init__(self, wire: Any) -> None:
        self.sock = wire
        self.connected = True
        self.raise_on_initial_eintr = False


class SimulatedConnection:
    """One connection between a simulated process and the server.

    ``links`` are those to the server, ``connect_timeout`` is in seconds, and ``socket_settings`` are of TCP as
    py-amqp takes them.  Raises ``ConnectionRefusedError`` when the server is stopped, as a real connect does, and
    ``TimeoutError`` when it does not answer.
    """

    def __init__(
        self,
        kernel: Kernel,
        server: Server,
        links: Links,
        vhost: str,
        *,
        user: str = "guest",
        connect_timeout: float | None = None,
        socket_settings: Mapping[int, int] | None = None,
        heartbeat: float = 0,
        confirm_publish: bool = False,
        on_blocked: Callable[[str], None] | None = None,
        on_unblocked: Callable[[], None] | None = None,
    ) -> None:
        self._kernel = kernel
        fiber = kernel.loop.current or kernel.loop.main
        self.process = fiber.process
        self._links = links
        self._socket_settings = socket_settings
        self._distance: Distance | None = None
        self._wire = kernel.wires.new(self._is_readable)
        self.channels: dict[int, SimulatedChannel] = {}
        self.client: Any = None
        self.client_heartbeat = heartbeat
        self.server_heartbeat = _SERVER_HEARTBEAT_S
        self.heartbeat = min(heartbeat, _SERVER_HEARTBEAT_S) if heartbeat else 0
        self.confirm_publish = confirm_publish
        self.on_blocked = on_blocked
        self.on_unblocked = on_unblocked
        self.server_properties = server.settings.told()
        self._peer = self._open(server, vhost, user, connect_timeout)
        self._inbox: Any = self._peer.outbox
        self.transport: _FrameTransport | None = _FrameTransport(self._wire)
        self.process.on_death.append(self._hang_up)
        self._heartbeats = Heartbeats(kernel.loop, self.process, self._peer, self.heartbeat, self._beat, self._give_up)
        links.join(self)

    def _open(self, server: Server, vhost: str, user: str, connect_timeout: float | None) -> ServerConnection:
        timeout_us = None if connect_timeout is None else round(connect_timeout * MICROSECONDS_PER_SECOND)
        with self._kernel.wires.opening(self._wire, self.process):
            self._links.travel(self.process, _TRIPS_TO_CONNECT, timeout_us)
            if server.is_running:
                self._links.travel(self.process, _TRIPS_TO_OPEN, timeout_us)
            try:
                return server.connect(
                    name=self.process.name,
                    vhost=vhost,
                    user=user,
                    notify=self._wire.notify,
                    heartbeat_s=self.heartbeat,
                )
            except Refused:
                raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused") from None

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
            channel = SimulatedChannel(self, *self._ask(lambda: self._open_channel(channel_id)))
        except Refusal as refusal:
            raise self.refused(None, refusal) from None
        self.channels[channel.channel_id] = channel
        return channel

    def drain_events(self, timeout: float | None = None) -> None:
        """Act on one event from the server; wait for it for ``timeout`` seconds (``None``: for ever).

        Raises ``socket.timeout`` when nothing came.
        """
        self._require_connected("drain_events")
        if not self._inbox:
            self._require_sound()
            if timeout == 0:
                raise TimeoutError("timed out")
            timeout_us = None if timeout is None else round(timeout * MICROSECONDS_PER_SECOND)
            answer = self._wire.wait("an event from the broker", timeout_us)
            if answer is TIMED_OUT or not self._inbox:
                self._require_sound()
                raise TimeoutError("timed out")
        self._dispatch(self._inbox.popleft())

    def _ask(self, request: Callable[[], Any]) -> Any:
        """Let the server act, and return its answer; act first on what had come before, as py-amqp does meanwhile.

        That is what it reads while it waits for a method (amqp/abstract_channel.py, ``wait``).  Over a distance
        the request itself waits.
        """
        came = len(self._inbox)
        if self._distance is not None or not came:
            return request()
        answer = Answer()
        answer.take_from(request)
        # What the server sends because of the request comes after the answer, as consume-ok before deliveries.
        self._inbox.insert(came, answer)
        try:
            while not answer.is_there:
                self.drain_events()
        finally:
            if not answer.is_there and answer in self._inbox:
                self._inbox.remove(answer)  # py-amqp lets go of an answer that nobody waits for
        return answer.result()

    def note_use(self) -> None:
        """A fiber that talks to the broker does not wait busily."""
        fiber = self._kernel.loop.current
        if fiber is not None:
            fiber.reads = 0
        self._heartbeats.use()

    def await_answers(self) -> None:
        """Wait until the server reads what this connection sends, as any request with an answer does."""
        self.note_use()
        while self._distance is None and self._peer.is_blocked and self._peer.is_open:
            self._wire.wait("the end of the broker's memory alarm", None)

    def read_before_publish(self) -> None:
        """Act on one event that has come already (amqp/channel.py, ``_basic_publish``).

        A connection that TCP has given up says so by a ``TimeoutError``, which py-amqp takes for nothing to
        read; it is the publish that then fails, with a broken pipe (measured).
        """
        if self._inbox or self._is_broken:
            try:
                self.drain_events(timeout=0)
            except TimeoutError:
                pass
        self._require_connected("basic_publish")

    def heartbeat_tick(self, rate: float = 2) -> None:
        """Send a heartbeat, by being there; raise ``ConnectionForced`` when two have not come (amqp/connection.py)."""
        self.note_use()
        if self._heartbeats.is_missed:
            raise ConnectionForced(_MISSED)

    def attend(self, rate: float) -> float:
        """Return the heartbeat to an event loop that promises to look after it while it turns, ``rate`` times each.

        The loop's own ticks are left out, because they cost and change nothing: it is silent when its
        process is busy with something else (:attr:`Process.on_busy`).
        """
        self._heartbeats.attend(rate)
        return self.heartbeat

    # -- what a link does to a connection -----------------------------------------------------

    def client_options(self) -> SocketOptions:
        """What py-amqp asks of TCP."""
        return amqp_client(self._socket_settings)

    def server_options(self) -> SocketOptions:
        """What RabbitMQ does: it sends two heartbeats in the agreed time."""
        return rabbitmq_server(self.heartbeat)

    def lengthen(self, cable: Cable) -> None:
        """Send and receive through ``cable`` from now on."""
        distance = self._distance = Distance(cable, self._peer, self._wire.notify, self.drain_events)
        self._inbox = distance.inbox
        for channel in self.channels.values():
            channel.line = RemoteChannel(channel.server_channel, distance)

    def fail_client(self, error: Exception) -> None:
        """Let the next read, or request, raise ``error``."""
        if self._distance is not None:
            self._distance.fail(error)

    def fail_server(self) -> None:
        """Let the server find that the client is gone."""
        self._peer.abort()

    def on_change(self) -> None:
        """Take note that the cable was cut or mended, or that the server has forgotten it."""
        self._heartbeats.set_deaf(self._distance is not None and self._distance.cable.is_deaf)

    def _beat(self) -> None:
        if self._distance is not None and not self._distance.is_broken:
            self._distance.tell(_nothing)

    def _give_up(self) -> None:
        self.fail_client(ConnectionForced(_MISSED))

    @property
    def _is_broken(self) -> bool:
        return self._distance is not None and self._distance.is_broken

    def _require_sound(self) -> None:
        if self._distance is not None and self._distance.is_broken:
            self._distance.raise_failure(OSError("Server unexpectedly closed connection"))

    def _dispatch(self, event: Event | Answer) -> None:
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
        elif isinstance(event, Answer):
            event.is_there = True
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
        channel.revive(*self._open_channel(channel.channel_id))

    def _open_channel(self, number: int | None) -> tuple[ServerChannel, Any]:
        """Open a channel on the server; return it, and what to send its requests to."""
        distance = self._distance
        if distance is None:
            channel = self._peer.channel(number)
            return channel, DirectChannel(channel, self._ask)
        channel = distance.ask(lambda: self._peer.channel(number))
        return channel, RemoteChannel(channel, distance)

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Close the connection on both sides."""
        if self.transport is not None and self._distance is not None:
            try:
                self._distance.ask(self._peer.close)
            finally:
                self.collect()
        elif self.transport is not None and self._peer.is_open:
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
        self._hang_up()
        if self._hang_up in self.process.on_death:
            self.process.on_death.remove(self._hang_up)

    def _hang_up(self) -> None:
        """The client's socket closes."""
        self._heartbeats.end()
        if self._distance is not None:
            self._distance.hang_up()
        elif self._peer.is_open:
            self._peer.abort()
        self._links.leave(self)
        self._kernel.wires.drop(self._wire)

    def _is_readable(self) -> bool:
        return bool(self._inbox) or self._is_broken

    def _require_connected(self, operation: str) -> None:
        if self.transport is None:
            raise RecoverableConnectionError(f"{operation}: connection already closed")


def _nothing() -> None:
    """What a heartbeat says."""


def _error(refusal: Refusal, default: type[Exception]) -> Exception:
    error: Exception = error_for_code(refusal.code, refusal.text, refusal.method, default)
    return error
