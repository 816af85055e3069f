"""What lies in the queues that kombu keeps in Redis, and who has it: kept up with the commands it sends.

The main name is :class:`Ledger`.  A queue of kombu's Redis transport is one list for each priority step;
a message that a consumer has popped is recorded in a hash (``unacked``) by its delivery tag
(kombu/transport/redis.py, ``QoS.append``).  The data are the server's; here is what they mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tqsim.broker.tasks import carries_task

__all__ = ["Copy", "Ledger", "RedisMessage", "RedisQueue", "decode_message"]

_PREFIX: Final = b'{"'
_MARK: Final = b'"delivery_tag"'


@dataclass(slots=True, eq=False)
class RedisMessage:
    """A published message.

    ``number`` is its place in the publish order of the whole broker, from 1; ``tag`` kombu's delivery
    tag, which stays through every redelivery; ``body`` is encoded as kombu sends it.  ``properties``
    has ``application_headers`` among kombu's own, and ``delivery_number`` is that of its last delivery.
    """

    number: int
    tag: str
    exchange: str
    routing_key: str
    body: Any
    properties: Mapping[str, Any]
    is_redelivered: bool = False
    delivery_number: int = 0


@dataclass(slots=True, eq=False)
class RedisQueue:
    """One queue of kombu's in one database; ``keys`` are its lists, in the order of first use."""

    name: str
    vhost: str
    database: int
    keys: dict[bytes, int] = field(default_factory=dict)
    is_deleted: bool = False
    carries_work: bool = False
    unacked: int = 0


@dataclass(slots=True, eq=False)
class Copy:
    """A message in one queue: how often it is ready, popped but not recorded, and recorded as unacknowledged."""

    message: RedisMessage
    queue: RedisQueue
    ready: int = 0
    popped: int = 0
    unacked: int = 0
    deliveries: int = 0
    is_work: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the broker, or a client that has just popped it, still has it."""
        return bool(self.ready or self.popped or self.unacked)


def decode_message(payload: bytes) -> dict[str, Any] | None:
    """Return the message that kombu has put into a list, or ``None`` when it is something else."""
    if not payload.startswith(_PREFIX) or _MARK not in payload:
        return None
    try:
        value = json.loads(payload)
        value["properties"]["delivery_tag"]
        value["headers"]
    except (ValueError, LookupError, TypeError):
        return None
    return value if isinstance(value, dict) else None


class Ledger:
    """The copies of one server; ``number()`` numbers messages, ``tell`` is told what happens to them.

    ``queue_of(database, key)`` names the queue and the priority that a list stands for, and the vhost.
    """

    def __init__(
        self,
        number: Callable[[], int],
        queue_of: Callable[[int, bytes], tuple[str, int, str]],
        tell: Callable[..., None],
    ) -> None:
        self._number = number
        self._queue_of = queue_of
        self.tell = tell
        self.queues: dict[tuple[int, str], RedisQueue] = {}
        self.by_key: dict[tuple[int, bytes], RedisQueue] = {}
        #: What is ready under a key, by the very bytes in its list.
        self.ready: dict[tuple[int, bytes], dict[bytes, Copy]] = {}
        #: By database and tag: one for each queue that a message was routed to.
        self.copies: dict[tuple[int, str], list[Copy]] = {}
        #: What is recorded as unacknowledged, by database, hash and tag.
        self.unacked: dict[tuple[int, bytes], dict[str, list[Copy]]] = {}
        self.open_work = 0

    # -- queues -------------------------------------------------------------------------------

    def queue_at(self, database: int, key: bytes) -> RedisQueue:
        """Return the queue that a list belongs to."""
        queue = self.by_key.get((database, key))
        if queue is None or queue.is_deleted:
            name, priority, vhost = self._queue_of(database, key)
            queue = self.declare(database, name, vhost)
            queue.keys[key] = priority
            self.by_key[(database, key)] = queue
        return queue

    def declare(self, database: int, name: str, vhost: str) -> RedisQueue:
        """Return a queue, which exists from now on."""
        queue = self.queues.get((database, name))
        if queue is None:
            queue = self.queues[(database, name)] = RedisQueue(name, vhost, database)
            self.tell("queue.declared", queue=name, vhost=vhost)
        return queue

    def forget_queue(self, database: int, name: str) -> None:
        """Note that a queue was deleted; its lists are told of by themselves."""
        queue = self.queues.pop((database, name), None)
        if queue is not None:
            queue.is_deleted = True
            self.tell("queue.deleted", queue=name, vhost=queue.vhost)

    # -- messages -----------------------------------------------------------------------------

    def push(self, database: int, key: bytes, payload: bytes, returning: list[Copy]) -> None:
        """A client has put a message into a list; ``returning`` are copies that left the hash just before."""
        value = decode_message(payload)
        if value is None:
            return
        queue = self.queue_at(database, key)
        tag = str(value["properties"]["delivery_tag"])
        copy = next((item for item in returning if item.queue is queue and item.message.tag == tag), None)
        if copy is not None:
            returning.remove(copy)
            self._put_back(copy, key, payload, value)
            return
        same = self.copies.setdefault((database, tag), [])
        copy = next((item for item in same if item.queue is queue), None)
        name = "message.queued"
        if copy is None:
            message = same[0].message if same else self._new_message(value, tag)
            copy = Copy(message, queue, is_work=carries_task(message))
            same.append(copy)
            self.open_work += copy.is_work
            queue.carries_work = queue.carries_work or copy.is_work
            if message.is_redelivered and not returning:
                name = "message.requeued"
        elif copy.deliveries:
            name = "message.requeued"
        self._set_ready(copy, key, payload)
        self._say(name, copy)

    def _new_message(self, value: dict[str, Any], tag: str) -> RedisMessage:
        properties = value["properties"]
        info = properties.get("delivery_info") or {}
        message = RedisMessage(
            self._number(), tag, str(info.get("exchange") or ""), str(info.get("routing_key") or ""), value.get("body"),
            {**properties, "application_headers": value["headers"]},
            is_redelivered=_is_redelivered(value),
        )  # fmt: skip
        if not message.is_redelivered:
            self.tell("message.published", message=message)
        return message

    def _put_back(self, copy: Copy, key: bytes, payload: bytes, value: dict[str, Any]) -> None:
        copy.message.is_redelivered = _is_redelivered(value)
        self._set_ready(copy, key, payload)
        self._say("message.requeued", copy)

    def _set_ready(self, copy: Copy, key: bytes, payload: bytes) -> None:
        copy.ready += 1
        self.ready.setdefault((copy.queue.database, key), {})[payload] = copy

    def pop(self, database: int, key: bytes, payload: bytes, delivery_number: Callable[[], int]) -> Copy | None:
        """A client has taken a message out of a list; return it, or ``None`` when it is no message."""
        ready = self.ready.get((database, key))
        copy = None if ready is None else ready.get(payload)
        if ready is None or copy is None:
            return None
        copy.ready -= 1
        if not copy.ready:
            del ready[payload]
        copy.popped += 1
        copy.deliveries += 1
        copy.message.delivery_number = delivery_number()
        redelivered = copy.deliveries > 1 or copy.message.is_redelivered
        self._say("message.delivered", copy, redelivered=redelivered, delivery_number=copy.message.delivery_number)
        return copy

    def record(self, database: int, key: bytes, tag: str) -> Copy | None:
        """A client has recorded what it popped; return what that was."""
        copy = next((item for item in self.copies.get((database, tag), ()) if item.popped), None)
        if copy is None:
            return None
        copy.popped -= 1
        copy.unacked += 1
        copy.queue.unacked += 1
        self.unacked.setdefault((database, key), {}).setdefault(tag, []).append(copy)
        return copy

    def unrecord(self, database: int, key: bytes, tag: str) -> list[Copy]:
        """A record was removed; return what it stood for, which is acknowledged unless it is put back."""
        recorded = self.unacked.get((database, key))
        copies = [] if recorded is None else recorded.pop(tag, [])
        for copy in copies:
            copy.unacked -= 1
            copy.queue.unacked -= 1
        return copies

    def find(self, database: int, tag: str) -> list[Copy]:
        """The copies of a tag."""
        return self.copies.get((database, tag), [])

    def has_work(self, ignored: Collection[str]) -> bool:
        """Whether the server has a task, but for those in the queues called ``ignored``."""
        if not self.open_work or not ignored:
            return bool(self.open_work)
        copies = (copy for same in self.copies.values() for copy in same)
        return any(copy.is_work and copy.queue.name not in ignored for copy in copies)

    def settle(self, copy: Copy) -> None:
        """The broker is rid of a copy that it had handed out."""
        self._say("message.acked", copy, delivery_number=copy.message.delivery_number)
        self._close(copy)

    def lose(self, copy: Copy, reason: str) -> None:
        """A copy is gone that nobody acknowledged."""
        self._say("message.dropped", copy, reason=reason)
        self._close(copy)

    def _close(self, copy: Copy) -> None:
        if copy.is_open:
            return
        place = (copy.queue.database, copy.message.tag)
        same = self.copies.get(place, [])
        if copy in same:
            same.remove(copy)
            self.open_work -= copy.is_work
        if not same:
            self.copies.pop(place, None)

    def compare(self, database: int, key: bytes, present: Iterable[bytes], reason: str) -> None:
        """Forget what was ready under a key and is not ``present`` any more."""
        ready = self.ready.get((database, key))
        if not ready:
            return
        kept = set(present)
        for payload in [payload for payload in ready if payload not in kept]:
            copy = ready.pop(payload)
            copy.ready = 0
            self.lose(copy, reason)

    def compare_records(self, database: int, key: bytes, present: Iterable[str], reason: str) -> None:
        """Forget the records of a hash that are not ``present`` any more."""
        recorded = self.unacked.get((database, key), {})
        kept = set(present)
        for tag in [tag for tag in recorded if tag not in kept]:
            for copy in self.unrecord(database, key, tag):
                self.lose(copy, reason)

    def _say(self, name: str, copy: Copy, **fields: Any) -> None:
        queue = copy.queue
        self.tell(name, message=copy.message, queue=queue.name, vhost=queue.vhost, **fields)


def _is_redelivered(value: dict[str, Any]) -> bool:
    info = value["properties"].get("delivery_info") or {}
    return bool(info.get("redelivered") or value.get("redelivered"))
