"""What all parts of one server share: clock, names, observer, running numbers, deadlines.

The main name is :class:`Context`.  It holds no queue and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tqsim.broker.rabbitmq.deadlines import Deadlines

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.messages import Message
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["Context", "Observe"]

Observe = Callable[..., None]


class Context:
    """The surroundings of a server.

    ``now()`` is virtual time in microseconds; ``names(prefix)`` returns a new name that starts with
    ``prefix``; ``observe(name, **fields)`` is told of every moment, or is None; ``is_work(message)``
    says which messages are somebody's work.  ``published`` and ``delivered`` are the numbers of the
    last message and the last delivery.
    """

    __slots__ = ("deadlines", "delivered", "is_work", "names", "now", "observe", "published")

    def __init__(
        self,
        now: Callable[[], int],
        names: Callable[[str], str],
        observe: Observe | None,
        is_work: Callable[[Message], bool],
    ) -> None:
        self.now = now
        self.names = names
        self.observe = observe
        self.is_work = is_work
        self.published = 0
        self.delivered = 0
        self.deadlines: Deadlines[Queue] = Deadlines()
