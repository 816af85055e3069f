"""A binding: the rule that leads messages from an exchange to a queue or to another exchange.

The main name is :class:`Binding`.  What the rule means depends on the exchange's type; that is in
:mod:`tqsim.broker.rabbitmq.routers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Binding", "Kind"]

Kind = Literal["queue", "exchange"]


@dataclass(slots=True, frozen=True)
class Binding:
    """A rule of an exchange: messages that match go to the ``kind`` of the name ``destination``.

    It is identified by everything but ``given``, the arguments as they were given.
    """

    exchange: str
    kind: Kind
    destination: str
    routing_key: str
    arguments: tuple[tuple[str, str], ...]
    given: Mapping[str, object] = field(compare=False, default_factory=dict)

    @staticmethod
    def of(
        exchange: str, kind: Kind, destination: str, routing_key: str, arguments: Mapping[str, object] | None
    ) -> Binding:
        """Return the binding with its arguments in one canonical form."""
        given = dict(arguments or {})
        items = sorted((key, repr(value)) for key, value in given.items())
        return Binding(exchange, kind, destination, routing_key, tuple(items), given)
