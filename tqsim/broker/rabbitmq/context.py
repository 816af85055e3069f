"""What all parts of one server share: clock, names, observer, running numbers, deadlines.

The main name is :class:`Context`.  It holds no queue and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tqsim.broker.rabbitmq.deadletters import PostOffice
from tqsim.broker.rabbitmq.deadlines import Deadlines
from tqsim.broker.rabbitmq.settings import Settings

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.channels import Channel
    from tqsim.broker.rabbitmq.messages import Message
    from tqsim.broker.rabbitmq.queues import Queue
    from tqsim.broker.rabbitmq.terms import Terms

__all__ = ["Context", "Observe"]

Observe = Callable[..., None]


class Context:
    """The surroundings of a server.

    ``now()`` is virtual time in microseconds; ``names(prefix)`` returns a new name that starts with
    ``prefix``; ``observe(name, **fields)`` is told of every moment, or is None; ``is_work(message)``
    says which messages are somebody's work.  ``published`` and ``delivered`` are the numbers of the
    last message and the last delivery.  ``epoch_us`` is where ``now()`` starts, counted from 1970.

    ``deadlines`` are those of unused queues, ``expiries`` those of messages at the head of a queue,
    ``ticks`` those of channels that look at their oldest delivery.  ``moment`` changes whenever time
    may have moved.
    """

    __slots__ = (
        "deadlines",
        "delivered",
        "epoch_us",
        "expiries",
        "is_work",
        "moment",
        "names",
        "now",
        "observe",
        "post",
        "published",
        "settings",
        "ticks",
    )

    def __init__(
        self,
        now: Callable[[], int],
        names: Callable[[str], str],
        observe: Observe | None,
        is_work: Callable[[Message], bool],
        settings: Settings,
        epoch_us: int,
    ) -> None:
        self.now = now
        self.names = names
        self.observe = observe
        self.is_work = is_work
        self.published = 0
        self.delivered = 0
        self.settings = settings
        self.epoch_us = epoch_us
        self.moment = 0
        self.deadlines: Deadlines[Queue] = Deadlines()
        self.expiries: Deadlines[Terms] = Deadlines()
        self.ticks: Deadlines[Channel] = Deadlines()
        self.post = PostOffice(self.next_number)

    def next_number(self) -> int:
        """Return the number of a new message."""
        self.published += 1
        return self.published
