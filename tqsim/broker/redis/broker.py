"""Redis as the broker of one simulation: which servers it is, and what a test sees of them.

The main name is :class:`RedisBroker`.  The servers are those that the application's broker URLs name; they
are the same as those of result backends and of the application's clients at these addresses.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from tqsim.broker.links import Links
from tqsim.broker.profile import Redis
from tqsim.broker.redis.ledger import Ledger
from tqsim.broker.redis.observing import QueueObserver
from tqsim.broker.redis.places import Place, places_of, split_key
from tqsim.broker.redis.queues import RedisQueueView
from tqsim.broker.redis.runtime import RedisRuntime
from tqsim.broker.redis.server import Server
from tqsim.broker.redis.transport import install
from tqsim.broker.views import find_queue
from tqsim.errors import UsageError
from tqsim.kernel import Kernel

__all__ = ["RedisBroker"]

_KOMBU: Final = "kombu.transport.redis"


class RedisBroker:
    """The simulated Redis of one simulation, seen as a broker; ``apps()`` gives the applications."""

    def __init__(
        self,
        kernel: Kernel,
        profile: Redis,
        runtime: RedisRuntime,
        apps: Callable[[], Iterable[Any]],
        observe: Callable[..., None] | None,
    ) -> None:
        self.profile = profile
        self._kernel = kernel
        self._runtime = runtime
        self._apps = apps
        self._observe = observe or _ignore
        self._observers: dict[str, QueueObserver] = {}
        self._stops = 0
        self._message_numbers = itertools.count(1)
        self._delivery_numbers = itertools.count(1)

    def install(self) -> None:
        """Lead every kombu connection here until the kernel closes."""
        install(self._kernel, self._delivery_number)
        self._kernel.before_time_moves.append(self._settle)
        self._runtime.on_connect = self._join
        for app in self._apps():
            for place in places_of(app):
                self._take_in(place.address)
        self._tell("server.started")

    @property
    def links(self) -> Links:
        """Between every process and every server, whether it is a broker or not."""
        return self._runtime.links

    @property
    def place(self) -> Place:
        """The first server that the application's URL names, and its database."""
        for app in self._apps():
            return places_of(app)[0]
        raise AssertionError("a simulation has an application")

    def _join(self, client: Any, address: str) -> None:
        """A client connects: what kombu connects to is a broker."""
        if type(client).__module__ == _KOMBU:
            self._take_in(address)

    def _take_in(self, address: str) -> None:
        if address in self._observers:
            return
        server = self._runtime.server(address)
        is_first = not self._observers

        def vhost_of(database: int) -> str:
            return str(database) if is_first else f"{address}/{database}"

        def queue_of(database: int, key: bytes) -> tuple[str, int, str]:
            name, priority = split_key(key, self._apps())
            return name, priority, vhost_of(database)

        ledger = Ledger(lambda: next(self._message_numbers), queue_of, self._tell)
        observer = QueueObserver(server, ledger, lambda: next(self._delivery_numbers), vhost_of)
        self._observers[address] = observer
        server.observer = observer

    def _tell(self, name: str, **fields: Any) -> None:
        self._observe(name, **fields)

    def _delivery_number(self, tag: str) -> int:
        for observer in self._observers.values():
            number = observer.delivered.get(tag)
            if number is not None:
                return number
        return 0

    def _settle(self) -> None:
        for observer in self._observers.values():
            if observer.has_fetched:
                observer.settle_fetched()

    def observe_with(self, observe: Callable[..., None] | None) -> None:
        """Tell another observer from now on."""
        self._observe = observe or _ignore

    # -- what a test sees ---------------------------------------------------------------------

    def restart(self) -> None:
        """Restart the servers at once: connections break, and what is not on disk is lost."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Shut the servers down; connecting is refused until :meth:`start` was called as often."""
        self._stops += 1
        if self._stops == 1:
            self._tell("server.stopped")
            for server in self._servers():
                server.stop()

    def start(self) -> None:
        """Undo one :meth:`stop`; with the last of them the servers start again."""
        self._stops = max(0, self._stops - 1)
        if self._stops:
            return
        self._tell("server.started")
        for observer in self._observers.values():
            observer.server.start(keeps_data=self.profile.keeps_data)
            observer.look_again("restart")

    def crash(self) -> None:
        """Kill the servers: as :meth:`stop`, for :meth:`require` lets only those be killed that keep nothing."""
        self.stop()

    def alarm(self, is_raised: bool) -> None:
        """Redis has no such alarm; see :meth:`require`."""
        raise AssertionError("required before")

    def require(self, verb: str) -> None:
        """Raise :class:`~tqsim.UsageError` for what cannot be done to this broker."""
        if verb == "broker.alarm":
            raise UsageError(
                "faults.memory_alarm: Redis raises no memory alarm; it is a fault of RabbitMQ. "
                "Delete keys with sim.redis to see what an eviction does."
            )
        if self.profile.keeps_data:
            raise UsageError(
                f"faults.broker_crash: what a Redis with persistence={self.profile.persistence!r} loses in a crash is "
                'not simulated; use tqsim.faults.broker_restart, or Redis(persistence="none").'
            )

    def _servers(self) -> list[Server]:
        return [observer.server for observer in self._observers.values()]

    def queues(self) -> list[RedisQueueView]:
        """The queues of every database, in the order of declaration."""
        return [
            RedisQueueView(observer, queue)
            for observer in self._observers.values()
            for queue in observer.ledger.queues.values()
        ]

    def queue(self, name: str, vhost: str | None = None) -> RedisQueueView:
        """A look into one queue, of whatever database it is; ``vhost`` is the database's number as text.

        Raises :class:`~tqsim.UsageError` when there is none of that name, or one in several databases.
        """
        return find_queue(self.queues(), name, vhost)

    def work(self) -> list[RedisQueueView]:
        """The queues whose messages are work: those that tasks were sent to."""
        return [view for view in self.queues() if view.carries_work]

    def has_work(self, ignored: Collection[str] = ()) -> bool:
        """Whether a task is in a list, popped, recorded as unacknowledged, or on its way here.

        What is in the queues called ``ignored`` does not count.
        """
        if self.links.carries_work:
            return True
        return any(observer.ledger.has_work(ignored) for observer in self._observers.values())


def _ignore(name: str, **fields: Any) -> None:
    """In the place of an observer."""
