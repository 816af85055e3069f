"""Two RabbitMQ servers behind one small client: tqsim's machine and a real one.

The main name is :class:`Arm`, which opens clients; a test body is written once against
:class:`Client` and :class:`Lane`.  Nothing that the server sends arrives by itself: :meth:`Arm.settle`
lets it come in, at once on the machine and after a short quiet time on the real server.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = [
    "NOT_FOUND",
    "Arm",
    "Client",
    "Closed",
    "Confirmed",
    "Counts",
    "Delivery",
    "Fetched",
    "Lane",
    "Letter",
    "Returned",
    "Table",
]

Table: TypeAlias = dict[str, Any]

NOT_FOUND: Final = 404


class Closed(Exception):
    """The server closed a channel or a connection; ``scope`` says which."""

    def __init__(self, scope: str, code: int, text: str, method: tuple[int, int]) -> None:
        super().__init__(scope, code, text, method)
        self.scope = scope
        self.code = code
        self.text = text
        self.method = method


class Delivery(NamedTuple):
    """A message that came to a consumer."""

    consumer: str
    body: str
    redelivered: bool
    tag: int


class Fetched(NamedTuple):
    """A message that was fetched, and how many were left."""

    body: str
    redelivered: bool
    tag: int
    left: int


class Returned(NamedTuple):
    """A mandatory message that came back."""

    code: int
    text: str
    exchange: str
    key: str


class Confirmed(NamedTuple):
    """The server's word on a publish: taken or not."""

    number: int
    taken: bool


class Letter(NamedTuple):
    """A message with everything that came with it; times of death are taken out of the headers."""

    body: str
    exchange: str
    key: str
    properties: Table

    @staticmethod
    def of(body: str, exchange: str, key: str, properties: Table) -> Letter:
        """Return the letter, after a look at each time of death."""
        headers = dict(properties.get("application_headers") or {})
        deaths = []
        for death in headers.get("x-death", []):
            known = dict(death)
            time = known.pop("time")
            assert isinstance(time, datetime), time
            assert (time.tzinfo, time.microsecond) == (None, 0)
            deaths.append(known)
        if deaths:
            headers["x-death"] = deaths
        rest = {name: value for name, value in properties.items() if name != "application_headers"}
        return Letter(body, exchange, key, {**rest, "headers": headers} if headers else rest)

    @property
    def headers(self) -> Table:
        """The headers alone."""
        return dict(self.properties.get("headers", {}))

    @property
    def deaths(self) -> list[tuple[str, str, int]]:
        """Each queue it died in: (queue, reason, count), the latest first."""
        return [(death["queue"], death["reason"], death["count"]) for death in self.headers.get("x-death", [])]


class Counts(NamedTuple):
    """Ready messages and consumers of a queue."""

    ready: int
    consumers: int


class Lane(ABC):
    """A channel.  What arrived lies in the lists; ``closed`` is how it ended, if the server ended it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.deliveries: list[Delivery] = []
        self.cancelled: list[str] = []
        self.returned: list[Returned] = []
        self.answers: list[Returned | Confirmed] = []
        self.letters: list[Letter] = []
        self.closed: Closed | None = None

    # Requests with an answer raise Closed.

    @abstractmethod
    def exchange(self, name: str, kind: str = "direct", **options: Any) -> None:
        """Declare an exchange."""

    @abstractmethod
    def delete_exchange(self, name: str, if_unused: bool = False) -> None:
        """Delete an exchange."""

    @abstractmethod
    def queue(self, name: str = "", **options: Any) -> str:
        """Declare a queue and return its name."""

    @abstractmethod
    def counts(self, queue: str) -> Counts:
        """Declare a queue passively and return its counts."""

    @abstractmethod
    def delete_queue(self, queue: str, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue and return how many messages it had."""

    @abstractmethod
    def purge(self, queue: str) -> int:
        """Purge a queue and return how many messages it had."""

    @abstractmethod
    def bind(self, queue: str, exchange: str, key: str, arguments: Table | None = None) -> None:
        """Bind a queue."""

    @abstractmethod
    def unbind(self, queue: str, exchange: str, key: str, arguments: Table | None = None) -> None:
        """Unbind a queue."""

    @abstractmethod
    def bind_exchange(self, destination: str, source: str, key: str, arguments: Table | None = None) -> None:
        """Bind an exchange to another one."""

    @abstractmethod
    def unbind_exchange(self, destination: str, source: str, key: str, arguments: Table | None = None) -> None:
        """Unbind an exchange from another one."""

    @abstractmethod
    def confirm(self) -> None:
        """Ask for publisher confirms."""

    @abstractmethod
    def transact(self) -> None:
        """Ask for transactions."""

    @abstractmethod
    def fetch(self, queue: str) -> Letter | None:
        """Fetch one message with everything that came with it, without acknowledgement."""

    @abstractmethod
    def consume(self, queue: str, tag: str = "", **options: Any) -> str:
        """Subscribe and return the consumer tag."""

    @abstractmethod
    def cancel(self, tag: str) -> None:
        """Unsubscribe."""

    @abstractmethod
    def get(self, queue: str, no_ack: bool = False) -> Fetched | None:
        """Fetch one message."""

    @abstractmethod
    def qos(self, count: int, shared: bool = False, size: int = 0) -> None:
        """Set the prefetch, of later consumers or (``shared``) of the channel."""

    @abstractmethod
    def recover(self, requeue: bool = True) -> None:
        """Have everything unacknowledged requeued."""

    @abstractmethod
    def close(self) -> None:
        """Close the channel."""

    # Requests without an answer.

    @abstractmethod
    def publish(
        self,
        exchange: str,
        key: str,
        body: str,
        *,
        mandatory: bool = False,
        immediate: bool = False,
        **properties: Any,
    ) -> None:
        """Publish a message."""

    @abstractmethod
    def ack(self, tag: int, multiple: bool = False) -> None:
        """Acknowledge."""

    @abstractmethod
    def nack(self, tag: int, multiple: bool = False, requeue: bool = True) -> None:
        """Give back, perhaps several."""

    @abstractmethod
    def reject(self, tag: int, requeue: bool = True) -> None:
        """Give back one."""

    # Helpers that both arms share.

    def send(self, queue: str, *bodies: object, **properties: Any) -> None:
        """Publish each body straight to a queue and wait until it is there."""
        for body in bodies:
            self.publish("", queue, str(body), **properties)
        self.client.arm.settle()

    def fetch_all(self, queue: str) -> list[tuple[str, bool]]:
        """Fetch until nothing is left; return (body, redelivered) pairs."""
        found = []
        while (fetched := self.get(queue, no_ack=True)) is not None:
            found.append((fetched.body, fetched.redelivered))
        return found

    def letter(self, queue: str) -> Letter:
        """Fetch one message, which must be there."""
        self.client.arm.settle()
        letter = self.fetch(queue)
        assert letter is not None, f"{queue} is empty"
        return letter

    def contents(self, queue: str) -> str:
        """Fetch until nothing is left; return the bodies."""
        self.client.arm.settle()
        return " ".join(body for body, _ in self.fetch_all(queue))

    def told(self) -> str:
        """Return what the server said of the publishes, in its order: +1 -2 and returned keys."""
        self.client.arm.settle()
        return " ".join(
            f"{'+' if answer.taken else '-'}{answer.number}" if isinstance(answer, Confirmed) else answer.key
            for answer in self.answers
        )

    def bodies(self, consumer: str) -> str:
        """Return the bodies that came to one consumer, redelivered ones with a star."""
        self.client.arm.settle()
        return " ".join(
            delivery.body + "*" * delivery.redelivered for delivery in self.deliveries if delivery.consumer == consumer
        )

    def ends_with(self) -> Closed:
        """Return how the server ended the channel, which it must have."""
        self.client.arm.settle()
        ended = self.closed or self.client.closed
        assert ended is not None, "still open"
        return ended


class Client(ABC):
    """A connection."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self.closed: Closed | None = None

    @abstractmethod
    def lane(self) -> Lane:
        """Open a channel."""

    @abstractmethod
    def open_twice(self) -> Lane:
        """Open a channel number that is open already."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection in good order."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the connection without a word."""

    @abstractmethod
    def read(self) -> None:
        """Take in what the server has sent."""


class Arm(ABC):
    """A server.  Names are made unique per test by :meth:`name`; texts mention ``vhost``."""

    vhost: str

    @abstractmethod
    def name(self, stem: str) -> str:
        """Return a name that no other test uses."""

    @abstractmethod
    def client(self, *, cancel_notify: bool = True) -> Client:
        """Connect."""

    @abstractmethod
    def settle(self) -> None:
        """Let everything that is under way arrive."""

    @abstractmethod
    def wait(self, milliseconds: int) -> None:
        """Let time pass, in the arm's own time."""

    @abstractmethod
    def close(self) -> None:
        """End all clients and remove what they left."""

    def counts(self, queue: str) -> Counts | None:
        """Return the counts of a queue, asked by a client of its own; None if there is none."""
        self.settle()
        client = self.client()
        try:
            return client.lane().counts(queue)
        except Closed as closed:
            if closed.code != NOT_FOUND:
                raise
            return None
        finally:
            client.close()

    def has_exchange(self, name: str) -> bool:
        """Return whether an exchange exists, asked by a client of its own."""
        client = self.client()
        try:
            client.lane().exchange(name, passive=True)
        except Closed as closed:
            if closed.code != NOT_FOUND:
                raise
            return False
        finally:
            client.close()
        return True
