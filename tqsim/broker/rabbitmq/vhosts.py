"""A virtual host: its queues, exchanges and bindings.

The main name is :class:`VirtualHost`, which creates and deletes them and refuses what RabbitMQ
refuses.  It raises a :class:`Refusal` without a method; the channel adds that and closes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tqsim.broker.rabbitmq.arguments import (
    EXCHANGE_ARGUMENTS,
    Table,
    assert_equivalent,
    assert_same_flag,
    check_queue_arguments,
    check_quorum_properties,
    compared_arguments,
    type_name,
)
from tqsim.broker.rabbitmq.bindings import Binding, Kind
from tqsim.broker.rabbitmq.context import Context
from tqsim.broker.rabbitmq.events import ConsumerCancelled
from tqsim.broker.rabbitmq.exchanges import ALTERNATE, PREDECLARED, Exchange
from tqsim.broker.rabbitmq.headers import check_match
from tqsim.broker.rabbitmq.queues import Queue
from tqsim.broker.rabbitmq.quorum import QuorumQueue
from tqsim.broker.rabbitmq.refusals import (
    ACCESS_REFUSED,
    COMMAND_INVALID,
    INTERNAL_ERROR,
    PRECONDITION_FAILED,
    Refusal,
    default_exchange,
    locked_queue,
    no_exchange,
    no_queue,
    refuse,
)
from tqsim.broker.rabbitmq.routers import TYPES, Target

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.connections import Connection

__all__ = ["VirtualHost"]

#: What RabbitMQ 4.3 says (its release notes, and what its users report; not measured).
_TRANSIENT: Final = (
    "Feature `transient_nonexcl_queues` is deprecated.\nBy default, this feature is not permitted anymore."
)
_RESERVED: Final = "amq."


class VirtualHost:
    """One namespace.  ``queues`` and ``exchanges`` are in the order of their declaration."""

    __slots__ = ("_context", "exchanges", "name", "queues")

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name
        self.queues: dict[str, Queue] = {}
        self.exchanges: dict[str, Exchange] = {}
        self.exchanges[""] = Exchange.default(self.queues)
        for exchange, kind, internal in PREDECLARED:
            self.exchanges[exchange] = Exchange(exchange, kind, durable=True, internal=internal, others=self.exchanges)

    # --- exchanges -------------------------------------------------------------------------------

    def find_exchange(self, name: str) -> Exchange:
        """Return an exchange, or raise the 404 :class:`Refusal`."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise no_exchange(name, self.name)
        return exchange

    def check_exchange(self, name: str) -> None:
        """Raise what a passive declaration raises: 404 if missing, 403 for the default exchange."""
        if not name:
            raise default_exchange()
        self.find_exchange(name)

    def publish_refusal(self, name: str) -> Refusal:
        """Return why nothing can be published to an exchange: missing (404) or internal (403)."""
        if name not in self.exchanges:
            return no_exchange(name, self.name)
        place = f"exchange '{name}' in vhost '{self.name}'"
        return refuse(ACCESS_REFUSED, f"cannot publish to internal {place}")

    def declare_exchange(
        self,
        name: str,
        kind: str,
        *,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: Table,
    ) -> Exchange:
        """Create an exchange, or return the one that exists if it is the same."""
        if kind not in TYPES:
            # "invalid" is a word that the server's Erlang node happens to know, such as the empty one, "queue" or
            # "foo" (measured); which others those are is nothing that a simulation could know.
            adjective = "unknown" if kind else "invalid"
            raise refuse(COMMAND_INVALID, f"{adjective} exchange type '{kind}'")
        if not name:
            raise default_exchange()
        found = self.exchanges.get(name)
        if found is not None:
            place = f"exchange '{name}' in vhost '{self.name}'"
            assert_same_flag(place, "type", found.kind, kind)
            assert_same_flag(place, "durable", found.durable, durable)
            assert_same_flag(place, "auto_delete", found.auto_delete, auto_delete)
            assert_same_flag(place, "internal", found.internal, internal)
            assert_equivalent(place, found.arguments, arguments, EXCHANGE_ARGUMENTS)
            return found
        if name.startswith(_RESERVED):
            raise refuse(ACCESS_REFUSED, f"exchange name '{name}' contains reserved prefix 'amq.*'")
        alternate = arguments.get(ALTERNATE, "")
        if not isinstance(alternate, str):
            place = f"exchange '{name}' in vhost '{self.name}'"
            raise refuse(PRECONDITION_FAILED, f"invalid type '{type_name(alternate)}' for arg '{ALTERNATE}' in {place}")
        exchange = Exchange(name, kind, durable, auto_delete, internal, dict(arguments), self.exchanges)
        self.exchanges[name] = exchange
        self._observe("exchange.declared", exchange=name, kind=kind, durable=durable)
        return exchange

    def delete_exchange(self, name: str, if_unused: bool) -> None:
        """Delete an exchange with its bindings; one that does not exist is no error."""
        if not name:
            raise default_exchange()
        if name.startswith(_RESERVED):
            raise refuse(ACCESS_REFUSED, f"deletion of system exchange '{name}' in vhost '{self.name}' not allowed")
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise refuse(PRECONDITION_FAILED, f"exchange '{name}' in vhost '{self.name}' in use")
        self._remove_exchange(exchange)

    # --- queues ----------------------------------------------------------------------------------

    def find_queue(self, name: str, connection: Connection) -> Queue:
        """Return a queue that ``connection`` may use, or raise the 404 or 405 :class:`Refusal`."""
        queue = self.queues.get(name)
        if queue is None:
            raise no_queue(name, self.name)
        if queue.owner is not None and queue.owner is not connection:
            raise locked_queue(name, self.name)
        return queue

    def declare_queue(
        self,
        name: str,
        connection: Connection,
        *,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Table,
    ) -> Queue:
        """Create a queue, or return the one that exists if it is the same; "" is named here."""
        # An exclusive queue is never durable (``queue.declare`` in rabbit_channel.erl; measured on 3.10).
        durable = durable and not exclusive
        if name.startswith(_RESERVED):  # also one that exists, because the server has named it (measured on 3.10)
            raise refuse(ACCESS_REFUSED, f"queue name '{name}' contains reserved prefix 'amq.*'")
        found = self.queues.get(name) if name else None
        if found is not None:
            # Measured on 3.10: the exclusive flag is compared first, and differently.
            if found.owner is not (connection if exclusive else None):
                raise locked_queue(name, self.name)
            assert_same_flag(found.place, "durable", found.durable, durable)
            assert_same_flag(found.place, "auto_delete", found.auto_delete, auto_delete)
            assert_equivalent(found.place, found.arguments, arguments, compared_arguments(found.arguments))
            found.look()
            return found
        if not durable and not exclusive and self._context.settings.denies_deprecated:
            raise refuse(INTERNAL_ERROR, _TRANSIENT)
        is_quorum = arguments.get("x-queue-type") == "quorum"
        if is_quorum and not name:
            raise refuse(PRECONDITION_FAILED, "Cannot declare a server-named queue for type rabbit_quorum_queue")
        name = name or self._context.names("amq.gen-")
        check_queue_arguments(name, self.name, arguments)
        if is_quorum:
            place = f"queue '{name}' in vhost '{self.name}'"
            check_quorum_properties(place, durable=durable, exclusive=exclusive, auto_delete=auto_delete)
        queue = (QuorumQueue if is_quorum else Queue)(
            self._context,
            name,
            self.name,
            durable=durable,
            owner=connection if exclusive else None,
            auto_delete=auto_delete,
            arguments=arguments,
            exchanges=self.exchanges,
        )
        self.queues[name] = queue
        if exclusive:
            connection.exclusive_queues[name] = queue
        queue.touch()
        self._observe("queue.declared", queue=name, durable=durable, exclusive=exclusive)
        return queue

    def delete_queue(self, queue: Queue, reason: str, *, auto_delete: bool = True) -> int:
        """Delete a queue with its bindings; return the number of ready messages dropped.

        Consumers are told, if their client announced ``consumer_cancel_notify``.  An exchange that
        loses its last binding by this goes too if it is ``auto_delete``, unless that is False here.
        """
        if queue.is_deleted:
            return 0
        queue.is_deleted = True
        del self.queues[queue.name]
        self._context.deadlines.drop(queue)
        if queue.terms is not None:
            self._context.expiries.drop(queue.terms)
        if queue.owner is not None:
            queue.owner.exclusive_queues.pop(queue.name, None)
        count = queue.purge("queue deleted")
        for consumer in queue.rota:
            queue.rota.remove(consumer)
            channel = consumer.channel
            channel.consumers.pop(consumer.tag, None)
            if channel.connection.consumer_cancel_notify:
                channel.connection.push(ConsumerCancelled(channel, consumer.tag))
        for binding in list(queue.bindings):
            self._unbind(binding, auto_delete=auto_delete)
        self._observe("queue.deleted", queue=queue.name, reason=reason, messages=count)
        return count

    # --- bindings --------------------------------------------------------------------------------

    def bind(self, kind: Kind, name: str, exchange: str, routing_key: str, arguments: Table, by: Connection) -> None:
        """Bind a queue or an exchange to an exchange; the same binding twice is one."""
        if not exchange or (kind == "exchange" and not name):
            raise default_exchange()
        source = self.find_exchange(exchange)
        target: Target = self.find_queue(name, by) if kind == "queue" else self.find_exchange(name)
        if source.kind == "headers":
            check_match(arguments)
        binding = Binding.of(exchange, kind, name, routing_key, arguments)
        if source.bind(binding, target):
            _arriving(target)[binding] = None
            self._tell_of("binding.created", binding)

    def unbind(self, kind: Kind, name: str, exchange: str, routing_key: str, arguments: Table, by: Connection) -> None:
        """Remove a binding; whatever is missing is no error (measured on 3.10).

        So another connection's exclusive queue is refused (405) only if the binding exists.
        """
        if not exchange or (kind == "exchange" and not name):
            raise default_exchange()
        binding = Binding.of(exchange, kind, name, routing_key, arguments)
        source = self.exchanges.get(exchange)
        if source is not None and binding in source.bindings:
            if kind == "queue":
                self.find_queue(name, by)
            self._unbind(binding)

    def _unbind(self, binding: Binding, *, auto_delete: bool = True) -> None:
        exchange = self.exchanges.get(binding.exchange)
        if exchange is None:
            return
        target = exchange.bindings.get(binding)
        if target is None:
            return
        exchange.unbind(binding)
        _arriving(target).pop(binding, None)
        self._tell_of("binding.removed", binding)
        if auto_delete and exchange.auto_delete and not exchange.bindings:
            self._remove_exchange(exchange)

    def _tell_of(self, moment: str, binding: Binding) -> None:
        names = {"exchange": binding.exchange, "routing_key": binding.routing_key}
        if binding.kind == "queue":
            self._observe(moment, queue=binding.destination, **names)
        else:
            self._observe(moment, destination=binding.destination, **names)

    # --- life ------------------------------------------------------------------------------------

    def forget_transient(self, *, crashed: bool, lost: set[int]) -> None:
        """Keep only what survives a restart: durable queues and exchanges, persistent messages.

        A durable ``auto_delete`` exchange survives without its bindings (measured on 3.10).
        """
        for queue in list(self.queues.values()):
            if queue.durable:
                queue.recover(crashed=crashed, lost=lost)
            else:
                self.delete_queue(queue, "server stopped", auto_delete=False)
        for exchange in list(self.exchanges.values()):
            if not exchange.durable:
                self._remove_exchange(exchange, auto_delete=False)

    def _remove_exchange(self, exchange: Exchange, *, auto_delete: bool = True) -> None:
        del self.exchanges[exchange.name]
        for binding, target in exchange.bindings.items():
            _arriving(target).pop(binding, None)
        for binding in list(exchange.incoming):
            self._unbind(binding, auto_delete=auto_delete)
        self._observe("exchange.deleted", exchange=exchange.name)

    def _observe(self, name: str, **fields: object) -> None:
        if self._context.observe is not None:
            self._context.observe(name, vhost=self.name, **fields)


def _arriving(target: Target) -> dict[Binding, None]:
    """Return the bindings that lead to a queue or an exchange."""
    return target.incoming if isinstance(target, Exchange) else target.bindings
