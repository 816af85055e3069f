"""A look into a queue that kombu keeps in Redis, for tests and reports.

The main name is :class:`RedisQueueView`.  Reading it sends no command.
"""

from __future__ import annotations

from typing import Any

from tqsim.broker.redis.ledger import RedisMessage, RedisQueue, decode_message
from tqsim.broker.redis.observing import QueueObserver

__all__ = ["RedisQueueView"]


class RedisQueueView:
    """A live, read-only view of one queue: of the lists of its priority steps, and of what is unacknowledged."""

    __slots__ = ("_observer", "_queue")

    def __init__(self, observer: QueueObserver, queue: RedisQueue) -> None:
        self._observer = observer
        self._queue = queue

    def __repr__(self) -> str:
        return (
            f"<QueueView {self.vhost}:{self.name} ready={self.ready_count} "
            f"unacked={self.unacked_count} consumers={self.consumer_count}>"
        )

    @property
    def name(self) -> str:
        """The name of the queue, without prefix and priority."""
        return self._queue.name

    @property
    def vhost(self) -> str:
        """The number of its database; with the server's address where that is not the application's first."""
        return self._queue.vhost

    @property
    def exists(self) -> bool:
        """Whether the queue has not been deleted since."""
        return not self._queue.is_deleted

    @property
    def ready_count(self) -> int:
        """The number of messages in its lists."""
        return sum(len(values) for values in self._lists())

    @property
    def unacked_count(self) -> int:
        """The number of messages that are recorded as unacknowledged."""
        return self._queue.unacked

    @property
    def consumer_count(self) -> int:
        """The number of clients that pop from it."""
        keys = self._queue.keys or {self._queue.name.encode(): 0}
        return self._observer.consumers_of(keys, self._queue.database)

    @property
    def carries_work(self) -> bool:
        """Whether tasks have been sent to it."""
        return self._queue.carries_work

    def messages(self) -> list[RedisMessage]:
        """Return the ready messages in delivery order: by priority step, lowest first."""
        found = []
        for values in self._lists():
            for payload in reversed(values):
                message = self._message(payload)
                if message is not None:
                    found.append(message)
        return found

    def _message(self, payload: bytes) -> RedisMessage | None:
        value = decode_message(payload)
        if value is None:
            return None
        copies = self._observer.ledger.find(self._queue.database, str(value["properties"]["delivery_tag"]))
        return next((copy.message for copy in copies if copy.queue is self._queue), None)

    def _lists(self) -> list[Any]:
        database = self._observer.server.dbs[self._queue.database]
        items = [database.get(key) for key, _ in sorted(self._queue.keys.items(), key=lambda pair: pair[1])]
        return [item.value for item in items if item is not None and isinstance(item.value, list)]
