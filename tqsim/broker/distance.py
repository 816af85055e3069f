"""A connection's requests and answers when something lies between the client and the server.

The main names are :class:`Distance`, through which a connection sends and receives once its link has ailed,
and :class:`RemoteChannel`, a server's channel as seen from there.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from tqsim.broker.answers import PUBLISHING, WITHOUT_ANSWER, Answer
from tqsim.broker.links import Cable
from tqsim.broker.rabbitmq.connections import Connection as ServerConnection
from tqsim.broker.rabbitmq.events import Event

__all__ = ["Distance", "RemoteChannel"]


class Distance:
    """Both directions of one connection: ``peer`` is the server's end, ``drain()`` acts on the next event.

    ``inbox`` holds the events that have arrived; ``notify()`` is called after each.
    """

    def __init__(
        self, cable: Cable, peer: ServerConnection, notify: Callable[[], None], drain: Callable[[], None]
    ) -> None:
        self.inbox: deque[Event | Answer] = deque(peer.outbox)
        peer.outbox.clear()
        peer.notify = self._send_events
        self.cable = cable
        self._peer = peer
        self._notify = notify
        self._drain = drain
        self._is_serving = False
        self._failure: Exception | None = None
        #: Whether the client's socket is of no use any more.
        self.is_broken = False

    # -- what the client does -----------------------------------------------------------------

    def ask(self, request: Callable[[], Any]) -> Any:
        """Let the server act, and return what it answers; what it sends before is acted on meanwhile.

        As py-amqp does while it waits for a method (amqp/abstract_channel.py, ``wait``).
        """
        self._require_sound()
        answer = Answer()
        self.cable.to_server(partial(self._serve, request, answer))
        while not answer.is_there:
            self._drain()
        return answer.result()

    def tell(self, request: Callable[[], object], *, is_work: bool = False) -> None:
        """Let the server act, without an answer."""
        self._require_sound()
        self.cable.to_server(partial(self._act, request), is_work=is_work)

    def hang_up(self) -> None:
        """The client closes its socket."""
        if not self.is_broken:
            self.cable.hang_up()

    def fail(self, error: Exception) -> None:
        """Let the client's socket fail with ``error``, after what has arrived was read."""
        self._failure = error
        self.is_broken = True
        self._notify()

    def raise_failure(self, afterwards: OSError) -> None:
        """Raise what the socket failed with; ``afterwards`` once that was told."""
        failure, self._failure = self._failure, None
        raise failure or afterwards

    def _require_sound(self) -> None:
        if self.is_broken:
            self.raise_failure(BrokenPipeError(errno.EPIPE, "Broken pipe"))

    # -- what happens at the server -----------------------------------------------------------

    def _serve(self, request: Callable[[], Any], answer: Answer) -> None:
        peer = self._peer
        if peer.is_blocked and peer.is_open:
            peer.hold(partial(self._serve, request, answer))
            return
        if not peer.is_open:
            self._refuse_bytes()
            return
        # What the server sends of its own accord comes after the answer, as consume-ok comes before deliveries.
        self._is_serving = True
        try:
            answer.take_from(request)
        finally:
            self._is_serving = False
        self.cable.to_client(partial(self._receive, answer))
        self._send_events()

    def _act(self, request: Callable[[], object]) -> None:
        if self._peer.is_open:
            request()
        else:
            self._refuse_bytes()

    def _refuse_bytes(self) -> None:
        """A closed socket answers whatever arrives with a reset."""
        self.cable.to_client(lambda: self.fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")))

    def _send_events(self) -> None:
        outbox = self._peer.outbox
        while outbox and not self._is_serving:
            self.cable.to_client(partial(self._receive, outbox.popleft()))

    def _receive(self, event: Event | Answer) -> None:
        self.inbox.append(event)
        self._notify()


class RemoteChannel:
    """The requests of a server's channel, over a distance: each is sent, and its answer waited for if it has one."""

    def __init__(self, channel: Any, distance: Distance) -> None:
        self._channel = channel
        self._distance = distance

    def __getattr__(self, name: str) -> Any:
        request = getattr(self._channel, name)
        distance = self._distance
        if name in WITHOUT_ANSWER:
            is_work = name in PUBLISHING
            return lambda *args, **kwargs: distance.tell(partial(request, *args, **kwargs), is_work=is_work)
        return lambda *args, **kwargs: distance.ask(partial(request, *args, **kwargs))
