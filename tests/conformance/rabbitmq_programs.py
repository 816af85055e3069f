"""Programs of kombu clients for a RabbitMQ server: plain data that prints as the text that builds it.

The main names are :class:`Program` and the kinds of :class:`Step`.  A program names its clients by number:
client 0 and 1 are channels of connection 0, client 2 and 3 of connection 1, opened when they are first
needed.  What a step does is its ``do``; who runs it and what is seen is in ``rabbitmq_program_desk.py``.
Left out: ``basic.nack`` and transactions, for which kombu and py-amqp have no method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from tests.conformance.rabbitmq_program_desk import Desk

__all__ = [
    "CLIENTS_PER_CONNECTION",
    "SHORT_MS",
    "WAIT_MS",
    "Ack",
    "AckUnknown",
    "BindExchange",
    "BindQueue",
    "Cancel",
    "CloseChannel",
    "CloseConnection",
    "Consume",
    "DeclareExchange",
    "DeclareQueue",
    "DeleteExchange",
    "DeleteQueue",
    "Get",
    "KillConnection",
    "Program",
    "Publish",
    "Purge",
    "Qos",
    "Recover",
    "Reject",
    "Restart",
    "Step",
    "Table",
    "UnbindQueue",
    "Wait",
]

Table: TypeAlias = tuple[tuple[str, Any], ...]

CLIENTS_PER_CONNECTION: Final = 2
#: The short time to live, and a wait that outlasts two of them in a row: one queue's, then another's.
SHORT_MS: Final = 400
WAIT_MS: Final = 950
# A delivery tag that no channel comes to.
_NEVER: Final = 9_999
_PERSISTENT: Final = 2
_TRANSIENT: Final = 1


class Step(ABC):
    """One act of one client.  Returns what the client is answered, and raises what its library raises."""

    @abstractmethod
    def do(self, desk: Desk) -> object:
        """Act."""


@dataclass(frozen=True)
class Program:
    """Steps in their order; the connections whose numbers are in ``confirming`` wait for each confirm.

    The queues named in ``sinks`` may get dead letters of several queues, and are emptied after each step.
    """

    steps: tuple[Step, ...]
    confirming: tuple[int, ...] = ()
    sinks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The text that builds this program."""
        lines = "".join(f"        {step!r},\n" for step in self.steps)
        return (
            f"Program(\n    steps=(\n{lines}    ),\n    confirming={self.confirming!r},\n    sinks={self.sinks!r},\n)"
        )

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the queues that it declares, each once."""
        return tuple(dict.fromkeys(step.name for step in self.steps if isinstance(step, DeclareQueue)))

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The names of the exchanges that it declares, each once."""
        return tuple(dict.fromkeys(step.name for step in self.steps if isinstance(step, DeclareExchange)))

    @property
    def has_quorum_queues(self) -> bool:
        """Whether it declares a queue of the type "quorum"."""
        declared = [step for step in self.steps if isinstance(step, DeclareQueue)]
        return any(("x-queue-type", "quorum") in step.arguments for step in declared)

    @property
    def factor(self) -> int | None:
        """How often :data:`SHORT_MS` short lives last; None if it does not wait for any."""
        return next((step.factor for step in self.steps if isinstance(step, Wait)), None)

    def slower(self) -> Program:
        """The same with short lives and waits of twice the length, for a machine that is too slow for it."""
        return replace(self, steps=tuple(self._slower(step) for step in self.steps))

    def _slower(self, step: Step) -> Step:
        short_ms = SHORT_MS * (self.factor or 1)
        if isinstance(step, Wait):
            return Wait(step.factor * 2)
        if isinstance(step, DeclareQueue):
            lives = ("x-message-ttl", "x-expires")
            doubled = (
                (name, 2 * short_ms if name in lives and value == short_ms else value) for name, value in step.arguments
            )
            return replace(step, arguments=tuple(doubled))
        if isinstance(step, Publish) and step.expiration == str(short_ms):
            return replace(step, expiration=str(2 * short_ms))
        return step


# --- names -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeclareExchange(Step):
    """Declare an exchange."""

    client: int
    name: str
    kind: str = "direct"
    durable: bool = False
    auto_delete: bool = False
    arguments: Table = ()

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.channel(self.client).exchange_declare(
            self.name, self.kind, durable=self.durable, auto_delete=self.auto_delete, arguments=dict(self.arguments)
        )


@dataclass(frozen=True)
class DeclareQueue(Step):
    """Declare a queue."""

    client: int
    name: str
    durable: bool = False
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Table = ()

    def do(self, desk: Desk) -> object:
        """Act."""
        answer = desk.channel(self.client).queue_declare(
            self.name,
            durable=self.durable,
            exclusive=self.exclusive,
            auto_delete=self.auto_delete,
            arguments=dict(self.arguments),
        )
        return tuple(answer)


@dataclass(frozen=True)
class BindQueue(Step):
    """Bind a queue to an exchange."""

    client: int
    queue: str
    exchange: str
    key: str = ""
    arguments: Table = ()

    def do(self, desk: Desk) -> None:
        """Act."""
        channel = desk.channel(self.client)
        channel.queue_bind(self.queue, self.exchange, self.key, arguments=dict(self.arguments))


@dataclass(frozen=True)
class UnbindQueue(Step):
    """Unbind a queue from an exchange."""

    client: int
    queue: str
    exchange: str
    key: str = ""
    arguments: Table = ()

    def do(self, desk: Desk) -> None:
        """Act."""
        channel = desk.channel(self.client)
        channel.queue_unbind(self.queue, self.exchange, self.key, arguments=dict(self.arguments))


@dataclass(frozen=True)
class BindExchange(Step):
    """Bind an exchange to another one."""

    client: int
    destination: str
    source: str
    key: str = ""

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.channel(self.client).exchange_bind(self.destination, self.source, self.key)


@dataclass(frozen=True)
class DeleteExchange(Step):
    """Delete an exchange."""

    client: int
    name: str
    if_unused: bool = False

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.channel(self.client).exchange_delete(self.name, if_unused=self.if_unused)


@dataclass(frozen=True)
class DeleteQueue(Step):
    """Delete a queue."""

    client: int
    name: str
    if_unused: bool = False
    if_empty: bool = False

    def do(self, desk: Desk) -> object:
        """Act."""
        return desk.channel(self.client).queue_delete(self.name, self.if_unused, self.if_empty)


@dataclass(frozen=True)
class Purge(Step):
    """Purge a queue."""

    client: int
    name: str

    def do(self, desk: Desk) -> object:
        """Act."""
        return desk.channel(self.client).queue_purge(self.name)


# --- messages --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Publish(Step):
    """Publish one message, or ``copies`` of it in a row, numbered behind the body."""

    client: int
    exchange: str
    key: str
    body: str
    copies: int = 1
    priority: int | None = None
    expiration: str | None = None
    persistent: bool = False
    mandatory: bool = False
    headers: Table = ()

    def do(self, desk: Desk) -> None:
        """Act."""
        channel = desk.channel(self.client)
        for body in self.bodies:
            message = channel.prepare_message(
                body,
                priority=self.priority,
                content_encoding="utf-8",
                headers=dict(self.headers),
                properties=self._properties(),
            )
            channel.basic_publish(message, self.exchange, self.key, mandatory=self.mandatory)

    @property
    def bodies(self) -> tuple[str, ...]:
        """The body of each copy."""
        return (self.body,) if self.copies == 1 else tuple(f"{self.body}.{number}" for number in range(self.copies))

    def _properties(self) -> Mapping[str, Any]:
        properties: dict[str, Any] = {"delivery_mode": _PERSISTENT if self.persistent else _TRANSIENT}
        if self.expiration is not None:
            properties["expiration"] = self.expiration
        return properties


@dataclass(frozen=True)
class Consume(Step):
    """Subscribe to a queue."""

    client: int
    queue: str
    tag: str
    no_ack: bool = False
    exclusive: bool = False
    priority: int | None = None

    def do(self, desk: Desk) -> object:
        """Act."""
        return desk.consume(self.client, self.queue, self.tag, self.no_ack, self.exclusive, self.priority)


@dataclass(frozen=True)
class Cancel(Step):
    """End a subscription of this client."""

    client: int
    tag: str

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.channel(self.client).basic_cancel(self.tag)


@dataclass(frozen=True)
class Get(Step):
    """Fetch one message."""

    client: int
    queue: str
    no_ack: bool = False

    def do(self, desk: Desk) -> object:
        """Act."""
        return desk.get(self.client, self.queue, self.no_ack)


@dataclass(frozen=True)
class Qos(Step):
    """Limit what is unacknowledged: of each later consumer, or of the channel."""

    client: int
    count: int
    shared: bool = False

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.channel(self.client).basic_qos(0, self.count, self.shared)


@dataclass(frozen=True)
class Ack(Step):
    """Acknowledge a message.

    Of the clients that hold any, the one with the number ``holder``, and of what that holds the message with the
    number ``index``, both counted round.  Nothing happens if nobody holds any.
    """

    holder: int = 0
    index: int = 0
    multiple: bool = False

    def do(self, desk: Desk) -> object:
        """Act."""
        held = desk.choose(self.holder, self.index, self.multiple)
        if held is not None:
            desk.channel(held.client).basic_ack(held.tag, held.multiple)
        return held is not None


@dataclass(frozen=True)
class Reject(Step):
    """Reject a message, found as that of :class:`Ack`."""

    holder: int = 0
    index: int = 0
    requeue: bool = False

    def do(self, desk: Desk) -> object:
        """Act."""
        held = desk.choose(self.holder, self.index)
        if held is not None:
            desk.channel(held.client).basic_reject(held.tag, self.requeue)
        return held is not None


@dataclass(frozen=True)
class AckUnknown(Step):
    """Acknowledge what was never delivered."""

    client: int

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.channel(self.client).basic_ack(_NEVER)


@dataclass(frozen=True)
class Recover(Step):
    """Have everything that this client holds delivered again."""

    client: int

    def do(self, desk: Desk) -> None:
        """Act."""
        channel = desk.channel(self.client)
        desk.forget_held(self.client)
        channel.basic_recover(requeue=True)


# --- ends ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CloseChannel(Step):
    """Close the channel of a client; its next step opens another."""

    client: int

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.close_channel(self.client)


@dataclass(frozen=True)
class CloseConnection(Step):
    """Close a connection in good order."""

    connection: int

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.close_connection(self.connection)


@dataclass(frozen=True)
class KillConnection(Step):
    """Cut a connection without a word."""

    connection: int

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.kill_connection(self.connection)


@dataclass(frozen=True)
class Wait(Step):
    """Let time pass, long enough for whatever was made to end soon; with a ``factor``, for longer lives."""

    factor: int = 1

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.wait(self.factor * WAIT_MS / 1_000)


@dataclass(frozen=True)
class Restart(Step):
    """Stop the server and start it again."""

    def do(self, desk: Desk) -> None:
        """Act."""
        desk.restart()
