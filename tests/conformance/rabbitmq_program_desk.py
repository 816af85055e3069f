"""Where a program of kombu clients runs, and what its clients see.

The main names are :func:`run`, which gives a :class:`Seen` for each step and one more for what is left
at the end, and :class:`Desk`, which the steps act on.  The server is an :class:`Arm`: it has a URL,
can come to rest, and can let time pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from operator import methodcaller
from typing import Any, Final

from amqp.exceptions import MessageNacked
from kombu import Connection

from tests.conformance.rabbitmq_arms import Letter
from tests.conformance.rabbitmq_programs import (
    CLIENTS_PER_CONNECTION,
    BindExchange,
    BindQueue,
    DeclareExchange,
    DeclareQueue,
    Program,
    Publish,
    Step,
    UnbindQueue,
)

__all__ = ["Arm", "Client", "Desk", "Seen", "run"]

#: What kombu raises for what a server says or for the loss of it, and nothing else.
_ERRORS: Final = (*Connection("amqp://").connection_errors, *Connection("amqp://").channel_errors, MessageNacked)
_PAUSE_S: Final = 0.002
#: When a client met a failure: in the call that it made, when it read later, or in one of both.
_IN_CALL: Final = "in the call"
_LATER: Final = "later"
_SOME_TIME: Final = "in the call or later"
#: These are over when they are answered, unless they are refused.
_AT_ONCE: Final = (DeclareExchange, DeclareQueue, BindQueue, BindExchange, UnbindQueue)


@dataclass
class Seen:
    """What all clients saw of one step, once the server had come to rest.

    Deliveries are kept by consumer: AMQP promises their order "in one channel, through one exchange, one
    queue and one outgoing channel" (AMQP 0-9-1, section 4.7), and none between two queues.  Consumers that end
    together are in the order of their names: each channel learns of it by itself
    (``handle_consuming_queue_down_or_eol`` in ``rabbit_channel.erl``).
    """

    answer: object = None
    failures: list[str] = field(default_factory=list)
    deliveries: dict[str, list[tuple[bool, Letter]]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    returned: list[tuple[int, str]] = field(default_factory=list)
    counts: dict[str, object] = field(default_factory=dict)
    left: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """A message that a client has not settled; ``multiple`` says whether it is settled with those before it."""

    client: int
    queue: str
    tag: int
    multiple: bool = False


class Client:
    """A channel, and what it holds unsettled."""

    def __init__(self, number: int, channel: Any) -> None:
        self.number = number
        self.channel = channel
        self.held: list[Held] = []
        self.queues: set[str] = set()

    def note(self, queue: str, message: Any) -> None:
        """Note a message that must be settled."""
        self.held.append(Held(self.number, queue, message.delivery_tag))
        self.queues.add(queue)

    def settle(self, index: int, multiple: bool) -> Held:
        """Return the held message of an index, counted round by queues, and hold it no longer.

        ``multiple`` is left out where the client has had messages of several queues: which of them came first,
        and so has the smaller tag, is not promised (see :class:`Seen`).
        """
        by_queue = sorted(self.held, key=lambda held: held.queue)
        found = by_queue[index % len(by_queue)]
        multiple = multiple and len(self.queues) == 1
        self.held = [held for held in self.held if held != found and not (multiple and held.tag < found.tag)]
        return replace(found, multiple=multiple)

    def forget(self) -> None:
        """The server has closed the channel."""
        self.held.clear()
        self.queues.clear()


class Arm(ABC):
    """A server."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where kombu connects to."""

    @abstractmethod
    def settle(self, desk: Desk) -> None:
        """Let everything that is under way arrive, and read it."""

    @abstractmethod
    def start_clock(self) -> None:
        """Something that lives for a short time may have come."""

    @abstractmethod
    def wait(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the server in good order and start it again."""


class Desk:
    """The clients of one program on one server."""

    def __init__(self, arm: Arm, program: Program) -> None:
        self.program = program
        self.seen = Seen()
        self.events = 0
        self._arm = arm
        self._connections: dict[int, Any] = {}
        self._clients: dict[int, Client] = {}
        self._watcher: Any = None
        self._acting: int | None = None
        self._moment = _LATER

    # --- what steps use ----------------------------------------------------------------------------

    def channel(self, number: int) -> Any:
        """Return the channel of a client."""
        return self._client(number).channel

    def consume(self, number: int, queue: str, tag: str, no_ack: bool, exclusive: bool, priority: int | None) -> object:
        """Subscribe."""
        client = self._client(number)

        def on_message(raw: Any) -> None:
            message = client.channel.message_to_python(raw)
            if not no_ack:
                client.note(queue, message)
            self.events += 1
            self.seen.deliveries.setdefault(tag, []).append(_letter(message))

        def on_cancel(cancelled: str) -> None:
            self.events += 1
            self.seen.cancelled = sorted([*self.seen.cancelled, cancelled])

        arguments = {} if priority is None else {"x-priority": priority}
        return client.channel.basic_consume(
            queue,
            tag,
            no_ack=no_ack,
            exclusive=exclusive,
            callback=on_message,
            on_cancel=on_cancel,
            arguments=arguments,
        )

    def get(self, number: int, queue: str, no_ack: bool) -> object:
        """Fetch one message."""
        client = self._client(number)
        raw = client.channel.basic_get(queue, no_ack=no_ack)
        if raw is None:
            return None
        message = client.channel.message_to_python(raw)
        if not no_ack:
            client.note(queue, message)
        return (*_letter(message), message.delivery_info["message_count"])

    def choose(self, holder: int, index: int, multiple: bool = False) -> Held | None:
        """Return which of all messages that clients hold is to be settled now, or None."""
        holders = [client for client in self.clients() if client.held]
        if not holders:
            return None
        client = holders[holder % len(holders)]
        self._acting = client.number
        return client.settle(index, multiple)

    def forget_held(self, number: int) -> None:
        """A client gives back everything."""
        self._client(number).forget()

    def close_channel(self, number: int) -> None:
        """Close the channel of a client."""
        client = self._clients.pop(number, None)
        if client is not None:
            client.channel.close()

    def close_connection(self, number: int) -> None:
        """Close a connection in good order."""
        connection = self._forget(number)
        if connection is not None:
            connection.close()

    def kill_connection(self, number: int) -> None:
        """Cut a connection without a word."""
        connection = self._forget(number)
        if connection is not None:
            connection.collect()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._arm.wait(seconds)

    def restart(self) -> None:
        """Restart the server; every client has lost its connection."""
        self._arm.restart()
        for number in list(self._connections):
            self.kill_connection(number)
        self._drop_watcher()

    # --- what arms use -----------------------------------------------------------------------------

    def connections(self) -> list[Any]:
        """The connections that are open, in the order of their numbers."""
        return [self._connections[number] for number in sorted(self._connections)]

    def clients(self) -> list[Client]:
        """The clients whose channels are open, in the order of their numbers."""
        return [self._clients[number] for number in sorted(self._clients)]

    def guard(self, act: Callable[[], object]) -> object:
        """Act, note what is raised, and forget what the server has closed: the acting client's channel, or more."""
        try:
            return act()
        except _ERRORS as error:
            self.events += 1
            self.seen.failures.append(f"{self._moment}: {type(error).__name__}: {error}")
            self._forget_closed()
            return None

    def counts(self) -> dict[str, object]:
        """Ready messages and consumers of each queue of the program, or what the server says instead."""
        return {name: self._watch(partial(_counts, queue=name)) for name in self.program.queues}

    # --- the course of a program -------------------------------------------------------------------

    def take(self, step: Step) -> Seen:
        """Run one step and return what was seen."""
        self.seen = seen = Seen()
        if isinstance(step, Publish):
            self._arm.start_clock()
        self._acting = getattr(step, "client", None)
        self._moment = _SOME_TIME if self._is_row(step) else _IN_CALL
        seen.answer = self.guard(lambda: step.do(self))
        if seen.failures or not isinstance(step, _AT_ONCE):
            self._come_to_rest()
        return seen

    def end(self) -> Seen:
        """Close every channel, one after the other, and fetch what is left in each queue."""
        self.seen = seen = Seen()
        self._moment = _LATER
        for number in sorted(self._clients):
            self._acting = number
            self.guard(partial(self.close_channel, number))
            self._come_to_rest()
        for number in sorted(self._connections):
            self.close_connection(number)
        self._come_to_rest()
        for queue in self.program.queues:
            if queue not in self.program.sinks:
                seen.left[queue] = self._left(queue)
        return seen

    def _left(self, queue: str) -> Any:
        """Fetch what is left in a queue; consume it, where a quorum queue has a single consumer."""
        left = self._watch(partial(_drain, queue=queue))
        if isinstance(left, str) and "basic.get operations are not supported" in left:
            left = []
            self._watch(partial(_collect, queue=queue, into=left))
            self._arm.settle(self)
            self._watch(_read)
        return left

    def clean(self) -> None:
        """Remove what the program declared."""
        for number in list(self._connections):
            self.kill_connection(number)
        for name in self.program.queues:
            self._watch(methodcaller("queue_delete", name))
        for name in self.program.exchanges:
            self._watch(methodcaller("exchange_delete", name))
        self._drop_watcher()

    def _is_row(self, step: Step) -> bool:
        """Whether several publishes go out without an answer.

        Each reads what has come before it (``_basic_publish`` in amqp/channel.py), so that it depends on the
        network which of them meets the refusal of the first.
        """
        if not isinstance(step, Publish) or step.copies == 1:
            return False
        return step.client // CLIENTS_PER_CONNECTION not in self.program.confirming

    def _come_to_rest(self) -> None:
        if self._moment != _SOME_TIME:
            self._moment = _LATER
        self._arm.settle(self)
        self.seen.counts = self.counts()
        for sink in self.program.sinks:
            found = self._watch(partial(_drain, queue=sink))
            self.seen.left[sink] = sorted(found, key=_first_death) if isinstance(found, list) else found

    # --- inside ------------------------------------------------------------------------------------

    def _client(self, number: int) -> Client:
        if number not in self._clients:
            connection = self._connection(number // CLIENTS_PER_CONNECTION)
            channel = connection.channel()
            channel.events["basic_return"].add(self._on_return)
            self._clients[number] = Client(number, channel)
        return self._clients[number]

    def _connection(self, number: int) -> Any:
        if number not in self._connections:
            options = {"confirm_publish": number in self.program.confirming}
            connection = Connection(self._arm.url, transport_options=options)
            connection.connect()
            self._connections[number] = connection.connection
        return self._connections[number]

    def _on_return(self, error: Any, exchange: str, key: str, message: Any) -> None:
        self.events += 1
        self.seen.returned.append((error.reply_code, f"{error.reply_text} {exchange}/{key}: {message.body}"))

    def _forget(self, number: int) -> Any:
        first = number * CLIENTS_PER_CONNECTION
        for client in range(first, first + CLIENTS_PER_CONNECTION):
            self._clients.pop(client, None)
        return self._connections.pop(number, None)

    def _forget_closed(self) -> None:
        acting = self._acting
        if acting is not None and acting in self._clients:
            self._clients[acting].forget()
        for number, connection in list(self._connections.items()):
            if not connection.connected:
                self._forget(number)

    def _watch(self, ask: Callable[[Any], Any]) -> Any:
        """Ask by a connection that is none of the program's."""
        if self._watcher is None:
            self._watcher = Connection(self._arm.url).channel()
        try:
            return ask(self._watcher)
        except _ERRORS as error:
            return f"{type(error).__name__}: {error}"

    def _drop_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.connection.collect()
            self._watcher = None


def run(arm: Arm, program: Program) -> list[Seen]:
    """Run a program on a server and return what was seen of each step, and at the end."""
    desk = Desk(arm, program)
    try:
        return [*(desk.take(step) for step in program.steps), desk.end()]
    finally:
        desk.clean()


def _letter(message: Any) -> tuple[bool, Letter]:
    info = message.delivery_info
    letter = Letter.of(message.body, info["exchange"], info["routing_key"], message.properties)
    return info["redelivered"], letter


def _counts(channel: Any, queue: str) -> tuple[int, int]:
    answer = channel.queue_declare(queue, passive=True)
    return answer.message_count, answer.consumer_count


def _collect(channel: Any, queue: str, into: list[object]) -> None:
    def on_message(raw: Any) -> None:
        into.append(_letter(channel.message_to_python(raw)))

    channel.basic_consume(queue, "last", no_ack=True, callback=on_message)


def _read(channel: Any) -> None:
    while True:
        try:
            channel.connection.drain_events(timeout=_PAUSE_S)
        except TimeoutError:
            return


def _first_death(found: tuple[bool, Letter]) -> str:
    """Where a dead letter comes from; those of one queue keep their order."""
    return str(found[1].headers.get("x-first-death-queue"))


def _drain(channel: Any, queue: str) -> list[Any]:
    found: list[Any] = []
    while (raw := channel.basic_get(queue, no_ack=True)) is not None:
        found.append(_letter(channel.message_to_python(raw)))
    return found
