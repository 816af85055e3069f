"""One kombu client of a program: :class:`ProgramClient`, a connection with at most one channel.

One channel, because kombu walks the channels of a connection in a set, which has no order
(kombu/transport/redis.py, ``MultiChannelPoller._channels``).
"""

from __future__ import annotations

import time
from typing import Any, Final

import kombu

from tests.conformance.redis_program_arms import DATABASE, Arm
from tests.conformance.redis_programs import ClientOptions, KombuProgram

__all__ = ["BETWEEN_S", "ProgramClient", "pause"]

_EVENTS_MAX: Final = 60
#: Between two steps or deliveries, so that they are recorded with different moments: virtual time stands still in a
#: program, and among equal scores a sorted set goes by the tags, which are random.
BETWEEN_S: Final = 0.001


def pause(seconds: float) -> None:
    """Let time pass on the arm that runs."""
    time.sleep(seconds)  # virtual in one arm


class ProgramClient:
    """A kombu client; what it sees goes to ``record``."""

    def __init__(
        self, name: str, options: ClientOptions, program: KombuProgram, arm: Arm, record: list[str]
    ) -> None:  # fmt: skip
        self.name = name
        self._arm = arm
        self._record = record
        self._options = {
            "queue_order_strategy": options.order,
            "ack_emulation": options.ack_emulation,
            "visibility_timeout": options.visibility_s,
            "unacked_restore_throttle": options.throttle,
            "polling_interval": options.pop_s,
            "global_keyprefix": program.prefix,
            "priority_steps": list(program.priority_steps),
        }
        self._connection: Any = None
        self._channel: Any = None
        self._opened: list[Any] = []
        self._consumers: list[str] = []
        self._messages: list[Any] = []
        self._consumer_number = 0

    def channel(self) -> Any:
        """Return the channel, opened if need be; ``None`` while that would mean to connect to a stopped server.

        kombu tries that twice, with two seconds in between (kombu/connection.py, ``Connection.connection``).
        """
        if self._channel is None or self._channel.closed:
            if self._arm.is_stopped:
                return None
            if self._connection is None:
                url = f"redis://127.0.0.1:{self._arm.port}/{DATABASE}"
                self._connection = kombu.Connection(url, transport_options=self._options)
                cycle = self._connection.transport.cycle
                cycle.poller = _InOrder(cycle)
            self._channel = self._connection.channel()
            self._opened.append(self._channel)
            self._consumers = []
        return self._channel

    def message(self, index: int) -> Any:
        """Return one of the messages seen so far, or ``None``."""
        return self._messages[index % len(self._messages)] if self._messages else None

    def consume(self, channel: Any, queue: str, no_ack: bool) -> None:
        """Begin to consume."""
        self._consumer_number += 1
        tag = f"{self.name}.{self._consumer_number}"
        self._consumers.append(tag)
        channel.basic_consume(queue, no_ack, lambda message: self._see(tag, message), tag)

    def cancel(self, index: int) -> Any:
        """Cancel a consumer."""
        if self._consumers and self._channel is not None and not self._channel.closed:
            return self._channel.basic_cancel(self._consumers.pop(index % len(self._consumers)))
        return None

    def get(self, channel: Any, queue: str, no_ack: bool) -> None:
        """Fetch one message."""
        pause(BETWEEN_S)
        message = channel.basic_get(queue, no_ack)
        if message is not None:
            self._see("get", message)

    def _see(self, consumer: str, message: Any) -> None:
        pause(BETWEEN_S)
        self._messages.append(message)
        info, properties = message.delivery_info, message.properties
        self._record.append(
            f"  {self.name} {consumer} saw {message.body!r} redelivered={info.get('redelivered')}"
            f" exchange={info.get('exchange')!r} key={info.get('routing_key')!r} priority={properties.get('priority')}"
            f" headers={message.headers} tag={message.delivery_tag}"
        )

    def drain(self) -> None:
        """Take in events until none is left: ask, let the server answer, and look without waiting.

        ``drain_events`` asks too (``MultiChannelPoller.get``), but would look before a real server has answered.
        """
        if self._channel is None or self._channel.closed:
            return
        for _ in range(_EVENTS_MAX):
            pause(BETWEEN_S)
            self._connection.transport.cycle.on_poll_start()
            if not self._arm.is_stopped:
                self._arm.settle()
            try:
                self._connection.drain_events(timeout=0)
            except TimeoutError:
                return
        raise RuntimeError(f"{self.name} has events without end")

    def close_channel(self) -> None:
        """Close the channel."""
        if self._channel is not None and not self._channel.closed:
            self._end_pop()
            self._channel.close()

    def close_connection(self) -> None:
        """Close the connection; the next step of this client opens another."""
        if self._connection is not None:
            self._end_pop()
            try:
                self._connection.close()
            finally:
                self._forget_finalizers()
                self._connection = self._channel = None

    def _end_pop(self) -> None:
        """End the outstanding pop as its timeout would, which a closing channel waits for (``Channel.close``)."""
        popping = self._channel and self._channel._in_poll
        if popping and popping._sock is not None and not self._arm.is_stopped:
            for client_id in self._ids({_port_of(popping)}):
                self._arm.admin.client_unblock(client_id)
            self._arm.settle()

    def _ids(self, ports: set[int]) -> list[int]:
        return [
            int(found["id"]) for found in self._arm.admin.client_list() if int(found["addr"].split(":")[-1]) in ports
        ]

    def reset(self) -> None:
        """Let the server end every connection of this client."""
        for client_id in self._ids({_port_of(one) for one in self._links() if one._sock is not None}):
            self._arm.admin.client_kill_filter(_id=client_id)
        self._arm.settle()

    def kill(self) -> None:
        """Close the sockets, and forget the rest."""
        self._forget_finalizers()
        for link in self._links():
            link.disconnect()
        self._connection = self._channel = None
        self._consumers, self._messages = [], []

    def _forget_finalizers(self) -> None:
        """A real channel that was not closed in order would restore its messages at the interpreter's exit."""
        for channel in self._opened:  # a close that fails forgets some of them
            if channel._qos is not None:
                channel._qos._on_collect.cancel()

    def _channels(self) -> list[Any]:
        transport = None if self._connection is None else self._connection._transport
        return [] if transport is None else list(transport.channels)

    def _links(self) -> list[Any]:
        pools = [pool for channel in self._channels() for pool in (channel._pool, channel._async_pool) if pool]
        return [link for pool in pools for link in (*pool._available_connections, *pool._in_use_connections)]


class _InOrder:
    """A poller that tells of queues before it tells of fanouts: epoll(7) promises no order of what is ready at once."""

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._poller = cycle.poller

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """Poll, as of kombu's pollers."""
        kinds = {fd: kind for fd, (_, kind) in self._cycle._fd_to_chan.items()}
        return sorted(self._poller.poll(timeout) or (), key=lambda event: kinds.get(event[0], ""))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


def _port_of(link: Any) -> int:
    return int(link._sock.getsockname()[1])
