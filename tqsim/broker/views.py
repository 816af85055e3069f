"""What a running broker is to the rest of a simulation, whichever server it simulates.

The main name is :class:`Broker`; :class:`QueueView` and :class:`MessageView` are what a test sees of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tqsim.broker.links import Links
from tqsim.errors import UsageError

__all__ = ["Broker", "MessageView", "QueueView", "find_queue"]

_View = TypeVar("_View", bound="QueueView")


class MessageView(Protocol):
    """A message that waits in a queue."""

    @property
    def number(self) -> int:
        """Its place in the publish order of the whole broker, from 1."""

    @property
    def exchange(self) -> str:
        """The exchange that it was published to."""

    @property
    def routing_key(self) -> str:
        """The routing key that it was published with."""

    @property
    def body(self) -> Any:
        """Its body, as it was sent."""

    @property
    def properties(self) -> Mapping[str, Any]:
        """Its properties; Celery's headers are its ``application_headers``."""


class QueueView(Protocol):
    """A live, read-only view of one queue; looking is no use of it."""

    @property
    def name(self) -> str:
        """The name of the queue."""

    @property
    def vhost(self) -> str:
        """Its vhost; of a Redis queue, its database."""

    @property
    def exists(self) -> bool:
        """Whether it has not been deleted since."""

    @property
    def ready_count(self) -> int:
        """The number of messages that wait for delivery."""

    @property
    def unacked_count(self) -> int:
        """The number of messages that were delivered and are not acknowledged."""

    @property
    def consumer_count(self) -> int:
        """The number of consumers."""

    @property
    def carries_work(self) -> bool:
        """Whether its messages are work: not so for events, remote control and replies."""

    def messages(self) -> Sequence[MessageView]:
        """Return the ready messages in delivery order."""
        ...


class Broker(Protocol):
    """The running broker of one simulation."""

    @property
    def links(self) -> Links:
        """Between every process and the broker's servers."""
        ...

    def install(self) -> None:
        """Lead every kombu connection here until the kernel closes."""

    def observe_with(self, observe: Any) -> None:
        """Tell another observer from now on."""

    def restart(self) -> None:
        """Restart the server at once."""

    def stop(self) -> None:
        """Shut the server down; connecting is refused until :meth:`start` was called as often."""

    def crash(self) -> None:
        """Kill the server; connecting is refused until :meth:`start` was called as often."""

    def start(self) -> None:
        """Undo one :meth:`stop` or :meth:`crash`."""

    def alarm(self, is_raised: bool) -> None:
        """Raise the server's memory alarm, or end it."""

    def require(self, verb: str) -> None:
        """Raise :class:`~tqsim.UsageError` for ``"broker.alarm"`` or ``"broker.crash"`` where it cannot be."""

    def queue(self, name: str, vhost: str | None = None) -> QueueView:
        """A look into one queue; raises :class:`~tqsim.UsageError` when there is none, or several."""
        ...

    def work(self) -> Sequence[QueueView]:
        """The queues whose messages are work."""
        ...

    def has_work(self, ignored: Collection[str] = ()) -> bool:
        """Whether a message that is work is ready, unacknowledged or on its way; cheap, as it is asked often.

        What is in the queues called ``ignored`` does not count.
        """
        ...


def find_queue(views: Sequence[_View], name: str, vhost: str | None) -> _View:
    """Return the queue of a name, of whatever vhost it is.

    Raises :class:`~tqsim.UsageError` when there is none, or one in several vhosts.
    """
    among = [view for view in views if vhost is None or view.vhost == vhost]
    found = [view for view in among if view.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(repr(view.vhost) for view in found)
        raise UsageError(f"queue={name!r} exists in several vhosts: {places}; name one with vhost=...")
    where = "the broker's queues" if vhost is None else f"the queues of vhost {vhost!r}"
    known = ", ".join(sorted(view.name for view in among)) or "none"
    raise UsageError(f"queue={name!r} does not exist; {where} are: {known}.")
