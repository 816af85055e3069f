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
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["retire"]


def retire(channels: Sequence[Channel], *, auto_delete: bool = True) -> None:
    """Close ``channels`` on the server's side, whoever wanted it.

    A queue that loses its last consumer by this and is ``auto_delete`` is deleted, with what was
    unacknowledged from it; not if ``auto_delete`` is False, because the server itself has died.
    """
    for channel in channels:
        channel.is_open = False
        channel.connection.channels.pop(channel.number, None)
    for channel in channels:
        consumers = list(channel.consumers.values())
        channel.consumers.clear()
        for consumer in consumers:
            if consumer.queue.remove_consumer(consumer) and auto_delete:
                channel.virtual_host.delete_queue(consumer.queue, "auto-delete")
    returned: dict[Queue, None] = {}
    for channel in channels:
        for queued in channel.window.take_all():
            queued.queue.unacked -= 1
            queued.queue.put_back(queued)
            returned[queued.queue] = None
    for queue in returned:
        queue.run_again()
