"""Dead letters: what becomes of a message that a queue gives up.

The main names are :class:`DeadLetters`, where a queue sends them, and :func:`died`, the message as it
is published again: with an entry in ``x-death``, without its expiration, under another routing key if
the queue names one.  Measured on RabbitMQ 3.10.8, with the order of the entries and of their grouping
(``rabbit_dead_letter.erl``).  Left out: at-least-once dead-lettering is as prompt as at-most-once
here, because nothing between two queues of one simulated server can be lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from tqsim.broker.rabbitmq.messages import CarbonCopied, Message

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.exchanges import Exchange
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["DeadLetters", "PostOffice", "Reason", "died", "extra_keys"]

Reason = Literal["rejected", "expired", "maxlen", "delivery_limit"]

_ROUTING_HEADERS: Final = ("CC", "BCC")


@dataclass(slots=True, frozen=True)
class DeadLetters:
    """Where a queue sends its dead letters: an exchange, and a routing key unless they keep theirs."""

    exchange: str
    routing_key: str | None


def extra_keys(headers: Mapping[str, object]) -> tuple[str, ...]:
    """Return the routing keys in ``CC`` and ``BCC``; what is no text in them is passed over."""
    found: list[str] = []
    for name in _ROUTING_HEADERS:
        keys = headers.get(name)
        if isinstance(keys, (list, tuple)):
            found.extend(key for key in keys if isinstance(key, str))
    return tuple(found)


def died(message: Message, number: int, queue: str, reason: Reason, policy: DeadLetters, at_us: int) -> Message:
    """Return ``message``, which died in ``queue``, as it is published to the dead-letter exchange.

    ``at_us`` counts from 1970, and ``x-death`` has it in whole seconds.
    """
    headers = dict(message.headers)
    properties = dict(message.properties)
    death: dict[str, Any] = {
        "count": 1,
        "reason": reason,
        "queue": queue,
        # As py-amqp reads a timestamp: naive, in UTC.
        "time": datetime.fromtimestamp(at_us // 1_000_000, tz=UTC).replace(tzinfo=None),
        "exchange": message.exchange,
        "routing-keys": [message.routing_key, *extra_keys(headers)],
    }
    expiration = properties.pop("expiration", None)
    if expiration is not None:
        death["original-expiration"] = expiration
    earlier = headers.get("x-death")
    if earlier is None:
        headers["x-first-death-reason"] = reason
        headers["x-first-death-queue"] = queue
        headers["x-first-death-exchange"] = message.exchange
    headers["x-death"] = _with_death(earlier if isinstance(earlier, list) else [], death)
    keys = message.keys
    if policy.routing_key is not None:
        keys = (policy.routing_key,)
        headers.pop("CC", None)
    properties["application_headers"] = headers
    if len(keys) == 1:
        return Message(number, policy.exchange, keys[0], message.body, properties)
    return CarbonCopied(number, policy.exchange, keys[0], message.body, properties, keys[1:])


def _with_death(earlier: Sequence[Any], death: dict[str, Any]) -> list[Any]:
    """Return the entries with ``death``: a repeated one is counted, and comes to the front.

    The others are turned round each time (measured on 3.10, where grouping them builds a list from
    its end).
    """
    same = [item for item in earlier if _is_same(item, death)]
    others = [item for item in reversed(earlier) if not _is_same(item, death)]
    if not same:
        return [death, *others]
    return [{**same[0], "count": same[0].get("count", 0) + 1}, *others]


def _is_same(item: Any, death: Mapping[str, Any]) -> bool:
    return isinstance(item, Mapping) and all(item.get(key) == death[key] for key in ("queue", "reason"))


def _is_cycle(queue: str, deaths: object) -> bool:
    """Whether a message has been in ``queue`` and came back without any consumer's rejection."""
    if not isinstance(deaths, list):
        return False
    for death in deaths:
        if not isinstance(death, Mapping) or death.get("reason") == "rejected":
            return False
        if death.get("queue") == queue:
            return True
    return False


class PostOffice:
    """The dead letters that are under way within one server.

    Each is published after what caused it, in the order of their deaths: the real queue sends them to
    the mailboxes of other queues.  While somebody holds the post, they wait.
    """

    __slots__ = ("_is_sorting", "_letters", "_next_number", "held")

    def __init__(self, next_number: Callable[[], int]) -> None:
        self._letters: deque[tuple[Exchange, Message, Callable[[int], Message], Reason]] = deque()
        self._next_number = next_number
        self._is_sorting = False
        self.held = 0

    def post(self, exchange: Exchange, message: Message, make: Callable[[int], Message], reason: Reason) -> None:
        """Take a dead letter; ``make(number)`` is the message to be published."""
        self._letters.append((exchange, message, make, reason))

    def deliver(self) -> None:
        """Publish what has been posted, unless it is held or being published already."""
        if self._is_sorting or self.held or not self._letters:
            return
        self._is_sorting = True
        try:
            while self._letters:
                exchange, _, make, reason = self._letters.popleft()
                letter = make(self._next_number())
                for queue in _not_cycling(exchange.route(letter), letter, reason):
                    queue.publish(letter)
        finally:
            self._is_sorting = False


def _not_cycling(queues: Sequence[Queue], letter: Message, reason: Reason) -> list[Queue]:
    if reason == "rejected":
        return list(queues)
    deaths = letter.headers.get("x-death")
    return [queue for queue in queues if not _is_cycle(queue.name, deaths)]
