"""The terms on which a queue keeps messages: time to live, length limit, dead letters.

The main name is :class:`Terms`, which a queue has only if it needs it: from its arguments, or from the
first message with an expiration.  Measured on RabbitMQ 3.10.8; the order of the steps is that of
``rabbit_amqqueue_process.erl``.  Only the head of a queue is ever looked at, so each step is as cheap
with 100,000 messages as with one: a message behind one that lives longer is overdue, not gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from tqsim.broker.rabbitmq.arguments import PERIOD_MS_MAX, integer
from tqsim.broker.rabbitmq.context import Context
from tqsim.broker.rabbitmq.deadletters import DeadLetters, Reason, died
from tqsim.broker.rabbitmq.messages import Message, Mortal, Queued

if TYPE_CHECKING:
    from tqsim.broker.rabbitmq.exchanges import Exchange
    from tqsim.broker.rabbitmq.queues import Queue

__all__ = ["TERMS_ARGUMENTS", "Terms", "expiration_fault", "expiration_ms"]

#: The arguments that give a queue terms.
TERMS_ARGUMENTS: Final = (
    "x-message-ttl",
    "x-max-length",
    "x-max-length-bytes",
    "x-dead-letter-exchange",
    "x-delivery-limit",
)

_US_PER_MS: Final = 1_000
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")


def expiration_ms(expiration: object) -> int:
    """Return the milliseconds of an ``expiration`` property that :func:`expiration_fault` let pass."""
    return int(str(expiration))


def expiration_fault(expiration: object) -> str | None:
    """Return what the server has against an ``expiration`` property, or None."""
    text = str(expiration)
    found = _NUMBER.match(text)
    if found is None:
        return "no_integer"
    if found.end() < len(text):
        return f'{{leftover_string,"{text[found.end() :]}"}}'
    number = int(text)
    if number < 0:
        return f"{{value_negative,{number}}}"
    if number > PERIOD_MS_MAX:
        return f"{{value_too_large,{number}}}"
    return None


def _four_fifths(limit: int | None) -> int | None:
    return None if limit is None else limit * 4 // 5


class Terms:
    """The terms of one queue.  ``exchanges`` is the live table of its vhost."""

    __slots__ = (
        "_context",
        "_exchanges",
        "_is_closed",
        "_is_soft",
        "_queue",
        "dead_letters",
        "max_bytes",
        "max_length",
        "overflow",
        "ready_bytes",
        "ttl_us",
    )

    def __init__(
        self, context: Context, queue: Queue, arguments: Mapping[str, object], exchanges: Mapping[str, Exchange]
    ) -> None:
        self._context = context
        self._queue = queue
        self._exchanges = exchanges
        ttl_ms = integer(arguments, "x-message-ttl")
        self.ttl_us = None if ttl_ms is None else ttl_ms * _US_PER_MS
        self.max_length = integer(arguments, "x-max-length")
        self.max_bytes = integer(arguments, "x-max-length-bytes")
        self.overflow = str(arguments.get("x-overflow", "drop-head"))
        # A quorum queue: it has no reject-publish-dlx, and rejects with some slack (measured on 3.10).
        self._is_soft = arguments.get("x-queue-type") == "quorum"
        self._is_closed = False
        if self._is_soft and self.overflow != "reject-publish":
            self.overflow = "drop-head"
        self.ready_bytes = 0
        self.dead_letters: DeadLetters | None = None
        exchange, key = arguments.get("x-dead-letter-exchange"), arguments.get("x-dead-letter-routing-key")
        if isinstance(exchange, str):
            self.dead_letters = DeadLetters(exchange, key if isinstance(key, str) else None)

    # --- messages that come and go ---------------------------------------------------------------

    def admits(self, message: Message) -> bool:
        """Whether a message may come in; if not, and the queue says so, it is a dead letter at once."""
        if self.overflow == "drop-head":
            return True
        if self._is_soft:
            return not self._is_closed
        if self.max_length is not None and self._queue.ready.count + 1 > self.max_length:
            fits = False
        else:
            fits = self.max_bytes is None or self.ready_bytes + message.size <= self.max_bytes
        if not fits and self.overflow == "reject-publish-dlx":
            self.bury(message, "maxlen")
            self._context.post.deliver()
        return fits

    def wrap(self, message: Message) -> Queued:
        """Return the queue's copy of a message, with the moment of its end if it has one."""
        ttl_us = self.ttl_us
        expiration = message.properties.get("expiration")
        if expiration is not None:
            own_us = expiration_ms(expiration) * _US_PER_MS
            ttl_us = own_us if ttl_us is None else min(ttl_us, own_us)
        if ttl_us is None:
            return Queued(message, self._queue)
        if self._is_soft:
            ttl_us = max(ttl_us, _US_PER_MS)
        return Mortal(message, self._queue, due_us=self._context.now() + ttl_us)

    def came(self, queued: Queued) -> None:
        """Note a message that became ready."""
        if self.max_bytes is not None:
            self.ready_bytes += queued.message.size
        if self._is_soft:
            self._open_or_close()

    def went(self, queued: Queued) -> None:
        """Note a message that is no longer ready."""
        if self.max_bytes is not None:
            self.ready_bytes -= queued.message.size
        if self._is_soft:
            self._open_or_close()

    def _open_or_close(self) -> None:
        """Close for publishers when there is too much, and open when four fifths are left."""
        ready = self._queue.ready
        if self._is_over(ready.count, self.max_length) or self._is_over(self.ready_bytes, self.max_bytes):
            self._is_closed = True
        elif self._is_closed:
            length, size = _four_fifths(self.max_length), _four_fifths(self.max_bytes)
            self._is_closed = self._is_over(ready.count, length) or self._is_over(self.ready_bytes, size)

    @staticmethod
    def _is_over(number: int, limit: int | None) -> bool:
        return limit is not None and number > limit

    def recount(self) -> None:
        """Count the ready bytes anew, and forget the deadline."""
        self.ready_bytes = 0
        if self.max_bytes is not None:
            self.ready_bytes = sum(queued.message.size for queued in self._queue.ready)
        self._context.expiries.drop(self)

    # --- enforcement -----------------------------------------------------------------------------

    def enforce(self, fresh: Queued | None = None) -> None:
        """See to limits and lifetimes after messages came: one fresh from a publish, or requeued ones.

        A fresh one that did not become the head changes nothing about lifetimes.
        """
        dropped = self._drop_head()
        alone = self._queue.ready.count == 1
        if fresh is None or alone or dropped or self._is_soft:
            self.expire()
        self._context.post.deliver()

    def start(self) -> None:
        """Come up with the server: what is too much goes from the head, whatever the queue says.

        It learns how it overflows after its limits (``process_args_policy`` in ``rabbit_amqqueue_process.erl``;
        measured on 3.10).
        """
        if not self._is_soft:
            self._drop_head(is_starting=True)
            self._context.post.deliver()

    def _drop_head(self, *, is_starting: bool = False) -> bool:
        if self.overflow != "drop-head" and not is_starting:
            return False
        ready = self._queue.ready
        dropped = []
        while self._is_over(ready.count, self.max_length) or self._is_over(self.ready_bytes, self.max_bytes):
            queued = ready.pop()
            self.went(queued)
            dropped.append(queued)
        if self._is_soft:
            # Measured on 3.10: a quorum queue lists what follows from a command from the end (``drop_head`` in
            # ``rabbit_fifo.erl``).
            dropped.reverse()
        for queued in dropped:
            self.give_up(queued, "maxlen")
        return bool(dropped)

    def expire(self) -> None:
        """Give up the messages at the head whose time is over, and wait for that of the next one."""
        ready = self._queue.ready
        head = ready.peek()
        if not isinstance(head, Mortal):
            return
        now_us = self._context.now()
        while isinstance(head, Mortal) and head.due_us <= now_us:
            ready.pop()
            self.went(head)
            self.give_up(head, "expired")
            head = ready.peek()
        if isinstance(head, Mortal):
            self._context.expiries.set(self, head.due_us)
        self._context.post.deliver()

    def give_up(self, queued: Queued, reason: Reason) -> None:
        """Let a message go: to the dead-letter exchange, if there is one."""
        if reason == "expired":
            self._queue.tell("message.expired", queued.message)
        else:
            self._queue.drop(queued, reason)
        self.bury(queued.message, reason)

    def bury(self, message: Message, reason: Reason) -> None:
        """Post a dead letter, if the queue has an exchange for them and that exists."""
        policy = self.dead_letters
        exchange = None if policy is None else self._exchanges.get(policy.exchange)
        if policy is None or exchange is None:
            return
        context, queue = self._context, self._queue
        queue.tell("message.dead_lettered", message, reason=reason)
        make = partial(
            died,
            message,
            queue=queue.name,
            reason=reason,
            policy=policy,
            at_us=context.epoch_us + context.now(),
            settings=context.settings,
        )
        context.post.post(exchange, message, make, reason)
