"""Exchanges: where a message goes.

The main name is :class:`Exchange`: its bindings, and :meth:`Exchange.route`, which follows a message
through exchanges that are bound to each other and through alternate exchanges.  What differs by type
is a router's business (:mod:`tqsim.broker.rabbitmq.routers`).  A binding is identified by its names,
key and arguments, so the same one twice is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from tqsim.broker.rabbitmq.bindings import Binding
from tqsim.broker.rabbitmq.messages import Message
from tqsim.broker.rabbitmq.routers import DefaultRouter, Router, Target, router_of

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["ALTERNATE", "PREDECLARED", "Exchange", "Find"]

Find: TypeAlias = "Callable[[str, Message], tuple[Queue, ...]]"

ALTERNATE: Final = "alternate-exchange"

# Measured with `rabbitmqctl list_exchanges` on RabbitMQ 3.10: what each vhost starts with.
PREDECLARED: Final = (
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    ("amq.rabbitmq.trace", "topic", True),
    ("amq.topic", "topic", False),
)


@dataclass(slots=True, eq=False)
class Exchange:
    """A declared exchange: its properties as declared, and its bindings.

    ``bindings`` lead from here, ``incoming`` lead here from other exchanges; ``others`` is the live
    table of exchanges of the vhost.  ``find(key, message)`` returns the queues for one routing key.
    """

    name: str
    kind: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)
    others: Mapping[str, Exchange] = field(default_factory=dict)
    router: Router = field(init=False)
    find: Find = field(init=False)
    bindings: dict[Binding, Target] = field(default_factory=dict)
    incoming: dict[Binding, None] = field(default_factory=dict)
    _onward: int = 0

    def __post_init__(self) -> None:
        self.router = router_of(self.kind)
        self._choose()

    @classmethod
    def default(cls, queues: Mapping[str, Queue]) -> Exchange:
        """Return the default exchange of a vhost, whose live table of queues is ``queues``."""
        exchange = cls("", "direct", durable=True)
        exchange.router = DefaultRouter(queues)
        exchange._choose()
        return exchange

    def route(self, message: Message) -> tuple[Queue, ...]:
        """Return the queues for a message under all of its keys, each once."""
        keys = message.keys
        if len(keys) == 1:
            return self.find(keys[0], message)
        return tuple(dict.fromkeys(queue for key in keys for queue in self.find(key, message)))

    def bind(self, binding: Binding, target: Target) -> bool:
        """Add ``binding``; return False if it was there already."""
        if binding in self.bindings:
            return False
        self.router.add(binding, target)
        self.bindings[binding] = target
        self._onward += binding.kind == "exchange"
        self._choose()
        return True

    def unbind(self, binding: Binding) -> bool:
        """Remove ``binding``; return False if there was none."""
        if self.bindings.pop(binding, None) is None:
            return False
        self.router.remove(binding)
        self._onward -= binding.kind == "exchange"
        self._choose()
        return True

    def _choose(self) -> None:
        """Let an exchange that leads to nothing but queues be asked directly."""
        simple = not self._onward and ALTERNATE not in self.arguments
        self.find = cast("Any", self.router.find) if simple else self._find_far

    def _find_far(self, key: str, message: Message) -> tuple[Queue, ...]:
        """Follow the bindings to other exchanges, each once; one that finds nothing has its alternate."""
        queues: dict[Queue, None] = {}
        seen = {self.name}
        waiting = [self]
        while waiting:
            exchange = waiting.pop()
            targets = exchange.router.find(key, message)
            alternate = exchange.arguments.get(ALTERNATE)
            if not targets and isinstance(alternate, str) and alternate in self.others:
                targets = (self.others[alternate],)
            for target in targets:
                if not isinstance(target, Exchange):
                    queues[target] = None
                elif target.name not in seen:
                    seen.add(target.name)
                    waiting.append(target)
        return tuple(queues)
