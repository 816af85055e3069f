"""A look into a queue, for tests and reports.

The main name is :class:`QueueView`: what `rabbitmqctl list_queues` would show, and the messages.
Reading it changes nothing; unlike ``basic.get`` it is no use of the queue.
"""

from __future__ import annotations

from tqsim.broker.rabbitmq.messages import Message
from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["QueueView"]


class QueueView:
    """A live, read-only view of one queue; after its deletion everything is zero or empty."""

    __slots__ = ("_queue",)

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __repr__(self) -> str:
        return (
            f"<QueueView {self.vhost}:{self.name} ready={self.ready_count} "
            f"unacked={self.unacked_count} consumers={self.consumer_count}>"
        )

    @property
    def name(self) -> str:
        """The name of the queue."""
        return self._queue.name

    @property
    def vhost(self) -> str:
        """The name of its vhost."""
        return self._queue.vhost

    @property
    def exists(self) -> bool:
        """Whether the queue has not been deleted since."""
        return not self._queue.is_deleted

    @property
    def durable(self) -> bool:
        """Whether it survives a restart."""
        return self._queue.durable

    @property
    def exclusive(self) -> bool:
        """Whether it belongs to one connection."""
        return self._queue.owner is not None

    @property
    def auto_delete(self) -> bool:
        """Whether it goes with its last consumer."""
        return self._queue.auto_delete

    @property
    def arguments(self) -> dict[str, object]:
        """A copy of the arguments it was declared with."""
        return dict(self._queue.arguments)

    @property
    def ready_count(self) -> int:
        """The number of messages waiting for delivery."""
        return self._queue.ready.count

    @property
    def unacked_count(self) -> int:
        """The number of messages delivered or fetched and not acknowledged."""
        return 0 if self._queue.is_deleted else self._queue.unacked

    @property
    def consumer_count(self) -> int:
        """The number of consumers, whether they have room or not."""
        return len(self._queue.rota)

    @property
    def carries_work(self) -> bool:
        """Whether its messages are work: not so for queues of events, remote control and replies."""
        return self._queue.carries_work

    def messages(self) -> list[Message]:
        """Return the ready messages in delivery order."""
        return [queued.message for queued in self._queue.ready]
