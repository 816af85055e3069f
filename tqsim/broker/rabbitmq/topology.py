"""The requests of a channel that name things: exchanges, queues and bindings.

The main name is :class:`Topology`, the part of a channel that declares, deletes, purges and binds.
It holds no message; what the names stand for is in :mod:`tqsim.broker.rabbitmq.vhosts`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from tqsim.broker.rabbitmq import methods, refusals
from tqsim.broker.rabbitmq.events import DeclareOk
from tqsim.broker.rabbitmq.methods import Method
from tqsim.broker.rabbitmq.quorum import QuorumQueue
from tqsim.broker.rabbitmq.refusals import Refusal, refuse
from tqsim.broker.rabbitmq.requests import answered

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.connections import Connection
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["Table", "Topology"]

Table: TypeAlias = "Mapping[str, object] | None"


class Topology(ABC):
    """The base of a channel: the ``exchange`` and ``queue`` requests of AMQP.

    A refused request raises its :class:`Refusal`, and the channel or the connection is closed.
    """

    __slots__ = ("_current_queue", "connection", "is_open", "virtual_host")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.virtual_host = connection.virtual_host
        self.is_open = True
        self._current_queue: str | None = None

    @abstractmethod
    def fail(self, refusal: Refusal, *, tell: bool) -> None:
        """Close what ``refusal`` closes; with ``tell``, push the event."""

    @abstractmethod
    def not_open(self, method: Method) -> Exception:
        """Return the exception for a request that wants an answer, after the end of the channel."""

    @answered(methods.EXCHANGE_DECLARE)
    def exchange_declare(
        self,
        exchange: str,
        kind: str = "direct",
        *,
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Table = None,
    ) -> None:
        """Create an exchange, or check that it exists with the same properties.

        Refused: 404 (passive, missing), 406 (other properties), 403 (reserved name), 503 (type).
        """
        if passive:
            self.virtual_host.check_exchange(exchange)
            return
        self.virtual_host.declare_exchange(
            exchange,
            kind,
            durable=durable,
            auto_delete=auto_delete,
            internal=internal,
            arguments=arguments or {},
        )

    @answered(methods.EXCHANGE_DELETE)
    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings.  Refused: 406 (in use), 403 (predeclared)."""
        self.virtual_host.delete_exchange(exchange, if_unused)

    @answered(methods.EXCHANGE_BIND)
    def exchange_bind(self, destination: str, source: str, routing_key: str = "", arguments: Table = None) -> None:
        """Bind an exchange to another one.  Refused: 404 (either missing), 403 (default exchange)."""
        self.virtual_host.bind("exchange", destination, source, routing_key, arguments or {}, self.connection)

    @answered(methods.EXCHANGE_UNBIND)
    def exchange_unbind(self, destination: str, source: str, routing_key: str = "", arguments: Table = None) -> None:
        """Remove a binding between exchanges; what does not exist is no error."""
        self.virtual_host.unbind("exchange", destination, source, routing_key, arguments or {}, self.connection)

    @answered(methods.QUEUE_DECLARE)
    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Table = None,
    ) -> DeclareOk:
        """Create a queue, or check that it exists with the same properties.

        An empty name makes the server choose one; "" in later requests on this channel means the
        queue declared last.  Refused: 404 (passive, missing), 405 (exclusive), 406 (other
        properties or invalid arguments), 403 (reserved name).
        """
        if passive:
            found = self.virtual_host.find_queue(queue, self.connection)
            found.look()
        else:
            found = self.virtual_host.declare_queue(
                queue,
                self.connection,
                durable=durable,
                exclusive=exclusive,
                auto_delete=auto_delete,
                arguments=arguments or {},
            )
        self._current_queue = found.name
        return DeclareOk(found.name, found.ready.count, found.counted_consumers)

    @answered(methods.QUEUE_DELETE)
    def queue_delete(self, queue: str = "", *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue; return how many ready messages it had, 0 if there is no such queue.

        Refused: 406 (in use, not empty), 405 (exclusive to another connection).
        """
        name = self.named_queue(queue)
        if name not in self.virtual_host.queues:
            return 0
        found = self.virtual_host.find_queue(name, self.connection)
        if isinstance(found, QuorumQueue) and (if_unused or if_empty):
            flag = "if-unused" if if_unused else "if-empty"
            raise refuse(
                refusals.NOT_IMPLEMENTED,
                f"cannot delete {found.place}. queue.delete operations with {flag} flag set are not supported by "
                "quorum queues",
            )
        if if_empty and found.ready.count:
            raise refuse(refusals.PRECONDITION_FAILED, f"{found.place} not empty")
        if if_unused and found.rota:
            raise refuse(refusals.PRECONDITION_FAILED, f"{found.place} in use")
        return self.virtual_host.delete_queue(found, "deleted")

    @answered(methods.QUEUE_PURGE)
    def queue_purge(self, queue: str = "") -> int:
        """Drop the ready messages (not the unacknowledged ones); return how many."""
        return self.find_queue(queue).purge()

    @answered(methods.QUEUE_BIND)
    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Table = None) -> None:
        """Bind a queue to an exchange.  Refused: 404 (either missing), 405, 403 (default exchange).

        With both names empty the current queue is bound by its own name.
        """
        name = self.named_queue(queue)
        key = routing_key if queue or routing_key else name
        self.virtual_host.bind("queue", name, exchange, key, arguments or {}, self.connection)

    @answered(methods.QUEUE_UNBIND)
    def queue_unbind(self, queue: str, exchange: str, routing_key: str = "", arguments: Table = None) -> None:
        """Remove a binding; what does not exist is no error.  Refused: 403 (default exchange), 405."""
        name = self.named_queue(queue)
        key = routing_key if queue or routing_key else name
        self.virtual_host.unbind("queue", name, exchange, key, arguments or {}, self.connection)

    def named_queue(self, queue: str) -> str:
        """Return the queue that a request means: "" is the one last declared on this channel."""
        if queue:
            return queue
        if self._current_queue is None:
            raise refuse(refusals.NOT_FOUND, "no previously declared queue")
        return self._current_queue

    def find_queue(self, queue: str) -> Queue:
        """Return the queue that a request means, or raise the 404 or 405 :class:`Refusal`."""
        return self.virtual_host.find_queue(self.named_queue(queue), self.connection)
