"""A running broker of one simulation: the server, its deadlines, and kombu's way to it.

The main name is :class:`BrokerRuntime`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from tqsim.broker.profile import RabbitMQ
from tqsim.broker.rabbitmq.server import Server
from tqsim.broker.rabbitmq.views import QueueView
from tqsim.broker.transport import install, transport_class
from tqsim.errors import UsageError
from tqsim.kernel import Kernel

__all__ = ["BrokerRuntime"]

_VHOST = "/"


class BrokerRuntime:
    """The simulated RabbitMQ of one simulation."""

    def __init__(self, kernel: Kernel, profile: RabbitMQ, observe: Callable[..., None] | None) -> None:
        numbers = itertools.count(1)
        self._kernel = kernel
        self._deadline: Any = None
        self.server = Server(
            version=profile.version,
            now=lambda: kernel.loop.now_us,
            names=lambda prefix: f"{prefix}{next(numbers):06d}",
            observe=observe,
        )

    def install(self) -> None:
        """Lead every kombu connection here until the kernel closes."""
        install(self._kernel, transport_class(self._kernel, self.server))
        self._kernel.before_time_moves.append(self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        """Set the timer for the next queue expiry."""
        due_us = self.server.next_deadline()
        if self._deadline is not None:
            if self._deadline.is_pending and self._deadline.due_us == due_us:
                return
            self._deadline.cancel()
        self._deadline = None if due_us is None else self._kernel.loop.agenda.call_at(due_us, self._expire)

    def _expire(self) -> None:
        self.server.expire()

    def observe_with(self, observe: Callable[..., None] | None) -> None:
        """Tell another observer from now on."""
        self.server.observe_with(observe)

    # -- what a test sees ---------------------------------------------------------------------

    def restart(self) -> None:
        """Restart the server at once: connections break, what is durable survives."""
        self.server.restart()

    def stop(self) -> None:
        """Shut the server down; connecting is refused until :meth:`start`."""
        self.server.stop()

    def start(self) -> None:
        """Start the server again."""
        self.server.start()

    def queues(self) -> list[QueueView]:
        """The queues of every vhost, in the order of declaration."""
        return [view for vhost in self.server.vhosts() for view in self.server.queues(vhost)]

    def queue(self, name: str, vhost: str = _VHOST) -> QueueView:
        """A look into one queue.  Raises :class:`~tqsim.UsageError` when there is none of that name."""
        for view in self.server.queues(vhost):
            if view.name == name:
                return view
        known = ", ".join(sorted(view.name for view in self.server.queues(vhost))) or "none"
        raise UsageError(f"queue={name!r} does not exist; the broker's queues are: {known}.")

    def work(self) -> list[QueueView]:
        """The queues that hold work: neither exclusive to a connection nor gone with its consumer.

        Queues for events, remote control and replies are all one or the other.
        """
        return [view for view in self.queues() if not view.exclusive and not view.auto_delete]
