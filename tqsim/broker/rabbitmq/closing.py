"""What the server does about channels that end.

The main name is :func:`retire`.  One channel, all channels of a connection or all channels of the
server: their consumers leave first and together, so that no message is handed to one that is about
to go, and then everything unacknowledged returns to its place.  (In the real server the channels of
a dying connection end one after the other, in no fixed order.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.channels import Channel
    from tqsim.broker.rabbitmq.messages import Queued
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["retire"]


def retire(channels: Sequence[Channel], *, auto_delete: bool = True) -> None:
    """Close ``channels`` on the server's side, whoever wanted it.

    A queue that loses its last consumer by this and is ``auto_delete`` is deleted, with what was
    unacknowledged from it; not if ``auto_delete`` is False, because the server itself has died.
    """
    returned: dict[Queue, None] = {}
    for channel in channels:
        channel.is_open = False
        channel.is_careful = True
        channel.connection.channels.pop(channel.number, None)
    for channel in channels:
        consumers = list(channel.consumers.values())
        channel.consumers.clear()
        channel.connection.context.ticks.drop(channel)
        for consumer in consumers:
            returned[consumer.queue] = None
            if consumer.queue.remove_consumer(consumer) and auto_delete:
                channel.virtual_host.delete_queue(consumer.queue, "auto-delete")
    for channel in channels:
        for queued in _in_order(channel.window.take_all()):
            queued.queue.unacked -= 1
            queued.queue.put_back(queued)
            returned[queued.queue] = None
    for queue in returned:
        if not queue.is_deleted:
            queue.run_again()


def _in_order(taken: list[Queued]) -> list[Queued]:
    """Order what comes back: what was fetched first, then consumer by consumer, each oldest first.

    Only a quorum queue shows it (measured on 3.10); others have a place for each message.
    """
    return sorted(taken, key=lambda queued: "" if queued.holder is None else queued.holder.tag)
