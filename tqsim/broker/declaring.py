"""The requests of an AMQP channel that name things, as kombu makes them.

The main names are :class:`Declaring`, the part of a simulated channel that declares, binds and deletes
with py-amqp's signatures (amqp/channel.py), and :func:`request`, which every request goes through.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from amqp.exceptions import RecoverableConnectionError
from amqp.protocol import queue_declare_ok_t

from tqsim.broker.answers import WITHOUT_ANSWER
from tqsim.broker.content import carried, carried_name
from tqsim.broker.rabbitmq.refusals import Refusal

if TYPE_CHECKING:
    from tqsim.broker.connection import SimulatedConnection

__all__ = ["Declaring", "request"]


def request(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a refusal of the server into py-amqp's exception, after what the client must forget."""

    @functools.wraps(method)
    def wrapper(self: Declaring, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or not self.connection.connected:
            raise RecoverableConnectionError(f"{method.__name__}: connection closed")
        if method.__name__ in WITHOUT_ANSWER:
            self.connection.note_use()
        else:
            self.connection.await_answers()
        try:
            return method(self, *args, **kwargs)
        except Refusal as refusal:
            raise self.connection.refused(self, refusal) from None

    return wrapper


class Declaring:
    """The base of a simulated channel."""

    connection: SimulatedConnection | None
    line: Any

    @request
    def exchange_declare(
        self,
        exchange: str,
        type: str,  # noqa: A002 - py-amqp's name
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare an exchange."""
        exchange, kind, table = carried("ssF", exchange, type, arguments)
        self.line.exchange_declare(
            exchange, kind, passive=passive, durable=durable, auto_delete=auto_delete, arguments=table
        )

    @request
    def exchange_delete(self, exchange: str, if_unused: bool = False, nowait: bool = False) -> tuple[()]:
        """Delete an exchange."""
        self.line.exchange_delete(carried_name(exchange), if_unused=if_unused)
        return ()

    @request
    def exchange_bind(
        self,
        destination: str,
        source: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[()]:
        """Bind an exchange to another one."""
        destination, source, routing_key, table = carried("sssF", destination, source, routing_key, arguments)
        self.line.exchange_bind(destination, source, routing_key, arguments=table)
        return ()

    @request
    def exchange_unbind(
        self,
        destination: str,
        source: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[()]:
        """Undo a binding between exchanges."""
        destination, source, routing_key, table = carried("sssF", destination, source, routing_key, arguments)
        self.line.exchange_unbind(destination, source, routing_key, arguments=table)
        return ()

    @request
    def queue_declare(
        self,
        queue: str = "",
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = True,
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> queue_declare_ok_t:
        """Declare a queue; return its name, and how many messages and consumers it has."""
        queue, table = carried("sF", queue, arguments)
        answer = self.line.queue_declare(
            queue, passive=passive, durable=durable, exclusive=exclusive, auto_delete=auto_delete, arguments=table,
        )  # fmt: skip
        return queue_declare_ok_t(answer.queue, answer.message_count, answer.consumer_count)

    @request
    def queue_bind(
        self,
        queue: str,
        exchange: str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[()]:
        """Bind a queue to an exchange."""
        queue, exchange, routing_key, table = carried("sssF", queue, exchange, routing_key, arguments)
        self.line.queue_bind(queue, exchange, routing_key, arguments=table)
        return ()

    @request
    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        nowait: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[()]:
        """Undo a binding."""
        queue, exchange, routing_key, table = carried("sssF", queue, exchange, routing_key, arguments)
        self.line.queue_unbind(queue, exchange, routing_key, arguments=table)
        return ()

    @request
    def queue_delete(
        self, queue: str = "", if_unused: bool = False, if_empty: bool = False, nowait: bool = False
    ) -> int:
        """Delete a queue and return how many messages went with it."""
        count: int = self.line.queue_delete(carried_name(queue), if_unused=if_unused, if_empty=if_empty)
        return count

    @request
    def queue_purge(self, queue: str = "", nowait: bool = False) -> int:
        """Drop the ready messages of a queue and return how many there were."""
        count: int = self.line.queue_purge(carried_name(queue))
        return count
