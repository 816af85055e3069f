"""Exchanges: which queues a message goes to.

The main name is :class:`Exchange`; a :class:`Router` is the part that differs by type.  Bindings
are remembered by the exchange; a binding is identified by queue, routing key and arguments, so the
same one twice is one.  Left out for now: routing by headers, exchange-to-exchange bindings,
alternate exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from tqsim.broker.rabbitmq.messages import Message
from tqsim.broker.rabbitmq.topics import matches, words
from tqsim.errors import UnsupportedError

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["PREDECLARED", "TYPES", "Binding", "DefaultRouter", "Exchange", "Router"]

Routes: TypeAlias = "tuple[Queue, ...]"

TYPES: Final = ("direct", "fanout", "headers", "topic")

# Measured with `rabbitmqctl list_exchanges` on RabbitMQ 3.10: what each vhost starts with.
PREDECLARED: Final = (
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    ("amq.rabbitmq.trace", "topic", True),
    ("amq.topic", "topic", False),
)

# A topic exchange remembers the answer per routing key; the bound keeps endless distinct keys
# (one per task id, say) from filling memory.
_REMEMBERED_MAX: Final = 10_000


@dataclass(slots=True, frozen=True)
class Binding:
    """A rule of an exchange: messages that match ``routing_key`` go to ``queue``."""

    exchange: str
    queue: str
    routing_key: str
    arguments: tuple[tuple[str, str], ...]

    @staticmethod
    def of(exchange: str, queue: str, routing_key: str, arguments: Mapping[str, object] | None) -> Binding:
        """Return the binding with its arguments in one canonical form."""
        items = sorted((key, repr(value)) for key, value in (arguments or {}).items())
        return Binding(exchange, queue, routing_key, tuple(items))


class Router(Protocol):
    """The routing rule of one exchange type."""

    def route(self, message: Message) -> Routes:
        """Return the queues for ``message``, each once, in the order in which they were bound."""

    def add(self, binding: Binding, queue: Queue) -> None:
        """Take note of a new binding."""

    def remove(self, binding: Binding) -> None:
        """Forget a binding."""


class DefaultRouter:
    """The default exchange: every queue is bound by its own name, and cannot be unbound.

    ``queues`` is the live table of the vhost.
    """

    __slots__ = ("_queues",)

    def __init__(self, queues: Mapping[str, Queue]) -> None:
        self._queues = queues

    def route(self, message: Message) -> Routes:
        """Return the queue that is named by the routing key."""
        queue = self._queues.get(message.routing_key)
        return () if queue is None else (queue,)

    def add(self, binding: Binding, queue: Queue) -> None:
        """Never called: binding to the default exchange is refused."""

    def remove(self, binding: Binding) -> None:
        """Never called: there is nothing to unbind."""


class _DirectRouter:
    __slots__ = ("_by_key", "_routes")

    def __init__(self) -> None:
        self._by_key: dict[str, dict[Binding, Queue]] = {}
        self._routes: dict[str, Routes] = {}

    def route(self, message: Message) -> Routes:
        return self._routes.get(message.routing_key, ())

    def add(self, binding: Binding, queue: Queue) -> None:
        same_key = self._by_key.setdefault(binding.routing_key, {})
        same_key[binding] = queue
        self._routes[binding.routing_key] = tuple(dict.fromkeys(same_key.values()))

    def remove(self, binding: Binding) -> None:
        same_key = self._by_key[binding.routing_key]
        del same_key[binding]
        if same_key:
            self._routes[binding.routing_key] = tuple(dict.fromkeys(same_key.values()))
        else:
            del self._by_key[binding.routing_key], self._routes[binding.routing_key]


class _FanoutRouter:
    __slots__ = ("_queues", "_routes")

    def __init__(self) -> None:
        self._queues: dict[Binding, Queue] = {}
        self._routes: Routes | None = ()

    def route(self, message: Message) -> Routes:
        if self._routes is None:
            self._routes = tuple(dict.fromkeys(self._queues.values()))
        return self._routes

    def add(self, binding: Binding, queue: Queue) -> None:
        self._queues[binding] = queue
        self._routes = None

    def remove(self, binding: Binding) -> None:
        del self._queues[binding]
        self._routes = None


class _TopicRouter:
    __slots__ = ("_patterns", "_remembered")

    def __init__(self) -> None:
        self._patterns: dict[Binding, tuple[tuple[str, ...], Queue]] = {}
        self._remembered: dict[str, Routes] = {}

    def route(self, message: Message) -> Routes:
        key = message.routing_key
        routes = self._remembered.get(key)
        if routes is None:
            split = words(key)
            found = [queue for pattern, queue in self._patterns.values() if matches(pattern, split)]
            routes = tuple(dict.fromkeys(found))
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = routes
        return routes

    def add(self, binding: Binding, queue: Queue) -> None:
        self._patterns[binding] = (words(binding.routing_key), queue)
        self._remembered.clear()

    def remove(self, binding: Binding) -> None:
        del self._patterns[binding]
        self._remembered.clear()


class _HeadersRouter:
    __slots__ = ()

    def route(self, message: Message) -> Routes:
        return ()

    def add(self, binding: Binding, queue: Queue) -> None:
        raise UnsupportedError(
            f"Binding queue '{queue.name}' to headers exchange '{binding.exchange}' is not simulated; "
            "bind it to a direct or topic exchange."
        )

    def remove(self, binding: Binding) -> None:
        pass


_ROUTERS: Final[Mapping[str, type[_DirectRouter | _FanoutRouter | _TopicRouter | _HeadersRouter]]] = {
    "direct": _DirectRouter,
    "fanout": _FanoutRouter,
    "headers": _HeadersRouter,
    "topic": _TopicRouter,
}


@dataclass(slots=True, eq=False)
class Exchange:
    """A declared exchange: its properties as declared, and its bindings."""

    name: str
    kind: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)
    router: Router = field(init=False)
    bindings: dict[Binding, Queue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.router = _ROUTERS[self.kind]()

    def bind(self, binding: Binding, queue: Queue) -> bool:
        """Add ``binding``; return False if it was there already."""
        if binding in self.bindings:
            return False
        self.router.add(binding, queue)
        self.bindings[binding] = queue
        return True

    def unbind(self, binding: Binding) -> bool:
        """Remove ``binding``; return False if there was none."""
        if self.bindings.pop(binding, None) is None:
            return False
        self.router.remove(binding)
        return True
