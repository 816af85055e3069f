"""A server with a clock that tests move by hand, and a list of what it observed.

The main name is :class:`World`.
"""

from __future__ import annotations

import itertools
from typing import Any

from tqsim.broker.rabbitmq import Channel, Connection, Deliver, Event, Server, Settings

__all__ = ["World", "delivered", "publish", "taken"]


class World:
    """A server and its surroundings."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.now_us = 0
        self.moments: list[tuple[str, dict[str, Any]]] = []
        self.notified: list[str] = []
        numbers = itertools.count(1)
        self.server = Server(
            now=lambda: self.now_us,
            names=lambda prefix: f"{prefix}{next(numbers):04}",
            settings=settings,
            observe=lambda name, **fields: self.moments.append((name, fields)),
        )

    def connect(self, name: str = "client", **options: Any) -> Connection:
        """Open a connection that notes its notifications under its name."""
        return self.server.connect(name=name, notify=lambda: self.notified.append(name), **options)

    def channel(self, name: str = "client", **options: Any) -> Channel:
        """Open a channel on a connection of its own."""
        return self.connect(name, **options).channel()

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the moments so far, those that start with ``prefix``."""
        return [name for name, _ in self.moments if name.startswith(prefix)]

    def advance(self, microseconds: int) -> None:
        """Move the clock and let the server act on what has become due."""
        self.server.next_deadline()
        self.now_us += microseconds
        self.server.expire()


def publish(channel: Channel, queue: str, *bodies: str, **properties: object) -> None:
    """Publish each body straight to a queue."""
    for body in bodies:
        channel.basic_publish("", queue, body, properties)


def taken(connection: Connection) -> list[Event]:
    """Take everything out of a connection's outbox."""
    events = list(connection.outbox)
    connection.outbox.clear()
    return events


def delivered(connection: Connection) -> list[tuple[str, object, bool]]:
    """Take the outbox, which must hold deliveries only: (consumer tag, body, redelivered)."""
    events = taken(connection)
    assert all(isinstance(event, Deliver) for event in events), events
    return [
        (event.consumer_tag, event.message.body, event.redelivered) for event in events if isinstance(event, Deliver)
    ]
