"""A simulated Redis server: fakeredis's data and commands, one command at a time.

The main name is :class:`Server`.  It has neither threads nor locks: bytes come in by
:meth:`Server.feed`, commands run to their end in the order in which they came, and a command that
comes while another is running (a finalizer may send one) waits its turn.
"""

from __future__ import annotations

import errno
import itertools
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Protocol

from fakeredis import FakeServer
from fakeredis._core import Database
from fakeredis._helpers import SimpleError

from tqsim.broker.redis.requests import Plans
from tqsim.broker.redis.sessions import Peer, Session
from tqsim.broker.redis.waits import Wait
from tqsim.durations import MICROSECONDS_PER_SECOND

__all__ = ["CancellableTimer", "Observer", "Server"]

#: What the server says it is, unless told otherwise: what the conformance tests compare it with.
_VERSION: Final = (7, 0)
_NOTIFY_SETTING: Final = b"notify-keyspace-events"


class Observer(Protocol):
    """Somebody who is told of commands: of those in ``names``, and of others as long as something is ``held``."""

    names: frozenset[str]
    held: Any
    returning: Any

    def before(self, session: Session, name: str) -> None:
        """A client has sent a command, which runs now."""

    def ran(self, session: Session, name: str, arguments: list[bytes], result: Any) -> None:
        """A command has run; inside a transaction or a script, one of its parts."""

    def settle_returning(self) -> None:
        """All that the client's command did has been told, and something was ``returning``."""

    def served(self, session: Session, result: Any) -> None:
        """A client that was blocked is answered."""

    def entered(self, session: Session) -> None:
        """A client has connected."""

    def left(self, session: Session) -> None:
        """A client has gone."""


class CancellableTimer(Protocol):
    """What ``call_later`` returns."""

    def cancel(self) -> None:
        """Do not call."""


class Server(FakeServer):
    """One Redis server; ``call_later(seconds, action)`` is its clock for blocking commands, ``now()`` for expiry."""

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], CancellableTimer],
        version: tuple[int, ...] = _VERSION,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(version=version)
        self.now = now
        self._call_later = call_later
        self.plans = Plans(version)
        self.observer: Observer | None = None
        self.uses_acl = False
        self.is_stopped = False
        self._inbox: deque[tuple[Session, bytes | None]] = deque()
        self._is_busy = False
        self._blocked: list[Wait] = []
        self._dozing = 0
        self._ranks = itertools.count(1)
        self._changed: list[tuple[Database, bytes | None]] = []
        self.changes = 0
        # Plain assignments would contradict fakeredis's own types.
        vars(self).update(
            lock=_NoLock(),
            dbs=defaultdict(lambda: _Database(self._note_change, self.now())),
            # Walked in the order of subscription: fakeredis's weak sets go by memory address.
            subscribers=defaultdict(_Members),
            psubscribers=defaultdict(_Members),
            ssubscribers=defaultdict(_Members),
        )

    def connect(self, peer: Peer, client_info: dict[str, Any], owner: str = "") -> Session:
        """Open a connection; ``owner`` is the name of the client's process.

        Raises ``ConnectionRefusedError`` while the server is stopped.
        """
        if self.is_stopped:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        session = Session(self, peer, client_info, owner)
        if self.observer is not None:
            self.observer.entered(session)
        return session

    def stop(self) -> None:
        """Shut down: every connection ends, and nobody can connect."""
        self.is_stopped = True
        for session in list(self.sockets):
            session.kill()

    def start(self, *, keeps_data: bool) -> None:
        """Start again, with what a file on disk has kept, or with nothing."""
        self.is_stopped = False
        self.script_cache.clear()
        if not keeps_data:
            for database in self.dbs.values():
                database.clear()

    @property
    def is_busy(self) -> bool:
        """Whether a command is running."""
        return self._is_busy

    def feed(self, session: Session, data: bytes | None) -> None:
        """Take bytes from a client, or ``None`` when the client has gone.

        Returns when everything has been executed, except in the middle of another command: then
        it is executed after that.
        """
        self._inbox.append((session, data))
        if not self._is_busy:
            self._exclusively(lambda: None)

    def _exclusively(self, action: Callable[[], None]) -> None:
        """Do ``action()`` and then what came in meanwhile, without another command in between."""
        self._is_busy = True
        try:
            action()
            while self._inbox:
                sender, part = self._inbox.popleft()
                if not sender.is_open:
                    continue
                if part is None:
                    sender.leave()
                else:
                    sender.take(part)
        finally:
            self._is_busy = False

    def drop(self, session: Session) -> None:
        """Forget a client; called by :meth:`Session.leave`."""
        if session in self.sockets:
            self.sockets.remove(session)
        if self.observer is not None:
            self.observer.left(session)
        for entry in [entry for entry in self._blocked if entry.session is session]:
            self._release(entry)

    # -- blocking commands --------------------------------------------------------------------

    def block(self, session: Session, timeout_s: float | None, wait: Wait) -> None:
        """Let a client wait until there is something for it, or the timeout has passed (0: never)."""
        self._blocked.append(wait)
        now_us = wait.began_us = wait.issued_us = self._now_us()
        ended_us, rank = session.timed_out
        # Who asks again at once keeps its place among those who do so at the same instant.
        wait.rank = rank if ended_us == now_us else next(self._ranks)
        if timeout_s:
            wait.period_us = round(timeout_s * MICROSECONDS_PER_SECOND)
            wait.timer = self._call_later(timeout_s, partial(self._give_up, wait))

    def doze(self, session: Session) -> bool:
        """Renew a client's blocking pop at the end of each timeout, without telling the client.

        For a client that would send the same command again at once: its place among those who wait is
        the same as if it had.  Returns whether it waits for such a command.
        """
        wait = self._wait_of(session)
        if wait is None or wait.timer is None or wait.keys is None:
            return False
        if not wait.is_dozing:
            wait.is_dozing = True
            wait.timer.cancel()
            self._dozing += 1
        return True

    def wake_up(self, session: Session) -> None:
        """Let a client's blocking pop time out again."""
        wait = self._wait_of(session)
        if wait is None or not wait.is_dozing:
            return
        self._line_up()
        wait.is_dozing = False
        self._dozing -= 1
        left_s = (wait.due_us - self._now_us()) / MICROSECONDS_PER_SECOND
        for other in self._blocked:  # those that time out at the same instant do so in their order
            if other.timer is not None and not other.is_dozing and other.due_us == wait.due_us:
                other.timer.cancel()
                other.timer = self._call_later(left_s, partial(self._give_up, other))

    def renewed_s(self, session: Session) -> float:
        """For how many seconds a client's blocking pop has been renewed."""
        wait = self._wait_of(session)
        if wait is None:
            return 0.0
        if wait.is_dozing:
            wait.renew(self._now_us())
        return (wait.issued_us - wait.began_us) / MICROSECONDS_PER_SECOND

    def _wait_of(self, session: Session) -> Wait | None:
        return next((wait for wait in self._blocked if wait.session is session), None)

    def _line_up(self) -> None:
        """Put those who wait in the order in which they last asked."""
        now_us = self._now_us()
        for wait in self._blocked:
            if wait.is_dozing:
                wait.renew(now_us)
        self._blocked.sort(key=lambda wait: (wait.issued_us, wait.rank))

    def _now_us(self) -> int:
        return round(self.now() * MICROSECONDS_PER_SECOND)

    @property
    def tells_keys(self) -> bool:
        """Whether changes of keys are published: off by default (redis.conf), where fakeredis always does."""
        return bool(self.config.get(_NOTIFY_SETTING))

    @property
    def has_changed(self) -> bool:
        """Whether somebody may wait for what a command changed."""
        return bool(self._changed)

    def serve_blocked(self) -> None:
        """After a command: answer the clients that waited for what it changed.

        Key by key in the order in which they changed, and for each the client that has waited longest first
        (blocked.c, ``handleClientsBlockedOnKeys``).
        """
        if self._dozing:
            self._line_up()
        while self._changed:
            database, key = self._changed.pop(0)
            for wait in list(self._blocked):
                if wait.session.database is database and wait in self._blocked:
                    self._try_again(wait, key)

    def _try_again(self, wait: Wait, key: bytes | None) -> None:
        session = wait.session
        try:
            is_unblocked = session.take_unblock_reason()
            value = None if is_unblocked else wait.attempt(key)
            if value is None and not is_unblocked:
                return
            reply = wait.shaped(value)
        except SimpleError as error:
            reply = error
        self._release(wait)
        if self.observer is not None:
            self.observer.served(session, reply)
        session.answer(reply)

    def _give_up(self, entry: Wait) -> None:
        """Answer a client whose time is over; called by a timer."""
        if entry in self._blocked:
            self._release(entry)
            entry.session.timed_out = (self._now_us(), entry.rank)
            self._exclusively(lambda: entry.session.answer(entry.shaped(None)))

    def _release(self, entry: Wait) -> None:
        self._blocked.remove(entry)
        self._dozing -= entry.is_dozing
        if entry.timer is not None:
            entry.timer.cancel()

    def _note_change(self, database: Database, key: bytes | None) -> None:
        self.changes += 1
        if self._blocked and (database, key) not in self._changed:
            self._changed.append((database, key))


class _Database(Database):
    """One numbered database, which tells of changes instead of waking threads."""

    def __init__(self, on_change: Callable[[Database, bytes | None], None], now_s: float) -> None:
        super().__init__(None)
        self.time = now_s
        self._on_change = on_change

    def notify_watch(self, key: bytes) -> None:
        watching = self._watches.get(key)
        if watching:
            for session in watching:
                session.notify_watch()
        self._on_change(self, key)

    def wake_all(self) -> None:
        self._on_change(self, None)

    def __getitem__(self, key: bytes) -> Any:
        item = self._dict[key]
        if item.expireat is not None and self.expired(item):
            del self._dict[key]
            self.notify_watch(key)  # whoever watches it is told (db.c, deleteExpiredKeyAndPropagate)
            raise KeyError(key)
        return item


class _Members:
    """Sessions in the order in which they came; the part of ``WeakSet`` that fakeredis uses."""

    __slots__ = ("_sessions",)

    def __init__(self) -> None:
        self._sessions: dict[Any, None] = {}

    def add(self, session: Any) -> None:
        self._sessions[session] = None

    def discard(self, session: Any) -> None:
        self._sessions.pop(session, None)

    def remove(self, session: Any) -> None:
        del self._sessions[session]

    def __contains__(self, session: object) -> bool:
        return session in self._sessions

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._sessions))

    def __len__(self) -> int:
        return len(self._sessions)


class _NoLock:
    """In the place of fakeredis's lock, which is not re-entrant: there is nobody to exclude."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *exc_info: object) -> None:
        """Nothing is held."""
