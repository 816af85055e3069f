"""A running broker of one simulation: the server, its deadlines, and kombu's way to it.

The main name is :class:`BrokerRuntime`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import Any

from tqsim.broker.links import Links
from tqsim.broker.profile import RabbitMQ
from tqsim.broker.rabbitmq.server import Server
from tqsim.broker.rabbitmq.views import QueueView
from tqsim.broker.tasks import carries_task
from tqsim.broker.transport import install, transport_class
from tqsim.broker.views import find_queue
from tqsim.kernel import Kernel

__all__ = ["BrokerRuntime"]


class BrokerRuntime:
    """The simulated RabbitMQ of one simulation."""

    def __init__(self, kernel: Kernel, profile: RabbitMQ, observe: Callable[..., None] | None) -> None:
        numbers = itertools.count(1)
        self._kernel = kernel
        self._deadline: Any = None
        self._stops = 0
        self._alarms = 0
        #: Between every process and the server.
        self.links = Links(kernel, "broker")
        self.server = Server(
            settings=profile.settings(),
            epoch_us=kernel.clock.epoch_us - kernel.loop.now_us,
            now=lambda: kernel.loop.now_us,
            names=lambda prefix: f"{prefix}{next(numbers):06d}",
            observe=observe,
            is_work=carries_task,
        )

    def install(self) -> None:
        """Lead every kombu connection here until the kernel closes."""
        install(self._kernel, transport_class(self._kernel, self.server, self.links))
        self._kernel.before_time_moves.append(self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        """Set the timer for what the server does next by itself."""
        due_us = self.server.next_deadline()
        timer = self._deadline
        if timer is not None and timer.is_pending:
            # A deadline that moved later, such as that of a channel's oldest delivery, finds the timer
            # again when it rings: setting it anew with each delivery would cost more.
            if due_us is not None and timer.due_us <= due_us:
                return
            timer.cancel()
        self._deadline = None if due_us is None else self._kernel.loop.agenda.call_at(due_us, self._expire)

    def _expire(self) -> None:
        self.server.expire()

    def observe_with(self, observe: Callable[..., None] | None) -> None:
        """Tell another observer from now on."""
        self.server.observe_with(observe)

    # -- what a test sees ---------------------------------------------------------------------

    def restart(self) -> None:
        """Restart the server at once: connections break, what is durable survives."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Shut the server down; connecting is refused until :meth:`start` was called as often."""
        self._stops += 1
        self.server.stop()

    def crash(self) -> None:
        """Kill the server; connecting is refused until :meth:`start` was called as often."""
        self._stops += 1
        self.server.crash()

    def start(self) -> None:
        """Undo one :meth:`stop`; with the last of them the server starts again."""
        self._stops = max(0, self._stops - 1)
        if not self._stops:
            self.server.start()

    def alarm(self, is_raised: bool) -> None:
        """Raise the server's memory alarm, or end it once it was ended as often as it was raised.

        See :meth:`tqsim.broker.rabbitmq.Server.alarm`.
        """
        self._alarms = max(0, self._alarms + (1 if is_raised else -1))
        self.server.alarm(self._alarms > 0)

    def require(self, verb: str) -> None:
        """Nothing that can be asked of RabbitMQ is missing."""

    def queues(self) -> list[QueueView]:
        """The queues of every vhost, in the order of declaration."""
        return [view for vhost in self.server.vhosts() for view in self.server.queues(vhost)]

    def queue(self, name: str, vhost: str | None = None) -> QueueView:
        """A look into one queue, of whatever vhost it is.

        Raises :class:`~tqsim.UsageError` when there is none of that name, or one in several vhosts.
        """
        return find_queue(self.queues(), name, vhost)

    def work(self) -> list[QueueView]:
        """The queues whose messages are work: not those for events, remote control and replies."""
        return [view for view in self.queues() if view.carries_work]

    def has_work(self, ignored: Collection[str] = ()) -> bool:
        """Whether a message that is work is ready, unacknowledged or on its way here, but for ``ignored`` queues."""
        if self.links.carries_work or self.server.is_holding:
            return True
        return any(view.ready_count or view.unacked_count for view in self.work() if view.name not in ignored)
