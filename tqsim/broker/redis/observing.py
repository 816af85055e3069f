"""From the commands that reach a Redis server to what they mean for kombu's queues.

The main name is :class:`QueueObserver`.  kombu is not patched for it: a message is published by LPUSH,
delivered by BRPOP or RPOP, recorded by HSET into ``unacked`` and acknowledged by HDEL; one that is
restored leaves the hash and enters a list in the same transaction (kombu/transport/redis.py,
``restore_by_tag``).  At the server an ack and a reject without requeue are the same commands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from tqsim.broker.redis.ledger import Copy, Ledger
from tqsim.broker.redis.server import Server
from tqsim.broker.redis.sessions import Session

__all__ = ["QueueObserver"]

#: What a client may send between popping a message and recording it.
_BETWEEN: Final = frozenset({"multi", "exec", "zadd", "hset", "pexpire", "select", "client setinfo", "ping", "hello"})
#: What changes more than the keys it names.
_EVERYTHING: Final = frozenset({"flushdb", "flushall", "swapdb"})
_BINDINGS: Final = b"_kombu.binding."
_SEPARATOR: Final = b"\x06\x16"


class QueueObserver:
    """Watches one server; ``delivery_number()`` numbers deliveries, ``vhost_of(database)`` names a database."""

    def __init__(
        self,
        server: Server,
        ledger: Ledger,
        delivery_number: Callable[[], int],
        vhost_of: Callable[[int], str],
    ) -> None:
        self.server = server
        self.ledger = ledger
        #: The delivery number of every message that is with a client, by its tag.
        self.delivered: dict[str, int] = {}
        self._delivery_number = delivery_number
        self._vhost_of = vhost_of
        self.held: dict[Session, Copy] = {}
        self._fetched: dict[Session, None] = {}
        self.returning: list[Copy] = []
        self._consuming: dict[Session, list[bytes]] = {}
        self._actions: dict[str, Callable[[Session, list[bytes], Any], None]] = {
            "brpop": self._on_brpop, "del": self._on_removed, "hdel": self._on_hdel, "hset": self._on_hset,
            "lpush": self._on_push, "rpop": self._on_rpop, "rpush": self._on_push, "sadd": self._on_sadd,
            "srem": self._on_srem, "unlink": self._on_removed,
        }  # fmt: skip
        for name in ("blpop", "lmove", "lmpop", "lpop", "lrem", "lset", "ltrim", "rename", "rpoplpush"):
            self._actions[name] = self._on_removed
        self.names = frozenset({*self._actions, *_EVERYTHING})

    # -- what the server calls ----------------------------------------------------------------

    def before(self, session: Session, name: str) -> None:
        """Settle what the client has read and not recorded: nobody waits for an ack of it."""
        if name not in _BETWEEN and session in self.held:
            self._let_go(session)

    def ran(self, session: Session, name: str, arguments: list[bytes], result: Any) -> None:
        """Take what a command did."""
        action = self._actions.get(name)
        if action is not None:
            if not isinstance(result, Exception):
                action(session, arguments, result)
        elif name in _EVERYTHING:
            self.look_again("flushed")

    def settle_returning(self) -> None:
        """Acknowledge what left the hash and was not put back."""
        returning, self.returning = self.returning, []
        for copy in returning:
            self.delivered.pop(copy.message.tag, None)
            self.ledger.settle(copy)

    def served(self, session: Session, result: Any) -> None:
        """Take what a blocked client was given."""
        consumed = self._consuming.get(session, ())
        if isinstance(result, list) and len(result) == 2 and result[0] in consumed and isinstance(result[1], bytes):
            self._take(session, *result)

    def entered(self, session: Session) -> None:
        """Tell that a process has connected."""
        self.ledger.tell("connection.opened", connection=session.owner)

    def left(self, session: Session) -> None:
        """Lose what a client had popped and not recorded yet."""
        self.ledger.tell("connection.closed", connection=session.owner)
        self._consuming.pop(session, None)
        self._fetched.pop(session, None)
        copy = self.held.pop(session, None)
        if copy is not None:
            copy.popped -= 1
            self.ledger.lose(copy, "popped by a client that is gone")

    # -- commands -----------------------------------------------------------------------------

    def _on_push(self, session: Session, arguments: list[bytes], result: Any) -> None:
        key, *payloads = arguments
        for payload in payloads:
            self.ledger.push(session.database_number, key, payload, self.returning)

    def _on_brpop(self, session: Session, arguments: list[bytes], result: Any) -> None:
        self._consuming[session] = arguments[:-1]
        if isinstance(result, list):
            self._take(session, *result)

    def _on_rpop(self, session: Session, arguments: list[bytes], result: Any) -> None:
        if isinstance(result, bytes):
            self._take(session, arguments[0], result)
            if session in self.held:
                self._fetched[session] = None

    def _take(self, session: Session, key: bytes, payload: bytes) -> None:
        copy = self.ledger.pop(session.database_number, key, payload, self._delivery_number)
        if copy is not None:
            self.delivered[copy.message.tag] = copy.message.delivery_number
            self.held[session] = copy

    def _on_hset(self, session: Session, arguments: list[bytes], result: Any) -> None:
        key, *pairs = arguments
        for field in pairs[::2]:
            copy = self.ledger.record(session.database_number, key, field.decode(errors="replace"))
            if copy is not None:
                holder = next((holder for holder, held in self.held.items() if held is copy), None)
                if holder is not None:
                    del self.held[holder]
                    self._fetched.pop(holder, None)

    def _on_hdel(self, session: Session, arguments: list[bytes], result: Any) -> None:
        key, *fields = arguments
        if not result or (session.database_number, key) not in self.ledger.unacked:
            return
        for field in fields:
            self.returning += self.ledger.unrecord(session.database_number, key, field.decode(errors="replace"))

    def _on_removed(self, session: Session, arguments: list[bytes], result: Any) -> None:
        self._compare(session.database_number, arguments, "removed")

    def _on_sadd(self, session: Session, arguments: list[bytes], result: Any) -> None:
        for name in _bound(arguments):
            self.ledger.declare(session.database_number, name, self._vhost_of(session.database_number))

    def _on_srem(self, session: Session, arguments: list[bytes], result: Any) -> None:
        for name in _bound(arguments):
            self.ledger.forget_queue(session.database_number, name)

    # -- looking ------------------------------------------------------------------------------

    def _let_go(self, session: Session) -> None:
        copy = self.held.pop(session)
        self._fetched.pop(session, None)
        copy.popped -= 1
        self.delivered.pop(copy.message.tag, None)
        self.ledger.settle(copy)

    @property
    def has_fetched(self) -> bool:
        """Whether somebody has fetched a message with RPOP and not recorded it."""
        return bool(self._fetched)

    def settle_fetched(self) -> None:
        """Time is about to move: whoever fetched a message has read it, and recorded it if at all."""
        for session in list(self._fetched):
            self._let_go(session)

    def look_again(self, reason: str) -> None:
        """Compare everything with the data: a key may have expired, or been evicted."""
        for database, key in {**self.ledger.ready, **self.ledger.unacked}:
            self._compare(database, [key], reason)

    def _compare(self, database: int, keys: Iterable[bytes], reason: str) -> None:
        for key in keys:
            place = (database, key)
            if place not in self.ledger.ready and place not in self.ledger.unacked:
                continue
            item = self.server.dbs[database].get(key)
            value: Any = None if item is None else item.value
            self.ledger.compare(database, key, value if isinstance(value, list) else (), reason)
            if place in self.ledger.unacked:
                fields = value.keys() if hasattr(value, "keys") else ()
                present = (field.decode(errors="replace") for field in fields)
                self.ledger.compare_records(database, key, present, reason)

    def consumers_of(self, keys: Iterable[bytes], database: int) -> int:
        """How many clients pop from one of ``keys``."""
        wanted = set(keys)
        return sum(
            session.database_number == database and not wanted.isdisjoint(consumed)
            for session, consumed in self._consuming.items()
        )


def _bound(arguments: list[bytes]) -> list[str]:
    """The names of the queues among the members of one of kombu's binding tables."""
    key, *members = arguments
    if _BINDINGS not in key:
        return []
    return [member.rpartition(_SEPARATOR)[2].decode(errors="replace") for member in members]
