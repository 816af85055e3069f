"""Routers: the routing rule of each exchange type.

The main name is :class:`Router`; :func:`router_of` returns the one for a type.  A router knows the
bindings of its own exchange only and answers with queues and exchanges alike; how a message goes on
from there is in :mod:`tqsim.broker.rabbitmq.exchanges`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from tqsim.broker.rabbitmq.bindings import Binding
from tqsim.broker.rabbitmq.headers import matches_headers
from tqsim.broker.rabbitmq.messages import Message
from tqsim.broker.rabbitmq.topics import matches, words

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.exchanges import Exchange
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["TYPES", "DefaultRouter", "Router", "Target", "Targets", "router_of"]

Target: TypeAlias = "Queue | Exchange"
Targets: TypeAlias = "tuple[Target, ...]"

# A topic exchange remembers the answer per routing key; the bound keeps endless distinct keys
# (one per task id, say) from filling memory.
_REMEMBERED_MAX: Final = 10_000


class Router(Protocol):
    """The routing rule of one exchange type."""

    def find(self, key: str, message: Message) -> Targets:
        """Return the targets of ``message`` under one of its keys, each once, in the order of binding."""

    def add(self, binding: Binding, target: Target) -> None:
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

    def find(self, key: str, message: Message) -> Targets:
        """Return the queue that is named by the routing key."""
        queue = self._queues.get(key)
        return () if queue is None else (queue,)

    def add(self, binding: Binding, target: Target) -> None:
        """Never called: binding to the default exchange is refused."""

    def remove(self, binding: Binding) -> None:
        """Never called: there is nothing to unbind."""


class _DirectRouter:
    __slots__ = ("_by_key", "_routes")

    def __init__(self) -> None:
        self._by_key: dict[str, dict[Binding, Target]] = {}
        self._routes: dict[str, Targets] = {}

    def find(self, key: str, message: Message) -> Targets:
        return self._routes.get(key, ())

    def add(self, binding: Binding, target: Target) -> None:
        same_key = self._by_key.setdefault(binding.routing_key, {})
        same_key[binding] = target
        self._routes[binding.routing_key] = tuple(dict.fromkeys(same_key.values()))

    def remove(self, binding: Binding) -> None:
        same_key = self._by_key[binding.routing_key]
        del same_key[binding]
        if same_key:
            self._routes[binding.routing_key] = tuple(dict.fromkeys(same_key.values()))
        else:
            del self._by_key[binding.routing_key], self._routes[binding.routing_key]


class _FanoutRouter:
    __slots__ = ("_routes", "_targets")

    def __init__(self) -> None:
        self._targets: dict[Binding, Target] = {}
        self._routes: Targets | None = ()

    def find(self, key: str, message: Message) -> Targets:
        if self._routes is None:
            self._routes = tuple(dict.fromkeys(self._targets.values()))
        return self._routes

    def add(self, binding: Binding, target: Target) -> None:
        self._targets[binding] = target
        self._routes = None

    def remove(self, binding: Binding) -> None:
        del self._targets[binding]
        self._routes = None


class _TopicRouter:
    __slots__ = ("_patterns", "_remembered")

    def __init__(self) -> None:
        self._patterns: dict[Binding, tuple[tuple[str, ...], Target]] = {}
        self._remembered: dict[str, Targets] = {}

    def find(self, key: str, message: Message) -> Targets:
        routes = self._remembered.get(key)
        if routes is None:
            split = words(key)
            found = [target for pattern, target in self._patterns.values() if matches(pattern, split)]
            routes = tuple(dict.fromkeys(found))
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = routes
        return routes

    def add(self, binding: Binding, target: Target) -> None:
        self._patterns[binding] = (words(binding.routing_key), target)
        self._remembered.clear()

    def remove(self, binding: Binding) -> None:
        del self._patterns[binding]
        self._remembered.clear()


class _HeadersRouter:
    __slots__ = ("_targets",)

    def __init__(self) -> None:
        self._targets: dict[Binding, Target] = {}

    def find(self, key: str, message: Message) -> Targets:
        headers = message.headers
        found = [target for binding, target in self._targets.items() if matches_headers(binding.given, headers)]
        return tuple(dict.fromkeys(found))

    def add(self, binding: Binding, target: Target) -> None:
        self._targets[binding] = target

    def remove(self, binding: Binding) -> None:
        del self._targets[binding]


_ROUTERS: Final[Mapping[str, type[_DirectRouter | _FanoutRouter | _TopicRouter | _HeadersRouter]]] = {
    "direct": _DirectRouter,
    "fanout": _FanoutRouter,
    "headers": _HeadersRouter,
    "topic": _TopicRouter,
}
TYPES: Final = tuple(_ROUTERS)


def router_of(kind: str) -> Router:
    """Return a new router for the exchange type ``kind``."""
    return _ROUTERS[kind]()
